# SPDX-License-Identifier: Apache-2.0
"""The file of the counters: whole, for its owner alone, and never waited for."""

import os
import stat
import zlib
from pathlib import Path

import pytest

from inferometer.accounting.ledger import UnusableError
from inferometer.app.counters_file import MOST, read, remove, write

DOCUMENT = {"node": "n1", "at": 1.5, "owners": [["ä", None, True]]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Over a file that is there too; nobody else may read it, and nothing else is left."""
    path = tmp_path / "counters"
    path.write_text("old")
    path.with_name("counters.new").write_text("of an agent that was killed")
    before = os.umask(0)  # nothing is masked: the mode is its own
    try:
        write(str(path), DOCUMENT)
    finally:
        os.umask(before)

    assert read(str(path)) == DOCUMENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_removed_is_none(tmp_path: Path) -> None:
    """The next agent finds nothing."""
    path = str(tmp_path / "counters")
    write(path, DOCUMENT)
    remove(path)

    assert read(path) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin"),
        (b"\x7fELF\0\0\n", "does not begin"),
        (b"7c5b1ac4-0000-0000-0000-000000000000 4711\n", "does not begin"),
        (b"inferometer counters 2 00000000\n{}", "version is 2"),
        (b"inferometer counters 1 00000000\n{}", "damaged"),
        (b"inferometer counters 1 %08x\n{]" % zlib.crc32(b"{]"), "no JSON"),
        (b"inferometer counters 1 00000000\n" + b" " * (MOST + 1), "larger"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    """With what is wrong with it."""
    path = tmp_path / "counters"
    path.write_bytes(content)

    with pytest.raises(UnusableError, match=why):
        read(str(path))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe has no end to wait for, and a directory nothing to read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()

    with pytest.raises(UnusableError, match="not a file"):
        read(str(tmp_path / "pipe"))
    with pytest.raises(OSError, match="directory"):
        read(str(tmp_path / "directory"))


def test_too_much_is_not_written(tmp_path: Path) -> None:
    """The file that is there stays."""
    path = str(tmp_path / "counters")
    write(path, DOCUMENT)

    with pytest.raises(UnusableError, match="larger than 8 MiB"):
        write(path, {"rows": "x" * MOST})
    assert read(path) == DOCUMENT
