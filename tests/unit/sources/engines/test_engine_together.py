# SPDX-License-Identifier: Apache-2.0
"""Many engines on one node: read by one thread where they answer promptly, each by its own where they do not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from inferometer import config
from inferometer.board import Board, Poller
from inferometer.model import EngineReport, Frame, Reason, Target
from inferometer.sources.engines.scrape import Engine
from peer import Behaviour, Peer, answer, chunked, in_turn, peer_with, silent

PERIOD = 0.2
TEXT = b"Content-Type: text/plain"


def page(running: int) -> bytes:
    return b'vllm:num_requests_running{model_name="m"} %d\n' % running


def pages(framed: bool, *after: bytes) -> Behaviour:
    turns = [page(i) for i in range(3)]
    return in_turn(*([answer(each, TEXT) if framed else chunked(each) for each in turns]), *after)


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def poller(board: Board) -> Iterator[Poller]:
    poller = Poller(board, PERIOD)
    yield poller
    poller.close()


def newest(board: Board) -> dict[str, Frame[object]]:
    return {frame.instance: frame for frame in board.frames().outcomes}


def running(frame: Frame[object]) -> object:
    assert isinstance(frame.value, EngineReport), frame.trouble
    return frame.value.readings[0].value


def test_engines_are_read_together_from_their_second_page_on(board: Board, poller: Poller) -> None:
    """Whatever way their pages are framed, each report is of the page that was served then."""
    taken: list[str] = []
    with ExitStack() as stack:
        for i in range(4):
            peer = stack.enter_context(peer_with(pages(i % 2 == 0)))
            engine = Engine(Target(f"e{i}", peer.url(), deadline=30.0), config.Engines(), PERIOD)
            poller.add(_Watched(engine, taken))
        for turn in range(3):
            for i in range(4):
                poller.hurry(("engine", f"e{i}"))
            poller.tick(patience=60)
            assert {name: running(frame) for name, frame in newest(board).items()} == {f"e{i}": turn for i in range(4)}
    assert "crew" in taken


class _Watched:
    """An engine, and who reads it."""

    def __init__(self, engine: Engine, taken: list[str]) -> None:
        self._engine, self._taken = engine, taken

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    name, instance, period, deadline = "engine", property(lambda self: self._engine.instance), PERIOD, 30.0

    def take(self) -> EngineReport | None:
        report = self._engine.take()
        if report is not None:
            self._taken.append(threading.current_thread().name)
        return report

    def read(self) -> EngineReport:
        return self._engine.read()

    def close(self) -> None:
        self._engine.close()


def once(peer: Peer, connection: socket.socket) -> None:
    in_turn(answer(page(0), TEXT))(peer, connection)
    silent(peer, connection)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (in_turn(answer(page(0), TEXT), answer(b"no", status=b"404 Not Found")), Reason.REJECTED),
        (in_turn(answer(page(0), TEXT), answer(b"<html>", TEXT)), Reason.MALFORMED),
        (in_turn(answer(page(0), TEXT), answer(page(1), TEXT)[:-3]), Reason.MALFORMED),
        (once, Reason.TIMEOUT),
    ],
)
def test_an_engine_that_fails_is_told_apart_and_read_alone(
    then: Behaviour, reason: Reason, board: Board, poller: Poller
) -> None:
    """What was asked together with others fails as it would alone, and is backed off from; the others are read."""
    settings = config.Engines(deadline=config.Seconds(30))
    with peer_with(then) as bad, peer_with(pages(True)) as good:
        engine = Engine(Target("bad", bad.url()), settings, PERIOD)
        poller.add(engine)
        poller.add(Engine(Target("good", good.url()), settings, PERIOD))
        for _ in range(2):
            poller.hurry(("engine", "bad"))
            poller.hurry(("engine", "good"))
            poller.tick(patience=60)
            if reason is Reason.TIMEOUT:
                engine._client.deadline = 0.5  # from the second question on
        frames = newest(board)
        assert frames["bad"].trouble is not None
        assert frames["bad"].trouble.reason is reason
        assert running(frames["good"]) == 1
        assert engine.period == 2 * PERIOD
        assert not engine.is_prompt
