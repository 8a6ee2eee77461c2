# SPDX-License-Identifier: Apache-2.0
"""What the devices' side costs beside another Python exporter, on the same library at the same time.

Both are whole exporters: they read NVML at each period and are scraped at each period. Ours has nothing but devices to read.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import psutil

from bench import densenode
from bench.agent import running
from bench.measure import MissingPartError, Row, cpu_seconds
from bench.memory import held
from bench.nvitop import NAME, PROGRAM, nvitop
from fakenvml.build import build
from fakenvml.fakenvml import Gpu, Node, Process

PROCESSES = 16  # on each GPU
PERIODS = (1, 5)
_WARM = 75.0  # seconds: every tier, in every company, has been read by then
_MEASURED = 60.0  # seconds: the slow tier is read once in it


class Exporter(Protocol):
    """A running exporter, ours or another."""

    def processes(self) -> list[psutil.Process]: ...
    def scrape_for(self, seconds: float, period: float) -> None: ...
    def page(self) -> str: ...


def measure() -> Iterator[Row]:
    """Measure 8 whole GPUs, and 8 GPUs with 7 instances each and 16 processes on those of each."""
    whole = Node(gpus=tuple(replace(gpu, mig=0, instances=()) for gpu in densenode.driver().gpus))
    yield from _node("devices.gpus", whole)
    with _sleepers(densenode.GPUS * PROCESSES) as pids:
        gpus = [used(gpu, pids[PROCESSES * i : PROCESSES * (i + 1)]) for i, gpu in enumerate(densenode.driver().gpus)]
        yield from _node("devices.mig", Node(gpus=tuple(gpus)))
    if not PROGRAM.exists():
        raise MissingPartError(f"{NAME}: run `make setup-bench`")


def _node(name: str, node: Node) -> Iterator[Row]:
    """Run all exporters at once, so that whatever else the machine does harms all alike."""
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        library, driver = build(Path(scratch)), Path(scratch) / "node.txt"
        node.write(driver)
        ours: dict[int, Exporter] = {}
        theirs: dict[int, Exporter] = {}
        for period in PERIODS:
            folder = Path(scratch) / str(period)
            folder.mkdir()
            ours[period] = stack.enter_context(running(_configuration(library, period), folder, str(driver)))
            if PROGRAM.exists():
                theirs[period] = stack.enter_context(nvitop(library, driver, period))
        _scrape((ours, theirs), _WARM)
        before = [_spent(exporters) for exporters in (ours, theirs)]
        took = _scrape((ours, theirs), _MEASURED)
        after = [_spent(exporters) for exporters in (ours, theirs)]
        our_cpu, their_cpu = (shares(early, late, took) for early, late in zip(before, after, strict=True))
        against = NAME if theirs else ""
        our_series = series(ours[PERIODS[0]].page(), 'hw_id="')
        their_series = series(theirs[PERIODS[0]].page(), 'uuid="') if theirs else None
        for period in PERIODS:
            cpu, reference = our_cpu[period], sum(their_cpu[period]) if theirs else None
            yield Row(f"{name}.cpu.{period}s", sum(cpu), "% of a core", reference, against, least_ratio=1.0)
            yield Row(f"{name}.sampler.cpu.{period}s", sum(cpu[1:]), "% of a core", reference, against)
            each = period / 100 * sum(cpu) / our_series
            theirs_each = period / 100 * reference / their_series if reference and their_series else None
            yield Row(f"{name}.series.cpu.{period}s", each, "s per series and period", theirs_each, against)
        memory = _memory(theirs[PERIODS[0]].processes()) if theirs else None
        ours_held = _memory(ours[PERIODS[0]].processes()[1:])
        yield Row(f"{name}.sampler.memory", ours_held, "MiB", memory, against, least_ratio=1.0)
        yield Row(f"{name}.series", our_series, "{series}")
        if their_series is not None:
            yield Row(f"{name}.series.{NAME}", their_series, "{series}")


def _configuration(library: Path, period: int) -> dict[str, Any]:
    return {
        "period": f"{period}s",
        "server": {"listen": "127.0.0.1:0"},
        "devices": {"nvidia": {"library": str(library)}, "kernel_log": {"enabled": False}},
        "identity": {"podresources": {"enabled": False}, "pods": {"source": "off"}},
        "engines": {"enabled": False},
    }


def used(gpu: Gpu, pids: Sequence[int]) -> Gpu:
    """Put processes on a GPU's instances in turn."""
    mine = [Process("compute", pid, 1 << 29) for pid in pids]
    instances = [
        each and replace(each, processes=tuple(mine[i :: len(gpu.instances)])) for i, each in enumerate(gpu.instances)
    ]
    return replace(gpu, instances=tuple(instances))


@contextmanager
def _sleepers(count: int) -> Iterator[list[int]]:
    """Start real processes for the driver to name: an exporter may look at them."""
    with ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(["sleep", "infinity"])) for _ in range(count)]
        try:
            yield [process.pid for process in processes]
        finally:
            for process in processes:
                process.kill()


def _scrape(all_of: Sequence[Mapping[int, Exporter]], seconds: float) -> float:
    """Scrape each exporter at its period; give how long that took."""
    began = time.monotonic()
    pairs = [pair for exporters in all_of for pair in exporters.items()]
    with ThreadPoolExecutor(len(pairs)) as pool:
        for scraping in [pool.submit(exporter.scrape_for, seconds, period) for period, exporter in pairs]:
            scraping.result()
    return time.monotonic() - began


def _spent(exporters: Mapping[int, Exporter]) -> dict[int, list[float]]:
    """Give the CPU seconds that each process of each exporter has used; ours is the agent, then the sampler."""
    return {
        period: [cpu_seconds(process.pid) for process in exporter.processes()] for period, exporter in exporters.items()
    }


def shares(early: Mapping[int, list[float]], late: Mapping[int, list[float]], took: float) -> dict[int, list[float]]:
    """Give percent of a core, by period and process."""
    return {
        period: [100 * (b - a) / took for a, b in zip(early[period], late[period], strict=True)] for period in early
    }


def _memory(processes: Sequence[psutil.Process]) -> float:
    return held(process.pid for process in processes)


def series(page: str, identity: str) -> int:
    """Count the series of devices that have a value."""
    return sum(identity in line and not line.endswith((" nan", " NaN")) for line in page.splitlines())
