# SPDX-License-Identifier: Apache-2.0
"""What the agent costs on the dense node, beside DESIGN's budgets: memory, CPU, scrapes, start."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench.agent import Running, agent, surroundings
from bench.densenode import ENGINES
from bench.measure import Row
from bench.memory import held

_ABOVE_FLOOR = 32.0  # MiB
_FLOOR = "two Python processes that import pynvml and grpc"


def measure() -> Iterator[Row]:
    """Measure the agent with its sampler child; the kubelet, the API server, the engines and all clients are not counted."""
    with TemporaryDirectory() as scratch, surroundings(Path(scratch) / "dense", ENGINES) as places:
        with agent(places, period=1, engines=ENGINES):
            pass  # its bytecode is made, and the machine has seen its files
        with agent(places, period=1, engines=ENGINES) as running:
            started = [running.start]
            running.scrape_for(30, 1)
            each_second = running.cpu(30, 1)
            yield from _memory(running)
            yield Row("dense.cpu.1s", 100 * each_second, "% of a core", goal=6, limit=10)
            took = running.latencies(gap=0.25, rounds=80)
            yield Row("dense.scrape.p99", 1000 * quantiles(took, n=100)[98], "ms", goal=10, limit=25)
        with agent(places, period=5, engines=ENGINES) as running:
            started.append(running.start)
            running.scrape_for(10, 5)
            yield Row("dense.cpu.5s", 100 * running.cpu(50, 5), "% of a core", goal=2, limit=3)
        with agent(places, period=5, engines=ENGINES) as running:
            started.append(running.start)
        yield Row("dense.start", median(started), "s", goal=2, limit=4)
    many = 10 * ENGINES
    with (
        TemporaryDirectory() as scratch,
        surroundings(Path(scratch) / "many", many) as places,
        agent(places, period=1, engines=many) as running,
    ):
        running.scrape_for(15, 1)
        yield Row("dense.engines.x10", running.cpu(20, 1) / each_second, "times the CPU", goal=11)


def _memory(running: Running) -> Iterator[Row]:
    most = running.memory(5, 1)
    floor = _floor()
    limit = min(96.0, floor + _ABOVE_FLOOR)
    yield Row("dense.memory", most, "MiB", floor, _FLOOR, goal=64, limit=limit)


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
