# SPDX-License-Identifier: Apache-2.0
"""The spool on a real disk: order, limits, restarts, crashes, and disks that fail."""

import errno
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from example import GPU, point, snapshot
from inferometer import catalog, config
from inferometer.push.record import Head, read, write
from inferometer.push.spool import Spool
from inferometer.views.otlp import Encoder

BLOCK = 4096


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def spool_in(directory: Path | str, *, clock: Clock | None = None, steady: Clock | None = None, **keys: Any) -> Spool:
    settings = config.Spool(directory=str(directory), **keys)
    return Spool(settings, clock or Clock(), steady or Clock())


def request(number: int, points: int = 1) -> bytes:
    """Give a request with its number as the values of its points."""
    shown = snapshot(*(point(catalog.POWER, {**GPU, "hw.id": f"GPU-{i}"}, float(number)) for i in range(points)))
    return Encoder().requests(shown, max_bytes=1 << 20)[0]


def lengthy(number: int, size: int = 9000) -> bytes:
    """Give a body that no compression makes shorter."""
    return Random(number).randbytes(size)


def fail_once(spool: Spool) -> None:
    """Have the receiver not take what is next."""
    taken = spool.take()
    assert taken is not None
    spool.put_back(taken[0])


def drained(spool: Spool) -> list[bytes]:
    """Take everything, as a receiver that takes all of it."""
    bodies = []
    while (taken := spool.take()) is not None:
        spool.done(taken[0])
        bodies.append(taken[1])
    return bodies


def lost(spool: Spool) -> dict[str, tuple[int, int]]:
    return {reason: counts for reason, counts in spool.state.dropped.items() if counts != (0, 0)}


def on_disk(directory: Path) -> int:
    """Give the bytes that the files of a directory take."""
    return sum(-(-path.stat().st_size // BLOCK) * BLOCK for path in directory.iterdir())


# --- in health ---


def test_nothing_is_written_while_the_receiver_takes_everything(tmp_path: Path) -> None:
    """The disk is not touched by a push that is taken: there is a lock and no record, whatever the number of pushes."""
    spool = spool_in(tmp_path / "spool")
    for number in range(5):
        spool.put([request(number)])
        assert drained(spool) == [request(number)]
        assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_a_push_that_comes_while_one_is_under_way_is_written_with_it(tmp_path: Path) -> None:
    """A crash loses at most the push that is under way: when the next comes, both are on the disk."""
    spool = spool_in(tmp_path)
    spool.put([request(1)])
    taken = spool.take()
    spool.put([request(2)])
    assert len(list(tmp_path.glob("v1-*.otlp"))) == 2
    assert taken is not None
    spool.done(taken[0])
    assert drained(spool) == [request(2)]
    assert not list(tmp_path.glob("v1-*.otlp"))


# --- order, restarts ---


def test_a_restart_drains_what_was_left_and_then_the_fresh(tmp_path: Path) -> None:
    """The agent before is killed: its records go out first, oldest first, with the times and points that they had."""
    before = spool_in(tmp_path)
    before.put([request(1), request(2)])
    fail_once(before)
    before.put([request(3, points=4)])
    assert before.state.requests == 3
    os.close(before._disk._lock)  # type: ignore[union-attr]  # what the kernel does when a process is killed
    clock = Clock(1060.0)
    after = spool_in(tmp_path, clock=clock)
    after.put([request(4)])
    assert (after.state.requests, after.state.age) == (4, 60.0)
    assert drained(after) == [request(1), request(2), request(3, points=4), request(4)]
    assert after.state.requests == 0
    assert lost(after) == {}


def test_closing_leaves_everything_on_disk(tmp_path: Path) -> None:
    """What is fresh when the agent ends is there after its start, even if nothing had failed."""
    spool = spool_in(tmp_path)
    spool.put([request(1)])
    spool.close()
    again = spool_in(tmp_path)
    again.put([request(2)])
    assert drained(again) == [request(1), request(2)]


def test_fresh_first_sends_the_newest_push_before_what_waits(tmp_path: Path) -> None:
    """Of the newest push all requests go first, in their order; once tried in vain they wait like the others."""
    spool = spool_in(tmp_path, order="fresh-first")
    spool.put([request(1)])
    fail_once(spool)
    spool.put([request(2)])
    spool.put([request(3), request(4)])
    assert drained(spool) == [request(3), request(4), request(1), request(2)]
    spool.put([request(5)])
    fail_once(spool)
    spool.put([request(6)])
    fail_once(spool)
    assert drained(spool) == [request(5), request(6)]


def test_two_agents_do_not_share_a_directory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second one keeps what waits in memory and says why; when the first has ended it takes over."""
    steady = Clock()
    first, second = spool_in(tmp_path), spool_in(tmp_path, steady=steady)
    first.put([request(1)])
    with caplog.at_level(logging.INFO):
        second.put([request(2)])
        fail_once(second)
        assert second.state.storage == "memory"
        first.close()
        steady.now += 31
        second.put([request(3)])
        assert second.state.storage == "disk"
    assert drained(second) == [request(1), request(2), request(3)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "INFO"]
    assert "another agent's spool" in caplog.text


# --- limits ---


def test_the_disk_never_has_more_than_its_limit_and_the_oldest_go_first(tmp_path: Path) -> None:
    """Of 40 records of 3 blocks in 16 blocks the newest 5 stay; the others are counted, requests and points."""
    spool = spool_in(tmp_path, max_size=config.Size(16 * BLOCK))
    for number in range(40):
        spool.put([lengthy(number)])
        if number == 0:
            fail_once(spool)
        assert on_disk(tmp_path) <= 16 * BLOCK
        assert spool.state.usage["disk"] == on_disk(tmp_path)
    assert drained(spool) == [lengthy(number) for number in range(35, 40)]
    assert lost(spool) == {"size": (35, 0)}
    assert on_disk(tmp_path) == 0


def test_a_record_that_alone_is_beyond_the_limit_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    """It does not push out what has room."""
    spool = spool_in(tmp_path, max_size=config.Size(16 * BLOCK))
    spool.put([lengthy(1)])
    fail_once(spool)
    spool.put([lengthy(2, 17 * BLOCK)])
    assert drained(spool) == [lengthy(1)]
    assert lost(spool) == {"size": (1, 0)}


def test_what_is_being_sent_is_not_dropped_under_the_sender(tmp_path: Path) -> None:
    """Counted is what is lost: a request that is under way makes room for nobody until it is known what became of it."""
    spool = spool_in(tmp_path, max_size=config.Size(16 * BLOCK))
    spool.put([lengthy(0)])
    taken = spool.take()
    assert taken is not None
    for number in range(1, 10):
        spool.put([lengthy(number)])
    spool.done(taken[0])
    assert drained(spool) == [lengthy(number) for number in range(6, 10)]
    assert lost(spool) == {"size": (5, 0)}


def test_too_old_is_dropped_by_the_monotonic_clock(tmp_path: Path) -> None:
    """The age is counted whatever is done to the node's clock, and over a restart by the clock at its start."""
    clock, steady = Clock(), Clock()
    spool = spool_in(tmp_path, clock=clock, steady=steady, max_age=config.Seconds(100))
    spool.put([request(1, points=3)])
    fail_once(spool)
    clock.now -= 1e6
    steady.now += 60
    spool.put([request(2)])
    clock.now += 3e6
    steady.now += 41
    assert drained(spool) == [request(2)]
    assert lost(spool) == {"age": (1, 3)}

    spool.put([request(3, points=2)])
    fail_once(spool)
    spool.close()
    later = spool_in(tmp_path, clock=Clock(clock.now + 101), steady=Clock(), max_age=config.Seconds(100))
    later.put([request(4)])
    assert drained(later) == [request(4)]
    assert lost(later) == {"age": (1, 2)}


def test_memory_has_its_own_limit() -> None:
    """Without a directory the newest that fit into memory stay, and the others are counted."""
    spool = spool_in("", memory=config.Size(64 << 10))
    for number in range(20):
        spool.put([lengthy(number)])
        if number == 0:
            fail_once(spool)
        assert spool.state.usage["memory"] <= 64 << 10
    assert drained(spool) == [lengthy(number) for number in range(13, 20)]
    assert lost(spool) == {"memory": (13, 0)}
    assert spool.state.usage == {"memory": 0}


def test_a_limit_that_became_less_holds_from_the_start(tmp_path: Path) -> None:
    """A restart with a smaller spool drops the oldest that the agent before had kept."""
    spool = spool_in(tmp_path)
    for number in range(20):
        spool.put([lengthy(number)])
    spool.close()
    smaller = spool_in(tmp_path, max_size=config.Size(16 * BLOCK))
    smaller.put([])
    assert on_disk(tmp_path) <= 16 * BLOCK
    assert drained(smaller) == [lengthy(number) for number in range(15, 20)]


# --- crashes and corruption ---


def test_a_record_that_is_altered_or_cut_off_anywhere_is_skipped_and_counted(tmp_path: Path) -> None:
    """At every byte of a record: its neighbours arrive, it does not, and it is counted."""
    body = request(2)
    size = len(write(Head(1000.0, 1, last=True), body))
    for offset in range(size):
        for cut in (False, True):
            directory = tmp_path / f"{offset}-{cut}"
            spool = spool_in(directory)
            spool.put([request(1), body, request(3)])
            spool.close()
            path = sorted(directory.glob("v1-*.otlp"))[1]
            record = bytearray(path.read_bytes())
            assert len(record) == size
            path.write_bytes(
                record[:offset] if cut else record[:offset] + bytes([record[offset] ^ 0x10]) + record[offset + 1 :]
            )
            again = spool_in(directory)
            again.put([])
            assert drained(again) == [request(1), request(3)]
            assert {reason: counts[0] for reason, counts in lost(again).items()} == {"corrupt": 1}
            again.close()
            assert on_disk(directory) == 0


def test_a_write_that_a_crash_cut_off_costs_that_record_only(tmp_path: Path) -> None:
    """What was being written when the agent died is cleared away and counted; what was whole is there."""
    spool = spool_in(tmp_path)
    spool.put([request(1)])
    spool.close()
    record = write(Head(1000.0, 1, last=True), request(2))
    (tmp_path / "unfinished").write_bytes(record[: len(record) // 2])
    again = spool_in(tmp_path)
    again.put([request(3)])
    assert drained(again) == [request(1), request(3)]
    assert lost(again) == {"corrupt": (1, 0)}
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_files_of_another_version_go_and_strangers_stay(tmp_path: Path) -> None:
    """A record of a version that cannot be read is counted and takes no room; what is no record is left alone."""
    (tmp_path / f"v2-{7:016x}.otlp").write_bytes(b"a record of tomorrow")
    (tmp_path / "notes.txt").write_bytes(b"somebody else's")
    spool = spool_in(tmp_path)
    spool.put([request(1)])
    assert drained(spool) == [request(1)]
    assert lost(spool) == {"corrupt": (1, 0)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "notes.txt"]


def test_a_record_that_somebody_removed_is_counted(tmp_path: Path) -> None:
    """The next one goes on."""
    spool = spool_in(tmp_path)
    spool.put([request(1, points=5), request(2)])
    fail_once(spool)
    min(tmp_path.glob("v1-*.otlp")).unlink()
    assert drained(spool) == [request(2)]
    assert lost(spool) == {"corrupt": (1, 5)}


def test_a_record_says_what_was_written() -> None:
    """Head and body come back as they were."""
    head = Head(1790000000.25, 12, last=False)
    assert read(write(head, b"")) == (head, b"")
    assert read(write(head, request(1))) == (head, request(1))


# --- disks that fail ---


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file become longer than `size` bytes, as the kernel's limit has it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_done_without_until_it_has_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What waits is kept in memory meanwhile; that is said once, and nothing is lost when there is room again."""
    steady = Clock()
    spool = spool_in(tmp_path, steady=steady)
    with caplog.at_level(logging.INFO):
        spool.put([lengthy(1)])
        fail_once(spool)
        with full_disk(5000):
            for number in range(2, 5):
                steady.now += 31
                spool.put([lengthy(number)])
                assert spool.state.storage == "memory"
        assert len(list(tmp_path.glob("v1-*.otlp"))) == 1
        steady.now += 31
        spool.put([lengthy(5)])
        assert spool.state.storage == "disk"
        assert spool.state.usage["memory"] == 0
    assert len(list(tmp_path.glob("v1-*.otlp"))) == 5
    assert drained(spool) == [lengthy(number) for number in range(1, 6)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert lost(spool) == {}


@pytest.mark.parametrize("place", ["file", "nowhere"])
def test_a_directory_that_cannot_be_made_is_done_without(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even root can make one in a file or in /proc: the spool says so once and works in memory."""
    (tmp_path / "file").write_bytes(b"")
    steady = Clock()
    spool = spool_in(tmp_path / "file" / "spool" if place == "file" else "/proc/inferometer/spool", steady=steady)
    for number in range(1, 4):
        spool.put([request(number)])
        steady.now += 31
    assert spool.state.storage == "memory"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert drained(spool) == [request(1), request(2), request(3)]


def test_a_disk_that_becomes_read_only_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is still read, what comes waits in memory; what could not be removed is removed when that is possible."""
    opened = os.open

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def only_read(path: Any, flags: int, *mode: int) -> int:
        return refuse() if flags & os.O_CREAT else opened(path, flags, *mode)

    steady = Clock()
    spool = spool_in(tmp_path, steady=steady)
    spool.put([request(1), request(2)])
    fail_once(spool)
    with monkeypatch.context() as patch:
        patch.setattr("inferometer.push.disk.os.open", only_read)
        patch.setattr(Path, "unlink", refuse)
        spool.put([request(3)])
        assert spool.state.storage == "memory"
        assert drained(spool) == [request(1), request(2), request(3)]
        assert spool.state.usage["disk"] == on_disk(tmp_path) > 0
    steady.now += 31
    spool.put([request(4)])
    fail_once(spool)
    assert len(list(tmp_path.glob("v1-*.otlp"))) == 1
    assert drained(spool) == [request(4)]
    assert lost(spool) == {}


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe or a link under a record's name is not read; a record that alone is a directory is left where it is."""
    os.mkfifo(tmp_path / f"v1-{1:016x}.otlp")
    (tmp_path / f"v1-{2:016x}.otlp").symlink_to("/dev/zero")
    (tmp_path / f"v1-{3:016x}.otlp").mkdir()
    spool = spool_in(tmp_path)
    spool.put([request(1)])
    fail_once(spool)
    assert drained(spool) == [request(1)]
    assert lost(spool) == {"corrupt": (3, 0)}


def test_the_lock_is_no_way_to_write_elsewhere(tmp_path: Path) -> None:
    """A link that somebody laid in the directory is not followed."""
    target = tmp_path / "target"
    spool_directory = tmp_path / "spool"
    spool_directory.mkdir()
    (spool_directory / "lock").symlink_to(target)
    spool = spool_in(spool_directory)
    spool.put([request(1)])
    assert spool.state.storage == "memory"
    assert not target.exists()


# Writes records of 2 MB for ever, each with its number in front.
_WRITER = """
import sys
from random import Random
from inferometer import config
from inferometer.push.spool import Spool

spool = Spool(config.Spool(directory=sys.argv[1], max_size=config.Size(1 << 30)))
noise = Random(1).randbytes(2_000_000)
number = 0
while True:
    number += 1
    spool.put([b"%08d" % number + noise])
    if number == 1:
        spool.put_back(spool.take()[0])
    print(number, flush=True)
"""


def test_a_kill_in_the_middle_of_a_write_costs_that_write_only(tmp_path: Path) -> None:
    """A process that does nothing but write is killed: every record that it had finished is whole, in order, and is sent."""
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        finished = int(next(line for line in writer.stdout if line == "6\n"))
        until = time.monotonic() + 20
        while not (tmp_path / "unfinished").exists() and time.monotonic() < until:
            time.sleep(0.0001)  # the moment in which it writes is short
        writer.kill()
        finished = max([finished, *(int(line) for line in writer.stdout if line.strip().isdigit())])
    torn = (tmp_path / "unfinished").exists()
    spool = spool_in(tmp_path, max_size=config.Size(1 << 30))
    spool.put([])
    numbers = [int(body[:8]) for body in drained(spool)]
    assert numbers in (list(range(1, finished + 1)), list(range(1, finished + 2)))  # killed before it could say so
    assert lost(spool) == ({"corrupt": (1, 0)} if torn else {})
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
