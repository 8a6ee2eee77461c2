# SPDX-License-Identifier: Apache-2.0
"""Log lines on standard error, as text or as one JSON object a line."""

import json
import logging
import re
import time

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def configure(level: str, form: str) -> None:
    """Send log records of `level` and above to standard error, in the form `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _Text(logging.Formatter):
    """One record as a line: UTC, so that nodes can be compared."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        """Write the time in RFC 3339, in milliseconds."""
        del datefmt
        return _stamp(record)

    def format(self, record: logging.LogRecord) -> str:
        """Keep a message on one line: a name from elsewhere must neither forge a line nor move the cursor."""
        text = super().format(record)
        return text if record.exc_info else _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class _Json(logging.Formatter):
    """One record as a JSON object: time, level, logger, message and, for a defect, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the object in one line."""
        fields = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _stamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
