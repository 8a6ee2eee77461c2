# SPDX-License-Identifier: Apache-2.0
"""How far the kernel's log was read, kept in a small file from one run of the agent to the next."""

import contextlib
import re
from pathlib import Path
from typing import NamedTuple

BOOT_ID = "/proc/sys/kernel/random/boot_id"

_LINE = re.compile(rb"([0-9a-f-]{36}) ([0-9]{1,18})\n")


class Place(NamedTuple):
    """The record that was read last: its boot, by the kernel's own id for it, and its sequence number there."""

    boot: str
    sequence: int


def boot_id(path: str = BOOT_ID) -> str:
    """Give the id of this boot (proc(5), `random/boot_id`); empty where the kernel does not tell."""
    try:
        with Path(path).open(encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def load(path: str) -> Place | None:
    """Read what `save` has written; None where there is no file. Raises OSError, and ValueError for anything else."""
    try:
        with Path(path).open("rb") as file:
            line = file.read(100)
    except FileNotFoundError:
        return None
    if (match := _LINE.fullmatch(line)) is None:
        raise ValueError(f"{path} does not hold a place in the kernel's log")
    return Place(match[1].decode(), int(match[2]))


def save(path: str, place: Place) -> None:
    """Replace the file at once. Raises OSError.

    It is not forced onto the disk: what a power cut takes away is of a boot that has ended.
    """
    new = Path(f"{path}.new")
    try:
        new.write_bytes(f"{place.boot} {place.sequence}\n".encode())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
