# SPDX-License-Identifier: Apache-2.0
"""How the pushes end: counted by outcome, and said in the log where that changes."""

import logging
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

SUCCESS = "success"
PARTIAL = "partial"  # the receiver took the push, but not every point of it


class Told:
    """Counts and says what becomes of the pushes to `place`."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._outcomes: dict[str, int] = {}
        self._failing_since: float | None = None  # monotonic
        self._refusing = ""  # the reason that was said last
        self._incomplete = False

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Pushes by outcome: `success`, `partial`, why they were refused, or why a try failed that will be made again."""
        return dict(self._outcomes)

    def failed(self, reason: str, message: str) -> None:
        """A push has to wait."""
        self._count(reason)
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("OTLP push to %s fails (%s): %s", self._place, reason, message)
        else:
            log.debug("OTLP push to %s still fails (%s): %s", self._place, reason, message)

    def refused(self, reason: str, points: int, message: str) -> None:
        """A request will never be taken; said once until a push is taken again."""
        level = logging.DEBUG if self._refusing == reason else logging.WARNING
        self._refusing = reason
        log.log(level, "OTLP push to %s fails (%s), %d points are dropped: %s", self._place, reason, points, message)

    def partly(self, rejected: int, message: str) -> None:
        """A request was taken; `rejected` of its points were not, and `message` may say why, or warn."""
        incomplete = bool(rejected or message)
        if incomplete and not self._incomplete:
            text = "%s took a push without %d of its points: %s"
            log.warning(text, self._place, rejected, message or "it gives no reason")
        self._incomplete = incomplete

    def ended(self, refused: str | None, rejected: int) -> None:
        """A push is done with: taken, or refused for a reason."""
        self._count(refused or (PARTIAL if rejected else SUCCESS))
        if self._failing_since is not None:
            text = "OTLP push to %s works again, after %.0f s."
            log.info(text, self._place, time.monotonic() - self._failing_since)
            self._failing_since = None
        if refused is None:
            if self._refusing:
                log.info("OTLP push to %s is taken again.", self._place)
            self._refusing = ""

    def defective(self, error: Exception) -> None:
        """A push could not be made, by a defect of ours."""
        log.debug("The push failed by a defect.", exc_info=error)
        self.failed("internal", repr(error))

    def _count(self, outcome: str) -> None:
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
