# SPDX-License-Identifier: Apache-2.0
"""How often the endpoint turned somebody away, and how often a file of its own could not be used."""

import threading
from collections import Counter
from collections.abc import Mapping

from inferometer import catalog

# fmt: off
(
    NO_CREDENTIALS, BAD_CREDENTIALS, FORBIDDEN, CERTIFICATE, UNDECIDED, LIMITED, HANDSHAKE, BUSY, SLOW, MALFORMED, UNREADY,
    DEFECT,
) = catalog.REFUSAL.values
# fmt: on


class Tally:
    """Counts since the agent started, by reason and by file; 0 for what has not happened. For any number of threads."""

    def __init__(self) -> None:
        self._refusals = Counter(dict.fromkeys(catalog.REFUSAL.values, 0))
        self._files = Counter(dict.fromkeys(catalog.SERVER_FILE.values, 0))
        self._lock = threading.Lock()

    def count_refusal(self, reason: str) -> None:
        """Count a request, or a connection, that was not served."""
        with self._lock:
            self._refusals[reason] += 1

    def count_file(self, file: str) -> None:
        """Count a content of one of the endpoint's files that could not be used."""
        with self._lock:
            self._files[file] += 1

    @property
    def refusals(self) -> Mapping[str, int]:
        """Give how many were turned away, by reason."""
        with self._lock:
            return dict(self._refusals)

    @property
    def files(self) -> Mapping[str, int]:
        """Give how often a file could not be used, by what it is."""
        with self._lock:
            return dict(self._files)
