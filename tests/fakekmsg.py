# SPDX-License-Identifier: Apache-2.0
"""A kernel log with the record semantics of /dev/kmsg, of as much room as a test wants.

Source: `devkmsg_read` and `devkmsg_llseek` of Linux (kernel/printk/printk.c), and `Documentation/ABI/testing/dev-kmsg`.
"""

import errno
import itertools
import os
from collections import deque
from collections.abc import Callable

from inferometer.sources.devices.kmsg import LONGEST

KERNEL_ERROR = 3  # facility 0, level 3
USER_ERROR = 1 << 3 | 3  # what a process has written


class FakeKmsg:
    """The log, shared by all who open it. `broken` is what every call on it fails with."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.records: deque[tuple[int, bytes]] = deque(maxlen=room)
        self.broken: int | None = None
        self.opened = 0
        self.asked: Callable[[], None] = lambda: None  # at each read
        self._sequences = itertools.count()

    def say(self, message: str | bytes, at: float = 0.0, prefix: int = KERNEL_ERROR) -> None:
        """Write a record, `at` seconds of the kernel's clock."""
        text = message if isinstance(message, bytes) else message.encode()
        self._record(b"%d,%%d,%d,-;%s\n" % (prefix, round(at * 1e6), text.replace(b"%", b"%%")))

    def put(self, raw: bytes) -> None:
        """Write a record that is none."""
        self.records.append((next(self._sequences), raw))

    def _record(self, form: bytes) -> None:
        sequence = next(self._sequences)
        self.records.append((sequence, form % sequence))

    def open(self, path: str) -> "OpenKmsg":
        """Open it; the path does not matter."""
        self.opened += 1
        if self.broken is not None:
            raise OSError(self.broken, os.strerror(self.broken), path)
        return OpenKmsg(self)


class OpenKmsg:
    """An open log: each has its own place in it."""

    def __init__(self, kmsg: FakeKmsg) -> None:
        self._kmsg = kmsg
        self._next = self._first()
        self.closed = False

    @property
    def has_past(self) -> bool:
        return True

    def read(self) -> bytes:
        self._check()
        self._kmsg.asked()
        if self._next < self._first():
            self._next = self._first()
            raise OSError(errno.EPIPE, "overwritten")
        for sequence, record in self._kmsg.records:
            if sequence >= self._next:
                self._next = sequence + 1
                if len(record) > LONGEST:
                    raise OSError(errno.EINVAL, "too long")
                return record
        raise BlockingIOError(errno.EAGAIN, "no more")

    def rewind(self) -> None:
        self._check()
        self._next = self._first()

    def skip(self) -> None:
        self._check()
        self._next = self._kmsg.records[-1][0] + 1 if self._kmsg.records else 0

    def close(self) -> None:
        self.closed = True

    def _first(self) -> int:
        return self._kmsg.records[0][0] if self._kmsg.records else 0

    def _check(self) -> None:
        assert not self.closed
        if self._kmsg.broken is not None:
            raise OSError(self._kmsg.broken, os.strerror(self._kmsg.broken))
