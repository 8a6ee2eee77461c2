# SPDX-License-Identifier: Apache-2.0
"""How a cost is measured, and the one line that says it."""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Work = Callable[[], object]


class MissingPartError(Exception):
    """A program, library or file that a measure needs is not here; the message says what."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. `reference` is what `against` costs in the same unit; `ratio` how many times better ours is.

    `goal` and `limit` are DESIGN's: the most that the value should and may be; `least_ratio` the least that the ratio may.
    """

    name: str
    value: float
    unit: str
    reference: float | None = None
    against: str = ""
    goal: float | None = None
    limit: float | None = None
    least_ratio: float | None = None

    def __str__(self) -> str:
        said: dict[str, object] = {"name": self.name, "value": _rounded(self.value), "unit": self.unit}
        if self.reference is not None:
            said |= {"reference": _rounded(self.reference), "ratio": _rounded(self.reference / self.value)}
            said |= {"against": self.against}
        bounds = {"goal": self.goal, "limit": self.limit, "least_ratio": self.least_ratio}
        said |= {key: _rounded(bound) for key, bound in bounds.items() if bound is not None}
        return json.dumps(said)


@dataclass(frozen=True, slots=True)
class Part:
    """Measures that belong together. `measure` yields rows whose names begin with `name`, or raises MissingPartError."""

    name: str
    measure: Callable[[], Iterator[Row]]


def say(line: object) -> None:
    """Print one line at once: a reader may stop the bench at any time."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(parts: tuple[Part, ...], selected: tuple[str, ...]) -> int:
    """Measure the parts that a selected prefix may touch, and say the rows that it names; no prefix selects all.

    Gives how many parts are not here, or not whole.
    """
    lacking = 0
    for part in parts:
        if selected and not any(part.name.startswith(s) or s.startswith(part.name) for s in selected):
            continue
        try:
            for row in part.measure():
                if not selected or any(row.name.startswith(s) for s in selected):
                    say(row)
        except (ImportError, FileNotFoundError, MissingPartError) as missing:
            say(json.dumps({"name": part.name, "missing": str(missing)}))
            lacking += 1
    return lacking


def cpu(*works: Work, rounds: int = 7, least: float = 0.02) -> list[float]:
    """Give each work's CPU seconds per call: the best of `rounds`, taken in turn so that a busy machine harms all alike.

    A round repeats a short work until it has used `least` seconds. What others do on the machine can only add, hence the
    best; the collector of garbage runs as it does in the agent.
    """
    counts = [_repeats(work, least) for work in works]
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for i, work in enumerate(works):
            gc.collect()
            best[i] = min(best[i], _once(work, counts[i]))
    return best


def cpu_seconds(pid: int) -> float:
    """Give the CPU seconds of all threads that a process has had, to the nanosecond; /proc has them to a hundredth.

    The clock of another process: `clock_getcpuclockid` in glibc, MAKE_PROCESS_CPUCLOCK in the kernel's posix-timers.h.
    """
    return time.clock_gettime(~pid << 3 | _ALL_THREADS)


_ALL_THREADS = 2  # CPUCLOCK_SCHED


def _repeats(work: Work, least: float) -> int:
    """Find how many calls take `least` seconds; this also warms up what is to be warm."""
    count = 1
    while _once(work, count) * count < least:
        count *= 2
    return count


def _once(work: Work, count: int) -> float:
    begin = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - begin) / count


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
