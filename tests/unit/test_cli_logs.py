# SPDX-License-Identifier: Apache-2.0
"""Log lines: one record is one line, whatever its message holds."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from inferometer.cli import logs

log = logging.getLogger("inferometer.example")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_text_line_has_time_level_and_origin(capsys: pytest.CaptureFixture[str]) -> None:
    """UTC in milliseconds first, so that the lines of several nodes sort."""
    logs.configure("info", "text")
    log.debug("unseen")
    log.warning("no answer from %s", "nvidia")

    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING inferometer\.example: no answer from nvidia\n", said.err
    )


def test_a_message_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A name from a page or a pod may hold line feeds."""
    for form in ("text", "json"):
        logs.configure("info", form)
        log.info("engine %s", "a\n2026-01-01 ERROR forged\r\x1b[2J")

        (line,) = capsys.readouterr().err.split("\n")[:-1]
        assert line.isprintable()


def test_a_json_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    """A defect brings its traceback along, in the same line."""
    logs.configure("debug", "json")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.exception("a defect")

    (line,) = capsys.readouterr().err.splitlines()
    read = json.loads(line)
    assert (read["level"], read["logger"], read["message"]) == ("error", "inferometer.example", "a defect")
    assert "ZeroDivisionError" in read["exception"]
