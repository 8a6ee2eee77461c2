# SPDX-License-Identifier: Apache-2.0
"""The device of the kernel's log, opened to be read without ever waiting.

Source: `Documentation/ABI/testing/dev-kmsg` of Linux.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import Protocol

# The kernel's own limit for what a record becomes here (CONSOLE_EXT_LOG_MAX; 2048 since Linux 6.4, PRINTK_MESSAGE_MAX).
LONGEST = 8192


class Log(Protocol):
    """An open log. What fails raises OSError."""

    @property
    def has_past(self) -> bool:
        """Whether what was said before it was opened can be read."""
        ...

    def read(self) -> bytes:
        """Give the next record, whole.

        Raises OSError: EAGAIN where there is none yet; EPIPE where the next was overwritten, after which the oldest that is
        left is next; EINVAL where it is longer than `LONGEST`, after which the one behind it is next.
        """
        ...

    def rewind(self) -> None:
        """Make the oldest record the next."""
        ...

    def skip(self) -> None:
        """Make the next record the one that will be written next."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


OpenLog = Callable[[str], Log]


class _Device:
    """A descriptor that gives one record a read."""

    def __init__(self, descriptor: int, *, seekable: bool) -> None:
        self._descriptor = descriptor
        self._seekable = seekable

    @property
    def has_past(self) -> bool:
        return self._seekable

    def read(self) -> bytes:
        record = os.read(self._descriptor, LONGEST)
        if not record:  # a FIFO that nobody writes to at present
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return record

    def rewind(self) -> None:
        if self._seekable:
            os.lseek(self._descriptor, 0, os.SEEK_SET)

    def skip(self) -> None:
        if self._seekable:
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def close(self) -> None:
        os.close(self._descriptor)


def open_log(path: str) -> Log:
    """Open the log. Raises OSError: ENOENT, EPERM and EACCES, or ENOTSUP for what is something else under that name.

    A FIFO that gives one record a read (O_DIRECT at its writer) is a log too, without a past: the simulated node has one.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        fifo = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        # Where a container's runtime has put a terminal there, or /dev/null, reading would be a theft, or in vain.
        if not fifo and not _gives_records(descriptor):
            raise OSError(errno.ENOTSUP, "it is not the device of the kernel's log", path)
        return _Device(descriptor, seekable=not fifo)
    except OSError:
        os.close(descriptor)
        raise


def _gives_records(descriptor: int) -> bool:
    """Tell /dev/kmsg from other files and devices: it takes a seek to its end, and refuses one to a place within by ESPIPE."""
    try:
        os.lseek(descriptor, 0, os.SEEK_END)
    except OSError:
        return False
    try:
        os.lseek(descriptor, 1, os.SEEK_SET)
    except OSError as error:
        return error.errno == errno.ESPIPE
    return False
