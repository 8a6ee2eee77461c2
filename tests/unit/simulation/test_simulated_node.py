# SPDX-License-Identifier: Apache-2.0
"""The simulated node as a whole: it runs, stands still, breaks on demand and leaves nothing behind."""

import ast
import re
import stat
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

import inferometer.simulation
from inferometer.simulation.node import SimulatedNode


def fetch(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        return str(response.read().decode())


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def without_times(page: str) -> str:
    return re.sub(r"^(.*_created|process_start_time_seconds)(\{.*\})? .*$", "", page, flags=re.MULTILINE)


def test_pages_are_the_ledger_s(node: SimulatedNode) -> None:
    """While the node stands still, each engine's page says what the ledger says."""
    engines = node.ledger().engines
    assert len(engines) == 6
    for engine in engines:
        samples = [s for f in text_string_to_metric_families(fetch(engine.port)) for s in f.samples]
        values = {s.name: s.value for s in samples if s.labels.get("model_name") == engine.model}
        assert values["vllm:prompt_tokens_total"] == engine.prompt_tokens
        assert values["vllm:generation_tokens_total"] == engine.generation_tokens
        assert values["vllm:kv_cache_usage_perc"] == engine.kv_utilization
        for name, histogram in engine.histograms.items():
            assert values[f"vllm:{name}_count"] == histogram.count
            assert values[f"vllm:{name}_sum"] == histogram.sum


def test_the_same_seed_gives_the_same_pages_except_times() -> None:
    """Two nodes that have run for the same simulated time cannot be told apart."""
    pages = []
    for _ in range(2):
        node = SimulatedNode(seed=5, warm_up=3.0)
        node.pause()
        with node:
            node.advance(4.0)
            pages.append([without_times(fetch(e.port)) for e in node.ledger().engines])
    assert pages[0] == pages[1]


def test_time_stands_still_while_it_is_paused_and_moves_when_told(node: SimulatedNode) -> None:
    """Paused, only `advance` moves it, by whole steps; resumed, it goes on by itself."""
    before = node.ledger()
    time.sleep(0.25)
    assert node.ledger() == before
    node.advance(1.0)
    after = node.ledger()
    assert after.at == pytest.approx(before.at + 1.0)
    assert (after.devices[0].joules or 0) > (before.devices[0].joules or 0)
    node.resume()
    until(lambda: node.ledger().at > after.at)


def test_speed_is_simulated_seconds_per_second() -> None:
    """At a hundred times the speed two minutes pass in far less."""
    with SimulatedNode(speed=100.0, warm_up=0.0) as node:
        until(lambda: node.ledger().at >= 120.0, seconds=60.0)


def test_a_dead_engine_refuses_and_its_successor_answers_elsewhere(node: SimulatedNode) -> None:
    """A pod's death closes its port; the same pod started again has a new UID, a new page and counts from nothing."""
    old = node.ledger().engine("guard-0")
    node.pod_dies("guard")
    with pytest.raises(urllib.error.URLError):
        fetch(old.port)
    uid = node.pod_starts("guard")
    new = node.ledger().engine("guard-0")
    assert new.pod_uid == uid != old.pod_uid
    assert 'vllm:prompt_tokens_total{engine="0",model_name="guard-3b"} 0.0' in fetch(new.port)


def test_an_endpoint_goes_down_while_its_engine_goes_on(node: SimulatedNode) -> None:
    """The port refuses, open connections are cut, the work continues, and the same port answers again."""
    before = node.ledger().pod("chat")
    engine = node.ledger().engine(before.name)
    node.engine_down("chat")
    node.advance(2.0)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        fetch(engine.port)
    later = node.ledger().engine(before.name)
    assert later.generation_tokens > engine.generation_tokens
    assert not later.up
    node.engine_up("chat")
    assert f"{later.generation_tokens}.0" in fetch(engine.port)
    assert fetch(engine.port, "/health") == ""
    with pytest.raises(urllib.error.HTTPError):
        fetch(engine.port, "/nothing")


def test_it_leaves_no_file_no_thread_and_no_socket() -> None:
    """Everything it writes is in one private directory, which goes with it, and so do its threads, watchers included."""
    threads = set(threading.enumerate())
    node = SimulatedNode(warm_up=0.0)
    endpoints = node.start()
    directory = Path(endpoints.kubelet_socket).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {p.name for p in directory.iterdir()} == {"kmsg", "kubelet.sock", "registers"}
    watch = urllib.request.urlopen(f"{endpoints.api_server}/api/v1/pods?watch=1", timeout=30)
    assert watch.readline()
    node.stop()
    node.stop()
    watch.close()
    assert not directory.exists()
    until(lambda: not set(threading.enumerate()) - threads)
    with pytest.raises(RuntimeError, match="starts once"):
        node.start()


def test_it_imports_nothing_of_what_it_feeds() -> None:
    """Standard library, gRPC, protobuf, the vendored proto and itself: it cannot share a defect with the agent."""
    folder = Path(str(inferometer.simulation.__file__)).parent
    allowed = ("inferometer.simulation", "inferometer.proto", "grpc", "google.protobuf")
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            outside = [n for n in names if n.split(".")[0] not in sys.stdlib_module_names]
            assert all(n.startswith(allowed) for n in outside), (path.name, outside)
