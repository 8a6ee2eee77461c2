# SPDX-License-Identifier: Apache-2.0
"""The file in which an agent leaves its counters to the next: whole and its own, or none."""

import contextlib
import json
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Any

from inferometer.accounting.ledger import UnusableError

MOST = 8 << 20  # bytes: ten times what a dense node's take
_HEAD = re.compile(rb"inferometer counters ([0-9]{1,9}) ([0-9a-f]{8})\n")  # version, CRC-32 of what follows
_LONGEST_HEAD = 64
_VERSION = 1


def read(path: str) -> object:
    """Read what `write` has written; None where there is no file.

    Raises OSError, and UnusableError for anything else than a whole file of this version.
    """
    try:
        # Not to wait for the other end, where somebody has put a pipe there.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise UnusableError("it is not a file")
        content = file.read(_LONGEST_HEAD + MOST + 1)
    head, _, body = content.partition(b"\n")
    match = _HEAD.fullmatch(head + b"\n")
    if match is None:
        raise UnusableError("it does not begin as such a file does")
    if int(match[1]) != _VERSION:
        raise UnusableError(f"its version is {int(match[1])}, and this one reads {_VERSION}")
    if len(body) > MOST:
        raise UnusableError(f"it is larger than {MOST >> 20} MiB")
    if zlib.crc32(body) != int(match[2], 16):
        raise UnusableError("it is damaged: its checksum is another")
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UnusableError("it is no JSON") from error


def remove(path: str) -> None:
    """Remove the file, so that it is gone after a power cut too. Raises OSError."""
    Path(path).unlink()
    directory = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write(path: str, document: dict[str, Any]) -> None:
    """Replace the file at once, readable by its owner alone. Raises OSError, and UnusableError for what is too large.

    It is not forced onto the disk: what a power cut leaves of it is told by its checksum.
    """
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    if len(body) > MOST:
        raise UnusableError(f"it would be larger than {MOST >> 20} MiB")
    new = Path(f"{path}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()  # of an agent that was killed meanwhile, whatever it is
        opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(b"inferometer counters %d %08x\n" % (_VERSION, zlib.crc32(body)))
            file.write(body)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _refuse(constant: str) -> object:
    raise UnusableError(f"{constant} is no number")
