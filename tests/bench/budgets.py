# SPDX-License-Identifier: Apache-2.0
"""What the agent costs on the dense node, beside DESIGN's budgets: memory, CPU, scrapes, start."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench import collecting
from bench.agent import Running, agent, spent, surroundings
from bench.collecting import Collector
from bench.densenode import ENGINES, Places
from bench.measure import MissingPartError, Row
from bench.memory import held

_ABOVE_FLOOR = 32.0  # MiB
_FLOOR = "two Python processes that import pynvml and grpc"


_CLIENTS = (1, 8, 64)
_SLOW = 64
_SLOW_LIMIT = 8.0  # MiB that clients that do not take their page may cost


def measure() -> Iterator[Row]:
    """Measure the agent with its sampler child; the kubelet, the API server, the engines and all clients are not counted."""
    with TemporaryDirectory() as scratch, surroundings(Path(scratch) / "dense", ENGINES) as places:
        with agent(places, period=1, engines=ENGINES):
            pass  # its bytecode is made, and the machine has seen its files
        started: list[float] = []
        for period, goal, limit in ((1, 6.0, 10.0), (5, 2.0, 3.0)):
            with agent(places, period=period, engines=ENGINES) as running, _beside(places, period) as other:
                started.append(running.start)
                running.scrape_for(25, period)
                before = spent(other.processes()) if other else None
                cpu = running.cpu(30 if period == 1 else 50, period)
                used = spent(other.processes()) if other else None
                theirs = 100 * (used.cpu - before.cpu) / (used.at - before.at) if used and before else None
                against = collecting.NAME if other else ""
                yield Row(f"dense_node.cpu.{period}s", 100 * cpu, "% of a core", theirs, against, goal, limit)
                if period == 1:
                    each_second = cpu
                    yield from _memory(running, other)
                    yield from _clients(running)
        with agent(places, period=5, engines=ENGINES) as running:
            started.append(running.start)
        yield Row("dense_node.start", median(started), "s", goal=2, limit=4)
    many = 10 * ENGINES
    with (
        TemporaryDirectory() as scratch,
        surroundings(Path(scratch) / "many", many) as places,
        agent(places, period=1, engines=many) as running,
    ):
        running.scrape_for(15, 1)
        yield Row("dense_node.engines.x10", running.cpu(20, 1) / each_second, "times the CPU", goal=11)
    collecting.find()


@contextmanager
def _beside(places: Places, period: int) -> Iterator[Collector | None]:
    """Run the Collector on the same pages at the same time; None where it is not built."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(collecting.collector(places, period=period, engines=ENGINES))
        except MissingPartError:
            yield None


def _memory(running: Running, other: Collector | None) -> Iterator[Row]:
    most = running.memory(5, 1)
    floor = _floor()
    limit = min(96.0, floor + _ABOVE_FLOOR)
    yield Row("dense_node.pss", most, "MiB", floor, _FLOOR, goal=64, limit=limit)
    if other:
        theirs = held(process.pid for process in other.processes())
        yield Row("dense_node.pss.collector", most, "MiB", theirs, collecting.NAME)


def _clients(running: Running) -> Iterator[Row]:
    """Measure answers to clients that ask at the same moments, and what clients cost that do not take theirs."""
    for clients in _CLIENTS:
        took = quantiles(
            running.latencies(clients, gap=0.25 if clients < 64 else 1.0, rounds=80 if clients < 64 else 20), n=100
        )
        goal, limit = (10, 25) if clients == 8 else (None, None)
        yield Row(f"metrics.p50.clients.{clients}", 1000 * took[49], "ms")
        yield Row(f"metrics.p99.clients.{clients}", 1000 * took[98], "ms", goal=goal, limit=limit)
    before = running.memory(5, 1)
    with running.slow_clients(_SLOW):
        yield Row("metrics.memory.slow_clients", max(0.001, running.memory(5, 1) - before), "MiB", limit=_SLOW_LIMIT)


def _floor() -> float:
    """Measure what no agent could be below: the memory of two processes that only import what it needs."""
    command = [sys.executable, "-c", "import pynvml, grpc; print(flush=True); input()"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        mebibytes = held(process.pid for process in processes)
        for process in processes:
            process.kill()
    return mebibytes
