# SPDX-License-Identifier: Apache-2.0
"""Engines that answer in every way that is wrong, or odd, one after another: what is told is what was asked for last."""

import gzip
import random
import socket
import time
from contextlib import ExitStack

from inferometer import config
from inferometer.board import Board, Poller
from inferometer.model import EngineReport, Frame, Target
from inferometer.sources.engines.scrape import Engine
from peer import Behaviour, Peer, answer, chunked, peer_with

PERIOD = 0.2
ENGINES = 4
TEXT = b"Content-Type: text/plain"


class _Serving:
    """One engine: its page says whose it is and how many questions there have been."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.questions = 0
        self._random = random.Random(name)

    def run(self, peer: Peer, connection: socket.socket) -> None:
        goes_on = True
        while goes_on:
            peer.question(connection)
            self.questions += 1
            sample = b'vllm:num_requests_%s{model_name="%s"} %d\n'
            said = [(each, self.name.encode(), self.questions) for each in (b"running", b"waiting")]
            goes_on = self._answer(connection, b"".join([sample % each for each in said]))

    def _answer(self, connection: socket.socket, page: bytes) -> bool:
        """Send it somehow; tell whether the connection goes on."""
        usual = answer(page, TEXT)
        cut = self._random.randrange(1, len(usual))
        goes_on, pieces = self._random.choice(
            (
                *[(True, [usual])] * 6,
                *[(True, [chunked(page)])] * 3,
                (True, [usual[:cut], usual[cut:]]),
                (True, [usual + usual]),  # the second is nobody's
                (True, [chunked(*[page[i : i + 7] for i in range(0, len(page), 7)], end=b"0\r\nX-A: 1\r\n\r\n")]),
                (True, [b"HTTP/1.1 100 Continue\r\n\r\n", usual]),
                (True, [answer(gzip.compress(page), TEXT, b"Content-Encoding: gzip")]),
                (True, [answer(b"no", status=b"500 Oh")]),
                (True, [answer(b"", b"Location: /there", status=b"302 Found")]),
                (False, [usual]),
                (False, [usual[:cut]]),
                (False, [b"HTTP/1.0 200 OK\r\n\r\n" + page]),
                (False, []),
            )
        )
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(self._random.choice((0.0, 0.01)))
        return goes_on


def _check(frame: Frame[object], engine: _Serving, before: int) -> bool:
    """Tell whether an engine was read; what it told must be its own and new."""
    if frame.trouble is not None:
        return False
    assert isinstance(frame.value, EngineReport)
    assert frame.value.models == (engine.name,)
    values = [reading.value for reading in frame.value.readings]
    assert values == [engine.questions] * 2
    assert engine.questions > before
    return True


def test_what_is_told_is_the_answer_to_the_newest_question() -> None:
    """No engine is told for another, no answer twice, whatever connections, framings and failures went before."""
    board = Board()
    poller = Poller(board, PERIOD)
    serving = {f"e{i}": _Serving(f"e{i}") for i in range(ENGINES)}
    read = 0
    with ExitStack() as stack:
        stack.callback(poller.close)
        for name, each in serving.items():
            run: Behaviour = each.run
            peer = stack.enter_context(peer_with(*[run] * 100))
            poller.add(Engine(Target(name, peer.url(), deadline=20.0), config.Engines(), PERIOD))
        for _ in range(25):
            before = {name: each.questions for name, each in serving.items()}
            for name in serving:
                poller.hurry(("engine", name))
            poller.tick(patience=60)
            frames = {frame.instance: frame for frame in board.frames().outcomes}
            read += sum(_check(frames[name], each, before[name]) for name, each in serving.items())
    assert read > ENGINES * 12
