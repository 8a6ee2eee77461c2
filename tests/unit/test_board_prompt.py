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


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"prompt {name}"]


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
    for thread in threads_of("deaf"):
        thread.join(10)
        assert not thread.is_alive()


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


def test_a_source_has_a_thread_only_while_it_needs_one(board: Board, poller: Poller) -> None:
    """None as long as it answers promptly, one that stays while it does not, and none again afterwards."""
    source = Prompt("turns", lambda: "taken")
    poller.add(source)
    poller.tick(patience=10)
    assert values(board) == {"turns": "taken"}
    assert threads_of("turns") == []

    source.is_prompt = False
    seen = []
    for _ in range(2):
        poller.hurry(("prompt", "turns"))
        poller.tick(patience=10)
        seen += threads_of("turns")
    assert values(board) == {"turns": "read"}
    assert len(seen) == 2
    assert seen[0] is seen[1]

    source.is_prompt = True
    poller.hurry(("prompt", "turns"))
    poller.tick(patience=10)
    assert values(board) == {"turns": "taken"}
    seen[0].join(10)
    assert threads_of("turns") == []
    assert source.readers == ["crew", "prompt turns", "prompt turns", "crew"]


def test_the_end_closes_all_and_leaves_no_thread(board: Board) -> None:
    """Those that had a thread of their own, those that had none, and those that were never read; a hung one holds up nobody."""
    threads = set(threading.enumerate())
    poller = Poller(board, period=0.1)
    own, crews, never, deaf = Prompt("own"), Prompt("crew's", lambda: 1), Prompt("never", lambda: 1), Deaf("deaf")
    own.is_prompt = False
    for source in (own, crews, deaf):
        poller.add(source)
    poller.tick(patience=10)
    poller.add(never)
    poller.close(timeout=0.1)
    assert all(source.closed.wait(10) for source in (own, crews, never))
    assert not deaf.closed.is_set()

    deaf.let_go.set()
    assert deaf.closed.wait(10)
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_source_for_which_there_is_no_thread_is_tried_again(
    board: Board, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told by its name, the others are read, and so is it when there is one."""
    slow, quick = Prompt("slow", lambda: 1), Prompt("quick", lambda: 1)
    poller.add(quick)
    poller.tick(patience=10)  # the crew is there
    slow.is_prompt = False
    poller.add(slow)
    poller.hurry(("prompt", "quick"))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        poller.tick(patience=10)
    troubles = {frame.instance: frame.trouble for frame in board.frames().outcomes}
    assert troubles["slow"] is not None
    assert troubles["slow"].message == "prompt slow: can't start new thread"
    assert values(board) == {"quick": 1}
    poller.hurry(("prompt", "slow"))
    poller.tick(patience=10)
    assert values(board) == {"quick": 1, "slow": "read"}


def test_a_tick_waits_for_no_source_for_which_there_is_no_thread(
    board: Board, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its outcome at once: to wait for it would keep all others from the next snapshot, and the processor busy."""
    waits: list[float] = []
    slow = Prompt("slow")
    slow.is_prompt = False
    poller.add(slow)
    monkeypatch.setattr(threading.Thread, "start", no_more)
    monkeypatch.setattr(poller._round.over, "wait", waits.append)

    poller.tick(patience=10)

    assert waits == []
    assert [frame.trouble.reason for frame in board.frames().outcomes if frame.trouble] == [Reason.INTERNAL]


def test_a_crew_for_which_there_is_no_thread_is_tried_again(
    board: Board, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick has its snapshot, the source is told by its name, and it is read as soon as there is a thread."""
    poller.add(Prompt("quick", lambda: 1))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        poller.tick(patience=10)
    messages = [frame.trouble.message for frame in board.frames().outcomes if frame.trouble]

    poller.hurry(("prompt", "quick"))
    poller.tick(patience=10)

    assert messages == ["prompt quick: can't start new thread"]
    assert values(board) == {"quick": 1}


def no_more(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
