# SPDX-License-Identifier: Apache-2.0
"""The simulated node's kernel log: a FIFO that gives one record a read, as `/dev/kmsg` does, to one reader.

Source: `Documentation/ABI/testing/dev-kmsg` of Linux for records, pipe(7) and pipe(2), O_DIRECT, for packets.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

_ERROR = 3  # the level; the facility, in the bits above it, is the kernel's, 0
_ROOM = 1 << 20  # bytes: a page for each record that nobody has read yet


class KernelLog:
    """The writer's end. What finds no room is lost, as a gap in the sequence numbers."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, fcntl.fcntl(self._descriptor, fcntl.F_GETFL) | os.O_DIRECT)
        with contextlib.suppress(PermissionError):  # a user's pipes may have taken all the room there is
            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, _ROOM)
        self._sequence = 0

    def say(self, message: str) -> None:
        """Let the kernel say something, now."""
        record = f"{_ERROR},{self._sequence},{time.monotonic_ns() // 1000},-;{message}\n"
        self._sequence += 1
        try:
            os.write(self._descriptor, record.encode())
        except BlockingIOError:
            return  # there is no room

    def close(self) -> None:
        """End it."""
        os.close(self._descriptor)


def xid(bus: int, code: int) -> str:
    """Write an XID of the GPU on a bus as the driver does."""
    return f"NVRM: Xid (PCI:0000:{bus:02x}:00): {code}, pid='<unknown>', name=<unknown>, simulated"
