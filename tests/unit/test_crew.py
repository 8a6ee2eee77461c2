# SPDX-License-Identifier: Apache-2.0
"""The crew: who is asked when, whose answers are read, and who is left to a thread of its own."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from inferometer.crew import Crew


class Seat:
    """A read whose answer comes when a test says so; it is whole with its fifth byte."""

    def __init__(self, moment: float = 0.0, *, asks: bool = True) -> None:
        self.moment = moment
        self._asks = asks
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.answered = b""
        self.asked_at = 0.0
        self.ended = threading.Event()
        self.handed_over = threading.Event()

    def ask(self) -> int | None:
        self.asked_at = time.monotonic()
        return self.ours.fileno() if self._asks else None

    def take(self) -> bool:
        with suppress(BlockingIOError):
            self.answered += self.ours.recv(1)
        if len(self.answered) == 5:
            self.ended.set()
        return len(self.answered) == 5

    def hand_over(self) -> None:
        self.handed_over.set()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()
    crew.join(30)


@pytest.fixture
def seats() -> Iterator[list[Seat]]:
    seats = [Seat(0.1), Seat(), Seat(0.05), Seat(asks=False)]
    yield seats
    for seat in seats:
        seat.close()


def test_each_is_asked_at_its_moment_and_all_answers_are_read(crew: Crew, seats: list[Seat]) -> None:
    """In the order of their moments, which count from the tick; whoever cannot be asked is handed over at once."""
    for seat in seats:
        seat.theirs.send(b"12345")
    began = time.monotonic()
    crew.start(began, seats)
    assert all(seat.ended.wait(30) for seat in seats[:3])
    assert seats[3].handed_over.wait(30)
    assert all(seat.asked_at - began >= seat.moment for seat in seats)
    assert seats[1].asked_at < seats[2].asked_at < seats[0].asked_at


def test_who_does_not_answer_is_handed_over_and_holds_up_nobody(crew: Crew, seats: list[Seat]) -> None:
    """Neither silence nor an answer that never ends keeps the others from being read, now or at the next tick."""
    silent, slow, quick, _ = seats
    slow.theirs.send(b"1234")
    quick.theirs.send(b"12345")
    crew.start(time.monotonic(), seats)
    assert quick.ended.wait(30)
    assert silent.handed_over.wait(30)
    assert slow.handed_over.wait(30)
    assert not quick.handed_over.is_set()
    with closing(Seat()) as other:
        other.theirs.send(b"12345")
        crew.start(time.monotonic(), [other])
        assert other.ended.wait(30)


def test_an_endless_answer_is_left_to_its_own_thread(crew: Crew, seats: list[Seat]) -> None:
    """Something to read at any time is no reason to go on."""
    endless = seats[1]
    endless.take = lambda: False  # type: ignore[method-assign]  # it never takes what is there
    endless.theirs.send(b"1")
    crew.start(time.monotonic(), [endless])
    assert endless.handed_over.wait(30)


def test_a_defect_leaves_everybody_to_their_own_threads(
    crew: Crew, seats: list[Seat], caplog: pytest.LogCaptureFixture
) -> None:
    """One of ours, that is, which no source can make; it is logged, and the crew goes on."""
    seats[0].take = lambda: 1 / 0 > 0  # type: ignore[method-assign]  # as above
    for seat in seats[:2]:
        seat.theirs.send(b"1234")
    crew.start(time.monotonic(), seats[:2])
    assert all(seat.handed_over.wait(30) for seat in seats[:2])
    seats[2].theirs.send(b"12345")
    crew.start(time.monotonic(), seats[2:3])
    assert seats[2].ended.wait(30)
    assert "a defect of ours" in caplog.text


def test_a_defect_has_nothing_read_again_that_was_read(crew: Crew, seats: list[Seat]) -> None:
    """Two threads would read one source at once, at the next tick."""
    sound, defect = seats[:2]
    for seat in seats[:2]:
        seat.moment = 0.0
        seat.theirs.send(b"5")
    sound.answered = b"1234"
    defect.take = lambda: sound.ended.is_set() and 1 / 0 > 0  # type: ignore[method-assign]  # as above
    crew.start(time.monotonic(), seats[:2])
    assert defect.handed_over.wait(30)
    with closing(Seat(asks=False)) as after:
        crew.start(time.monotonic(), [after])
        assert after.handed_over.wait(30)
    assert sound.ended.is_set()
    assert not sound.handed_over.is_set()


def test_the_next_tick_waits_for_no_answer(crew: Crew, seats: list[Seat], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever still makes others wait when it begins is handed over, and those who are due then are asked."""
    monkeypatch.setattr("inferometer.crew._PATIENCE", 3600.0)
    monkeypatch.setattr("inferometer.crew._EACH", 3600.0)
    endless, quick = seats[1], seats[2]
    endless.take = lambda: False  # type: ignore[method-assign]  # there is always more
    endless.theirs.send(b"1")
    quick.theirs.send(b"12345")
    crew.start(time.monotonic(), [endless])
    crew.start(time.monotonic(), [quick])
    assert endless.handed_over.wait(30)
    assert quick.ended.wait(30)


def test_a_crew_that_is_closed_ends() -> None:
    """After what it has begun."""
    before = set(threading.enumerate())
    crew = Crew()
    (thread,) = set(threading.enumerate()) - before
    crew.close()
    crew.join(30)
    assert not thread.is_alive()
