# SPDX-License-Identifier: Apache-2.0
"""The board and the poller: who is read when, and what counts for how long."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from inferometer.board import Board, Poller
from inferometer.model import Frame, Reason, Trouble


class Scripted:
    """A source that does what it is told."""

    def __init__(
        self,
        read: Callable[[], object],
        name: str = "scripted",
        instance: str = "",
        *,
        period: float = 60.0,
        deadline: float = 30.0,
    ) -> None:
        self.name, self.instance, self.period, self.deadline = name, instance, period, deadline
        self._read = read
        self.closed = threading.Event()

    def read(self) -> object:
        return self._read()

    def close(self) -> None:
        self.closed.set()


class Outdated(Scripted):
    """A source that tells what it could not renew."""

    def behind(self) -> float:
        return 42.0


class Watch:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def poller(board: Board) -> Iterator[Poller]:
    poller = Poller(board, period=0.1)
    yield poller
    poller.close(timeout=0.1)


def failing(trouble: Exception) -> Callable[[], object]:
    def read() -> object:
        raise trouble

    return read


def in_turn(*reads: Callable[[], object]) -> Callable[[], object]:
    remaining = iter(reads)

    def read() -> object:
        return next(remaining)()

    return read


def outcome(board: Board) -> Frame[object]:
    (only,) = board.frames().outcomes
    return only


def test_a_good_frame_counts_for_two_of_its_periods() -> None:
    """The board's grace is two periods after the read, and there is no other."""
    watch = Watch()
    board = Board(clock=watch, steady=watch)
    board.put(Frame("s", "", 1, watch.now, 0.0, 5.0, "value"))

    watch.now += 10.0
    at_the_end = board.frames().good
    watch.now += 0.1
    after_it = board.frames().good

    assert [f.value for f in at_the_end] == ["value"]
    assert after_it == ()


def test_a_failure_leaves_the_last_good_frame_for_its_grace() -> None:
    """The newest outcome is the failure; the newest good frame still counts."""
    watch = Watch()
    board = Board(clock=watch, steady=watch)
    board.put(Frame("s", "", 1, watch.now, 0.0, 5.0, "value"))
    board.put(Frame("s", "", 2, watch.now, 0.0, 5.0, None, Trouble(Reason.TIMEOUT, "late")))

    frames = board.frames()

    assert [f.trouble.reason for f in frames.outcomes if f.trouble] == [Reason.TIMEOUT]
    assert [f.value for f in frames.good] == ["value"]
    assert frames.ages == {("s", ""): 0.0}


def test_a_clock_that_is_set_makes_no_reading_older_or_younger() -> None:
    """Ages and the grace are monotonic: an hour's jump of the wall clock changes neither."""
    wall, steady = Watch(), Watch()
    board = Board(clock=wall, steady=steady)
    board.put(Frame("s", "", 1, wall.now, 0.0, 5.0, "value"))

    wall.now += 3600.0
    steady.now += 3.0
    frames = board.frames()

    assert frames.ages == {("s", ""): 3.0}
    assert [f.value for f in frames.good] == ["value"]


def test_frames_stand_in_the_order_of_their_names(board: Board) -> None:
    """Whoever answers first does not change the snapshot."""
    for name, instance in (("pods", ""), ("engine", "b"), ("engine", "a")):
        board.put(Frame(name, instance, 1, 0.0, 0.0, 5.0, "value"))

    assert [(f.source, f.instance) for f in board.frames().good] == [("engine", "a"), ("engine", "b"), ("pods", "")]


def test_a_tick_reads_every_source_and_waits_for_the_answers(board: Board, poller: Poller) -> None:
    """What the sources say is on the board when the tick returns."""
    poller.add(Scripted(lambda: "one", instance="1"))
    poller.add(Scripted(lambda: "two", instance="2"))

    poller.tick(patience=30.0)

    assert [f.value for f in board.frames().good] == ["one", "two"]


def test_a_source_that_hangs_holds_up_nobody_and_is_reported(board: Board, poller: Poller) -> None:
    """Past its deadline a read is timed out while the others' answers stand; it reads again once it returns."""
    release = threading.Event()
    poller.add(Scripted(lambda: release.wait(60), "hangs", deadline=0.05))
    poller.add(Scripted(lambda: "fine", "works"))

    poller.tick(patience=30.0)
    hung, fine = board.frames().outcomes
    release.set()
    end = time.monotonic() + 30
    while outcome_of(board, "hangs").trouble is not None and time.monotonic() < end:
        time.sleep(0.01)

    assert hung.trouble is not None
    assert hung.trouble.reason is Reason.TIMEOUT
    assert fine.value == "fine"
    assert outcome_of(board, "hangs").trouble is None


def outcome_of(board: Board, name: str) -> Frame[object]:
    return next(f for f in board.frames().outcomes if f.source == name)


def test_a_slow_source_is_left_to_the_next_snapshot_after_one_period(board: Board, poller: Poller) -> None:
    """A tick never lasts longer than its patience, whatever the deadline of a source."""
    release = threading.Event()
    poller.add(Scripted(lambda: release.wait(60), "slow", deadline=60.0))

    poller.tick()
    told = board.frames().outcomes
    release.set()

    assert told == ()


def test_trouble_is_an_outcome_with_its_reason(board: Board, poller: Poller) -> None:
    """What a source raises on purpose arrives as it is."""
    poller.add(Scripted(failing(Trouble(Reason.PERMISSION, "may not", "Let it."))))

    poller.tick(patience=30.0)

    assert outcome(board).trouble is not None
    assert outcome(board).trouble.remedy == "Let it."  # type: ignore[union-attr]  # asserted above


def test_a_defect_is_an_outcome_too_and_the_source_is_read_again(board: Board, poller: Poller) -> None:
    """An unexpected exception is counted as internal and does not end the reader."""
    poller.add(Scripted(in_turn(failing(ZeroDivisionError()), lambda: "well"), period=0.01))

    poller.tick(patience=30.0)
    first = outcome(board)
    time.sleep(0.05)
    poller.tick(patience=30.0)

    assert first.trouble is not None
    assert first.trouble.reason is Reason.INTERNAL
    assert outcome(board).value == "well"
    assert outcome(board).sequence > first.sequence


def test_it_is_logged_when_a_source_fails_and_when_it_recovers_and_not_between(
    poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    """Three failures and a recovery are two lines."""
    refused = failing(Trouble(Reason.REFUSED, "nobody there"))
    poller.add(Scripted(in_turn(refused, refused, refused, lambda: "well"), period=0.001))

    with caplog.at_level("INFO", logger="inferometer.board"):
        for _ in range(4):
            poller.tick(patience=30.0)
            time.sleep(0.06)

    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


def test_a_source_made_anew_does_not_repeat_the_numbers_of_its_frames(board: Board, poller: Poller) -> None:
    """After a reload its failures are counted on, not taken for those that were counted before."""
    refused = failing(Trouble(Reason.REFUSED, "nobody there"))
    poller.add(Scripted(refused))
    poller.tick(patience=30.0)
    before = outcome(board).sequence

    poller.remove(("scripted", ""))
    poller.add(Scripted(refused))
    poller.tick(patience=30.0)

    assert outcome(board).sequence > before


def test_a_trouble_on_the_board_holds_on_to_nothing_that_was_being_read(board: Board, poller: Poller) -> None:
    """A page that is refused is let go: neither traceback nor context keeps it in memory."""

    def read() -> None:
        try:
            raise ValueError("a page of 8 MiB is in this frame")
        except ValueError:
            raise Trouble(Reason.MALFORMED, "no page", "Mend it.") from None

    poller.add(Scripted(read))
    poller.tick(patience=30.0)

    trouble = outcome(board).trouble
    assert trouble is not None
    assert (trouble.message, trouble.remedy) == ("no page", "Mend it.")
    assert trouble.__traceback__ is None
    assert trouble.__context__ is None


def test_a_defect_that_repeats_is_logged_once(poller: Poller, caplog: pytest.LogCaptureFixture) -> None:
    """One traceback and one line for people, however many ticks it lasts."""
    poller.add(Scripted(failing(ZeroDivisionError()), period=0.001))

    for _ in range(3):
        poller.tick(patience=30.0)
        time.sleep(0.06)

    assert [r.levelname for r in caplog.records] == ["ERROR", "WARNING"]


def test_a_slow_source_does_not_cost_the_others_their_next_tick(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that waits in vain is over before the next is due, so that the agent keeps its rhythm."""
    release, watch = threading.Event(), Watch()
    poller = Poller(board, period=2.0)
    poller.add(Scripted(lambda: release.wait(60), deadline=60.0))

    def wait(seconds: float) -> None:
        watch.now += seconds

    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", watch)
        patch.setattr(poller._round.over, "wait", wait)
        poller.tick()
    release.set()
    poller.close()

    assert 101.0 < watch.now < 102.0


def test_a_source_is_not_read_before_its_period_is_over(poller: Poller) -> None:
    """Two ticks within one period read once."""
    reads: list[int] = []
    poller.add(Scripted(lambda: reads.append(1), period=60.0))

    poller.tick(patience=30.0)
    poller.tick(patience=30.0)

    assert len(reads) == 1


def test_a_removed_source_is_forgotten_and_closed(board: Board, poller: Poller) -> None:
    """What a source that is no more said does not linger on the board."""
    source = Scripted(lambda: "value")
    poller.add(source)
    poller.tick(patience=30.0)

    poller.remove(("scripted", ""))

    assert board.frames().outcomes == ()
    assert source.closed.wait(30)


def test_a_removed_source_that_still_reads_puts_nothing_on_the_board(board: Board, poller: Poller) -> None:
    """A late answer of a source that was removed is dropped."""
    release = threading.Event()
    source = Scripted(lambda: release.wait(60), deadline=0.01)
    poller.add(source)
    poller.tick(patience=0.05)

    poller.remove(("scripted", ""))
    release.set()

    assert source.closed.wait(30)
    assert board.frames().outcomes == ()


def test_a_source_that_could_not_renew_what_it_tells_says_so(board: Board, poller: Poller) -> None:
    """How far it is behind stands beside its age; a source that tells only what it has read is never behind."""
    poller.add(Outdated(lambda: "old", "keeping"))
    poller.add(Scripted(lambda: "new", "reading"))
    poller.tick()

    assert board.frames().behind == {("keeping", ""): 42.0}


@pytest.mark.parametrize("end", [lambda poller: poller.remove(("scripted", "")), lambda poller: poller.close(0.1)])
def test_a_tick_waits_for_no_source_that_is_removed_meanwhile(board: Board, end: Callable[[Poller], None]) -> None:
    """A source that hangs when it is removed, or when all ends, lets the tick go, and no time-out is told of it."""
    reads, release = threading.Event(), threading.Event()

    def hang() -> object:
        reads.set()
        return release.wait(60)

    poller = Poller(board, period=0.1)
    poller.add(Scripted(hang, deadline=30.0))
    ticking = threading.Thread(target=poller.tick, args=(30.0,), daemon=True)
    ticking.start()
    assert reads.wait(30)

    end(poller)
    ticking.join(30)

    is_over = not ticking.is_alive()
    release.set()
    poller.close()
    assert is_over
    assert [f for f in board.frames().outcomes if f.trouble] == []


def test_a_machine_that_stands_still_costs_no_source_its_answer(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop of two seconds amid a read neither ends the tick without it nor makes it late."""
    release, watch = threading.Event(), Watch()
    poller = Poller(board, period=0.5)
    poller.add(Scripted(lambda: release.wait(60), period=0.5, deadline=0.9))
    waits: list[float] = []
    wait = poller._round.over.wait

    def stand_still(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            watch.now += seconds + 2.0
        else:
            release.set()
            wait(60)

    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", watch)
        patch.setattr(poller._round.over, "wait", stand_still)
        poller.tick()
    poller.close()

    assert waits == pytest.approx([0.45, 0.45])
    assert outcome(board).value is True
    assert outcome(board).took < 0.9


def test_a_tick_that_begins_late_still_waits_once_more(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second went by before it first waited, where many threads were made: what stands still after that counts too."""
    release, watch = threading.Event(), Watch()
    poller = Poller(board, period=0.5)
    poller.add(Scripted(lambda: release.wait(60), period=0.5, deadline=0.9))
    waits: list[float] = []
    wait = poller._round.over.wait
    start = threading.Thread.start

    def start_late(thread: threading.Thread) -> None:
        watch.now += 0.5
        start(thread)

    def stand_still(seconds: float) -> None:
        waits.append(seconds)
        watch.now += seconds + 2.0
        if len(waits) == 2:
            release.set()
            wait(60)

    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", watch)
        patch.setattr(threading.Thread, "start", start_late)
        patch.setattr(poller._round.over, "wait", stand_still)
        poller.tick()
    poller.close()

    assert waits == pytest.approx([0.45, 0.45])
    assert outcome(board).value is True
