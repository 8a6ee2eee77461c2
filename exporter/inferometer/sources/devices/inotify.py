# SPDX-License-Identifier: Apache-2.0
"""The kernel's word that something has come into a directory or left it, or that a directory has gone: `inotify(7)`, through libc."""

import ctypes
import os
from collections.abc import Iterator
from struct import Struct

CAME = 0x80 | 0x100  # IN_MOVED_TO | IN_CREATE, of what is in the directory
LEFT = 0x40 | 0x200  # IN_MOVED_FROM | IN_DELETE, of what was in it
GONE = 0x400 | 0x800  # IN_DELETE_SELF | IN_MOVE_SELF
_LOST = (
    GONE | 0x2000 | 0x4000 | 0x8000
)  # IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED: what is watched is not known any more
_ONLY_DIRECTORIES = 0x0100_0000
_EVENT = Struct("iIII")  # inotify_event: watch, mask, cookie, length of the name behind it
# Those that tell of every change, whoever makes it (the magic numbers of `statfs(2)`): ext2 to ext4, XFS, Btrfs, tmpfs, ramfs,
# overlayfs, F2FS, ZFS, bcachefs, squashfs. A network's or FUSE's tells only what is changed through this machine.
_TELLING = frozenset(
    (0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x858458F6, 0x794C7630, 0xF2F52010, 0x2FC12FC1, 0xCA451A4E, 0x73717368)
)


class Inotify:
    """One instance. Raises OSError where the kernel has none to give."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self.descriptor = self._checked(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        except AttributeError as error:  # a libc without it
            raise OSError("no inotify") from error

    def watch(self, directory: str, mask: int) -> None:
        """Watch a directory from now on. Raises OSError where that cannot be, or where its file system does not tell all."""
        room = ctypes.create_string_buffer(256)  # more than a statfs, which begins with the type
        self._checked(self._libc.statfs(os.fsencode(directory), room))
        if ctypes.c_ulong.from_buffer(room).value & 0xFFFF_FFFF not in _TELLING:
            raise OSError(f"the file system of {directory} may not tell of every change")
        self._checked(self._libc.inotify_add_watch(self.descriptor, os.fsencode(directory), mask | _ONLY_DIRECTORIES))

    def events(self) -> Iterator[tuple[bool, str]]:
        """Give what has happened since the last time: whether what is watched is not known any more; and what came or left."""
        try:
            told = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return
        at = 0
        while at < len(told):
            _, mask, _, length = _EVENT.unpack_from(told, at)
            at += _EVENT.size + length
            yield bool(mask & _LOST), os.fsdecode(told[at - length : at].rstrip(b"\0"))

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    @staticmethod
    def _checked(answer: int) -> int:
        if answer < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return answer
