# SPDX-License-Identifier: Apache-2.0
"""Sources that one thread sees to, as far as they answer promptly: what the poller makes of them."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from inferometer.board import Board, Poller
from inferometer.model import Reason, Trouble


class Prompt:
    """A source whose question is answered at once, unless it is told otherwise."""

    name, period, deadline, moment, took = "prompt", 30.0, 30.0, 0.0, 0.0

    def __init__(self, instance: str, take: Callable[[], object] | None = None) -> None:
        self.instance = instance
        self.is_prompt = True
        self.readers: list[str] = []
        self.closed = threading.Event()
        self._take = take
        self._ours, self._theirs = socket.socketpair()

    def ask(self) -> int | None:
        if self._take is not None:
            self._theirs.send(b"?")
        return self._ours.fileno()

    def take(self) -> object:
        self.readers.append(threading.current_thread().name)
        self._ours.recv(1)
        return self._take() if self._take is not None else None

    def read(self) -> object:
        self.readers.append(threading.current_thread().name)
        return "read"

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()
        self.closed.set()


class Deaf(Prompt):
    """A source that does not answer, neither promptly nor ever."""

    deadline = 0.4

    def __init__(self, instance: str) -> None:
        super().__init__(instance)
        self.let_go = threading.Event()

    def read(self) -> object:
        self.let_go.wait(60)
        return "late"


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def poller(board: Board) -> Iterator[Poller]:
    poller = Poller(board, period=0.1)
    yield poller
    poller.close(timeout=5)


def values(board: Board) -> dict[str, object]:
    return {frame.instance: frame.value for frame in board.frames().good}


def test_prompt_sources_are_read_by_one_thread(board: Board, poller: Poller) -> None:
    """Each is told as its own frame, stamped when it was asked."""
    sources = [Prompt(str(i), lambda i=i: i) for i in range(3)]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    for source in sources:
        poller.add(source)
    before = time.time()
    poller.tick(patience=30)
    assert values(board) == {"0": 0, "1": 1, "2": 2}
    assert {reader for source in sources for reader in source.readers} == {"crew"}
    assert all(before <= frame.at <= time.time() and frame.took >= 0 for frame in board.frames().good)


def test_a_source_that_is_not_prompt_now_is_read_by_its_own_thread(board: Board, poller: Poller) -> None:
    """As at its first read; and when asking it fails."""
    slow, broken = Prompt("slow", lambda: 1), Prompt("broken", lambda: 1)
    slow.is_prompt = False
    broken.ask = failing  # type: ignore[method-assign]  # a defect
    poller.add(slow)
    poller.add(broken)
    poller.tick(patience=30)
    assert values(board) == {"slow": "read", "broken": "read"}
    assert slow.readers == ["prompt slow"]


def failing() -> int | None:
    raise RuntimeError("no descriptor")


def refused() -> object:
    raise Trouble(Reason.MALFORMED, "no page")


def defect() -> object:
    raise KeyError("x")


def test_what_goes_wrong_promptly_is_an_outcome(board: Board, poller: Poller) -> None:
    """Trouble by its reason, a defect as our own, and both are asked again."""
    poller.add(Prompt("bad", refused))
    poller.add(Prompt("worse", defect))
    poller.tick(patience=30)
    assert {frame.instance: frame.trouble and frame.trouble.reason for frame in board.frames().outcomes} == {
        "bad": Reason.MALFORMED,
        "worse": Reason.INTERNAL,
    }


def test_a_prompt_source_that_hangs_holds_up_nobody_and_is_reported(board: Board, poller: Poller) -> None:
    """The others are read at this tick and the next; it is late at its deadline, and its late answer counts."""
    deaf, quick = Deaf("deaf"), Prompt("quick", lambda: 1)
    poller.add(deaf)
    poller.add(quick)
    poller.tick(patience=30)
    troubles = {frame.instance: frame.trouble for frame in board.frames().outcomes}
    assert troubles["deaf"] is not None
    assert troubles["deaf"].reason is Reason.TIMEOUT
    assert values(board) == {"quick": 1}
    poller.hurry(("prompt", "quick"))
    poller.tick(patience=30)
    assert quick.readers == ["crew", "crew"]
    deaf.let_go.set()
    until = time.monotonic() + 30
    while values(board).get("deaf") != "late" and time.monotonic() < until:
        time.sleep(0.01)
    assert values(board)["deaf"] == "late"


def test_a_prompt_source_that_is_removed_while_it_is_asked_is_forgotten(board: Board, poller: Poller) -> None:
    """No tick waits for it, it is closed, and the crew goes on."""
    deaf, quick = Deaf("deaf"), Prompt("quick", lambda: 1)
    deaf.let_go.set()
    poller.add(deaf)
    poller.add(quick)
    poller.tick(patience=0.0)
    poller.remove(("prompt", "deaf"))
    assert deaf.closed.wait(30)
    until = time.monotonic() + 30
    while "quick" not in values(board) and time.monotonic() < until:
        time.sleep(0.01)
    poller.hurry(("prompt", "quick"))
    poller.tick(patience=30)
    assert quick.readers[-1] == "crew"
    assert "deaf" not in {frame.instance for frame in board.frames().outcomes}


def test_a_read_took_as_long_as_its_answer_took_to_come(board: Board, poller: Poller) -> None:
    """However long others were waited for, and however late in the period it was asked."""
    early, last = Prompt("early", lambda: "quick"), Prompt("last", lambda: "quick")
    early.took, last.took, last.moment = 1000.0, 2000.0, 0.01
    for each in (early, last):
        poller.add(each)
    poller.tick(patience=30)
    took = {frame.instance: frame.took for frame in board.frames().good}
    assert 1000.0 <= took["early"] < 1500.0
    assert 2000.0 <= took["last"] < 2500.0
