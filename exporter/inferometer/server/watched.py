# SPDX-License-Identifier: Apache-2.0
"""What somebody else mounts and renews: made of files again when one of them is another."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from inferometer.credentials import stamp
from inferometer.model import Trouble

T = TypeVar("T")

log = logging.getLogger(__name__)


class Watched(Generic[T]):
    """The newest that `make` has made of the files at `paths`. For any number of threads.

    The files are looked at whenever it is asked for, and read where one has changed, also by a link that leads elsewhere
    now, as in a mounted Secret. What cannot be used is logged once, until something can be, and counted each time.

    Args:
        paths: of the files; an empty one is none.
        make: reads them. It raises Trouble where they cannot be used.
        count: is called for each content that could not be used.
        keeps: whether what was made before stays meanwhile. Else asking raises, so that nobody relies on it.
    """

    def __init__(
        self, paths: Sequence[str], make: Callable[[], T], count: Callable[[], None], *, keeps: bool = False
    ) -> None:
        self._paths = tuple(filter(None, paths))
        self._make = make
        self._count = count
        self._keeps = keeps
        self._lock = threading.Lock()
        self._made_of: object = None
        self._made: list[T] = []  # one, or none yet
        self._trouble: Trouble | None = None

    def newest(self) -> T:
        """Give it. Raises Trouble as `make` does, where nothing else may stand in."""
        with self._lock:
            stamps = self._stamps()
            if stamps != self._made_of:
                self._renew(stamps)
            if self._trouble and not (self._keeps and self._made):
                raise self._trouble.bare()  # each thread its own: a raised one holds on to its traceback
            return self._made[0]

    def _renew(self, stamps: object) -> None:
        try:
            made = self._make()
        except Trouble as trouble:
            if self._made and stamps != self._stamps():  # read while it changed: the next one who asks reads it whole
                return
            self._made_of = stamps
            self._count()
            if self._made and self._trouble is None:  # at the start it is raised to somebody who says it
                log.error("%s%s", trouble.told(), " What was there before stays." if self._keeps else "")  # noqa: TRY400  # no defect
            self._trouble = trouble.bare()
            return
        if self._trouble is not None:
            log.info("%s: can be used again", ", ".join(self._paths))
        self._made_of, self._made[:], self._trouble = stamps, (made,), None

    def _stamps(self) -> object:
        return tuple(map(stamp, self._paths))
