# SPDX-License-Identifier: Apache-2.0
"""Series that come, count, are reset and go, snapshot by snapshot, and what they grew in all."""

from collections import Counter
from typing import NamedTuple

from hypothesis import strategies as st

from frames import NODE
from inferometer import catalog
from inferometer.model import Histogram, Metric, Point, Value

PERIOD = 5.0
FIRST = 1_700_000_000.0
COUNTERS = (catalog.PREEMPTIONS, catalog.TOKENS)
METRICS = (*COUNTERS, catalog.REQUESTS_RUNNING, catalog.TIME_TO_FIRST_TOKEN, catalog.SOURCE_UP)
Series = tuple[Metric, tuple[str | None, ...]]


class Step(NamedTuple):
    """What happens to one series before a snapshot."""

    metric: Metric
    name: str
    what: str
    number: int


_STEPS = st.builds(
    Step,
    st.sampled_from((*METRICS, *COUNTERS)),
    st.sampled_from("abcd"),
    st.sampled_from(("come", "come", "born", "count", "count", "go", "reset")),
    st.integers(1, 9),
)
lives = st.lists(st.lists(_STEPS, max_size=16), min_size=4, max_size=16)


def play(life: list[list[Step]], *, once: bool = False) -> list[list[Point]]:
    """Give the points of each snapshot; a counter that is reset has a start that tells so, or falls.

    With `once`, what has gone never comes back: what comes is another.
    """
    gone: Counter[Series | tuple[Metric, str]] = Counter()
    there: dict[tuple[Metric, str], tuple[float, float | None]] = {}
    snapshots = []
    for tick, steps in enumerate(life):
        at = FIRST + PERIOD * tick
        for metric, name, what, number in steps:
            series = (metric, f"{name}{gone[metric, name]}" if once else name)
            if what == "come" and series not in there:
                there[series] = (100.0 + number, None)
            elif what == "born" and series not in there:
                there[series] = (float(number), at - 1)
            elif what == "go":
                gone[metric, name] += there.pop(series, None) is not None
            elif what == "count" and series in there:
                value, start = there[series]
                there[series] = (value + number, start)
            elif what == "reset" and series in there:
                there[series] = (float(number), at - 1) if number % 2 else (0.0, None)
        snapshots.append([_point(metric, name, *there[metric, name], at) for metric, name in there])
    return snapshots


def _point(metric: Metric, name: str, value: float, start: float | None, at: float) -> Point:
    attributes = tuple(
        name if key in ("gen_ai.request.model", "inferometer.source.name") else None for key in metric.keys
    )
    if metric is catalog.TIME_TO_FIRST_TOKEN:
        return Point(metric, attributes, Histogram((1.0,), (int(value), 0), value), at, start, NODE)
    return Point(metric, attributes, value, at, start if metric in COUNTERS else None, NODE)


def series(point: Point) -> Series:
    """Tell a series apart."""
    return point.metric, point.attributes


def increase(snapshots: list[list[Point]]) -> float:
    """Add up what series grew by since they were first seen, from 0 where they began since the snapshot before.

    A series that has begun anew, as its start or its fall tells, grew from 0.
    """
    last: dict[Series, Point] = {}
    total = 0.0
    for tick, points in enumerate(snapshots):
        previous = FIRST + PERIOD * (tick - 1)
        for point in points:
            before, value = last.get(series(point)), number(point.value)
            if before is None:
                total += value if tick and point.start is not None and point.start >= previous else 0.0
            else:
                since = before.start is not None and point.start is not None and point.start > before.at
                was = number(before.value)
                total += value if since or value < was else value - was
            last[series(point)] = point
    return total


def number(value: Value) -> float:
    """Give a counter's value, or how many observations a histogram has."""
    return float(value.observations if isinstance(value, Histogram) else value)
