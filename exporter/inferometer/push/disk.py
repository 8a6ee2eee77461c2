# SPDX-License-Identifier: Apache-2.0
"""A directory of records, one a file, that never takes more than its limit.

A record is written under another name and renamed when it is whole, so that whenever the agent or the node dies there is all of
it or nothing that counts; its CRCs tell what a disk has lost or altered later. It is not forced to the disk: a node that loses
its power may lose what the kernel had not yet written, which is what it lost of every other measurement too.
"""

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from inferometer.model import Reason, Trouble
from inferometer.push.record import HEAD_SIZE, VERSION, Head, read_head

_BLOCK = 4096  # bytes in which a file system hands out room

_NAME = re.compile(r"v(\d{1,4})-([0-9a-f]{16})\.otlp")
_UNFINISHED = "unfinished"  # the one that is being written
_LOCK = "lock"


class Found(NamedTuple):
    """A record that was there: its number, and its head, None where that could not be read and the file is removed."""

    number: int
    head: Head | None


class Disk:
    """The records of one directory, by number. Whoever has it open has it alone. It is used under one lock."""

    def __init__(self, directory: Path) -> None:
        """Make the directory, lock it, and clear away what a crash left unfinished. Raises Trouble."""
        self._directory = directory
        self._rooms: dict[Path, int] = {}  # bytes of each file
        self.used = 0  # bytes of all of them
        self._left: set[Path] = set()  # what could not be removed
        self.torn = 0  # records that were being written when the agent before died
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _trouble(directory, error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (directory / _UNFINISHED).exists():
                (directory / _UNFINISHED).unlink()
                self.torn = 1
        except OSError as error:
            os.close(self._lock)
            if isinstance(error, BlockingIOError):
                remedy = "Give each agent a directory of its own: otlp.spool.directory."
                raise Trouble(Reason.REFUSED, f"{directory} is another agent's spool", remedy) from None
            raise _trouble(directory, error) from None

    def find(self) -> list[Found]:
        """List the records, oldest first. Raises Trouble."""
        try:
            names = [match for path in self._directory.iterdir() if (match := _NAME.fullmatch(path.name))]
        except OSError as error:
            raise _trouble(self._directory, error) from None
        return [self._look(name) for name in sorted(names, key=lambda name: int(name[2], 16))]

    def save(self, number: int, record: bytes) -> None:
        """Write a record. Raises Trouble where there is no room, no right, or no disk."""
        unfinished, path = self._directory / _UNFINISHED, self._path(number)
        try:
            file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                rest = memoryview(record)
                while rest:
                    rest = rest[os.write(file, rest) :]
            finally:
                os.close(file)
            unfinished.rename(path)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise _trouble(self._directory, error) from None
        self._count(path, room(len(record)))

    def load(self, number: int) -> bytes:
        """Read a record's bytes. Raises OSError, and ValueError where it is no file."""
        with _opened(self._path(number)) as file:
            return file.read()

    def remove(self, number: int) -> None:
        """Remove a record; where the disk will not, later."""
        self._left.add(self._path(number))
        self.tidy()

    def tidy(self) -> None:
        """Remove what could not be removed before."""
        for path in tuple(self._left):
            with suppress(OSError):  # a disk that has become read-only
                path.unlink(missing_ok=True)
                self._left.discard(path)
                self.used -= self._rooms.pop(path, 0)

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._lock)

    def _look(self, name: re.Match[str]) -> Found:
        path = self._directory / name[0]
        try:
            with _opened(path) as file:
                self._count(path, room(os.fstat(file.fileno()).st_size))
                head = read_head(file.read(HEAD_SIZE))
            if path != self._path(int(name[2], 16)):
                raise ValueError("the name and the content are of two versions")
        except (OSError, ValueError):
            self._left.add(path)
            self.tidy()
            head = None
        return Found(int(name[2], 16), head)

    def _count(self, path: Path, size: int) -> None:
        self.used += size - self._rooms.get(path, 0)
        self._rooms[path] = size

    def _path(self, number: int) -> Path:
        return self._directory / f"v{VERSION}-{number:016x}.otlp"


def _opened(path: Path) -> BinaryIO:
    """Open a file for reading; nothing that somebody laid in its place makes us wait or read elsewhere."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("no file")
    return file


def room(size: int) -> int:
    """Give the bytes that a file of this size takes."""
    return -(-size // _BLOCK) * _BLOCK


def _trouble(directory: Path, error: OSError) -> Trouble:
    reason = {FileNotFoundError: Reason.MISSING, PermissionError: Reason.PERMISSION}.get(type(error), Reason.REFUSED)
    text = f"The spool in {directory} cannot be used: {error.strerror or error}"
    return Trouble(reason, text, "Name a writable directory with room for it: otlp.spool.directory.")
