# SPDX-License-Identifier: Apache-2.0
"""The engines that are scraped, as pods come, change and go; against real servers."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from inferometer import catalog, config
from inferometer.app.engines import Engines
from inferometer.app.pipeline import Pipeline
from inferometer.board import Board, Poller
from inferometer.model import EngineReport, Frame, Pod, Port
from peer import Peer, answer, in_turn, peer_with

PAGE = b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 1\n'
BROKEN = answer(b"", status=b"500 Internal Server Error")


class Node:
    """Engines with the board and the poller that they need."""

    def __init__(self, **settings: Any) -> None:
        self.board = Board()
        self.poller = Poller(self.board, 0.1)
        self.engines = Engines(config.Engines(**{"deadline": config.Seconds(30), **settings}), self.poller, 30.0)

    @property
    def reports(self) -> list[EngineReport]:
        return [frame.value for frame in self.board.frames().good if isinstance(frame.value, EngineReport)]


@contextmanager
def node(**settings: Any) -> Iterator[Node]:
    made = Node(**settings)
    try:
        yield made
    finally:
        made.engines.hang_up()
        made.poller.close()


def pod(port: int, **more: Any) -> Pod:
    fields = {
        "annotations": {"inferometer/port": str(port)},
        "ports": (Port("server", "", port),),
        "phase": "Running",
        "ip": "127.0.0.1",
        **more,
    }
    return Pod("u", "ns", "chat-0", **fields)


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def test_engines_come_and_go_with_their_pods() -> None:
    """One that is new is to be read at once; while pods cannot be read all stay; a pod that went takes its page along."""
    with peer_with(in_turn(answer(PAGE), answer(PAGE))) as peer, node() as here:
        pods = (pod(peer.port),)
        assert here.engines.follow(pods)
        here.poller.tick(30)
        assert [report.target.pod for report in here.reports] == ["chat-0"]
        assert not here.engines.follow(pods)
        assert not here.engines.follow(None)
        assert not here.engines.follow((pod(peer.port),))  # the same in other words
        assert len(here.poller.keys) == 1
        assert not here.engines.follow(())
        assert (here.poller.keys, here.reports) == (frozenset(), [])


def test_a_target_that_changes_has_one_request_under_way() -> None:
    """The scrape of the pod as it was is hung up on before the pod as it is now is asked."""
    hung_up, second_came_after = threading.Event(), []

    def slow(peer: Peer, connection: Any) -> None:
        peer.question(connection)
        if connection.recv(1) == b"":
            hung_up.set()

    def quick(peer: Peer, connection: Any) -> None:
        second_came_after.append(hung_up.wait(30))
        in_turn(answer(PAGE))(peer, connection)

    with peer_with(slow, quick) as peer, node(deadline=config.Seconds(30)) as here:
        here.engines.follow((pod(peer.port),))
        here.poller.tick(0)
        wait_for(lambda: peer.asked)
        labelled = pod(peer.port, annotations={"inferometer/port": str(peer.port), "inferometer/path": "/other"})
        assert here.engines.follow((labelled,))
        here.poller.tick(0)
        wait_for(lambda: here.reports)
        assert second_came_after == [True]
        assert b"GET /other " in peer.asked[1]


def test_the_agent_says_how_each_engine_was_found() -> None:
    """By what sign, with which credentials, and where nobody looks at its certificate."""
    entries = (
        config.Credentials(name="a", token_file="/t", namespaces=("ns",)),
        config.Credentials(name="b", insecure_tls=True),
    )
    targets = (
        config.TargetConfig(url="https://h/metrics", credentials="b"),
        config.TargetConfig(url="http://i/metrics"),
    )
    with node(credentials=entries, targets=targets) as here:
        image = pod(8000, annotations={"inferometer/credentials": "a"}, images={"server": "vllm/vllm-openai:v1"})
        here.engines.follow((image,))
        assert here.engines.told == {
            "h:443": "found by engines.targets[0], asked with the credentials 'b', its certificate is not looked at",
            "i:80": "found by engines.targets[1]",
            "ns/chat-0:8000": "found by annotation inferometer/credentials, asked with the credentials 'a'",
        }


def test_what_is_refused_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake as a warning; what only looks like an engine is none."""
    caplog.set_level(logging.INFO, "inferometer.app.engines")
    wrong = pod(1, annotations={"inferometer/port": "none"})
    batch = pod(9, annotations={}, images={"server": "vllm/vllm-openai"})
    with node() as here:
        for pods in ((wrong,), (wrong, pod(2, phase="Pending")), (batch,)):
            here.engines.follow(pods)
        assert [refusal.doubtful for refusal in here.engines.refused] == [True]
    assert [(r.levelname, r.message.partition(" is not")[0]) for r in caplog.records] == [
        ("WARNING", "ns/chat-0"),
        ("INFO", "ns/chat-0"),
    ]


def test_scrapes_that_are_left_out_are_counted_once() -> None:
    """As they come; an engine that goes takes nothing back."""
    with peer_with(in_turn(*[BROKEN] * 4)) as peer, node(backoff=config.Seconds(3600)) as here:
        here.engines.follow((pod(peer.port),))
        counts = []
        for _ in range(4):
            here.poller.hurry(("engine", f"ns/chat-0:{peer.port}"))
            here.poller.tick(30)
            counts.append(here.engines.newly_spared())
        assert counts == [0, 1, 3, 7]
        here.engines.follow(())
        assert here.engines.newly_spared() == 0


def test_the_pipeline_keeps_to_the_limit_on_models() -> None:
    """Of two models on one page the second is `other` where one may have series of its own."""
    page = PAGE + b'vllm:num_requests_running{engine="0",model_name="n"} 2\n'
    with peer_with(in_turn(answer(page))) as peer:
        target = config.TargetConfig(f"http://127.0.0.1:{peer.port}/metrics")
        settings = config.Engines(targets=(target,), max_models=1, deadline=config.Seconds(30))
        devices = config.Devices(nvidia=config.Nvidia(enabled=False))
        identity = config.Identity(podresources=config.PodResources(enabled=False), pods=config.Pods(source="off"))
        pipeline = Pipeline(config.Config(engines=settings, devices=devices, identity=identity), {})
        try:
            snapshot = pipeline.step(patience=60)
        finally:
            pipeline.close()

    model = catalog.REQUESTS_RUNNING.keys.index(catalog.MODEL.key)
    running = {p.attributes[model]: p.value for p in snapshot.points if p.metric is catalog.REQUESTS_RUNNING}
    assert running == {"m": 1, "other": 2}


def test_an_engine_that_ended_is_not_in_the_snapshot_that_sees_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its pod the page goes too: else it would stand there once more, without what the pod said of it."""
    with peer_with(in_turn(*[answer(PAGE)] * 3)) as peer:
        listed: Frame[object] = Frame("pods", "", 1, 0.0, 0.0, 5.0, (pod(peer.port),))
        engines = config.Engines(deadline=config.Seconds(30))
        devices = config.Devices(nvidia=config.Nvidia(enabled=False))
        identity = config.Identity(podresources=config.PodResources(enabled=False), pods=config.Pods(source="off"))
        pipeline = Pipeline(config.Config(devices=devices, identity=identity, engines=engines), {})
        read = pipeline._board.frames
        monkeypatch.setattr(pipeline._board, "frames", lambda: replace(read(), good=(*read().good, listed)))
        try:
            assert [engine.target.pod for engine in pipeline.step(patience=60).engines] == ["chat-0"]
            listed = replace(listed, value=())
            snapshot = pipeline.step(patience=60)
        finally:
            pipeline.close()

    assert snapshot.engines == ()
    assert not [p for p in snapshot.points if p.metric is catalog.REQUESTS_RUNNING]
