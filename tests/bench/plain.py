# SPDX-License-Identifier: Apache-2.0
"""Many series of a plain kind, as encoders are compared with: half a hundred metrics and ten histograms, eight attributes each."""

import random
from collections.abc import Iterator
from dataclasses import replace

from bench.dense import AT, NODE
from inferometer.model import (
    Aggregation,
    Attribute,
    Histogram,
    Instrument,
    Metric,
    Point,
    Points,
    Snapshot,
    Stability,
    Value,
    groups_of,
)

NUMBERS, HISTOGRAMS = 10_000, 2_000
_METRICS, _KINDS = 50, 10
_BOUNDS = tuple(0.001 * 2**i for i in range(20))
_ATTRIBUTES = tuple(Attribute(f"bench.attribute.{i}", "One of eight") for i in range(8))


def snapshots(count: int, scale: float = 1.0) -> list[Snapshot]:
    """Give snapshots that follow one another, of the same series: 10,000 numbers and 2,000 histograms, times `scale`."""
    dice = random.Random(7)  # the same in every run
    points = (*_series(_numbers(), NUMBERS, scale), *_series(_histograms(), HISTOGRAMS, scale))
    base = Snapshot(at=AT, steady=0.0, node=NODE, points=points)
    return [_moved(base, dice, AT + 5 * i) for i in range(count)]


def _numbers() -> list[Metric]:
    kinds = (Instrument.GAUGE, Instrument.COUNTER)
    return [_metric(f"bench.number.{i}", kinds[i % 2]) for i in range(_METRICS)]


def _histograms() -> list[Metric]:
    return [_metric(f"bench.histogram.{i}", Instrument.HISTOGRAM) for i in range(_KINDS)]


def _metric(name: str, instrument: Instrument) -> Metric:
    written = name.replace(".", "_") + ("_total" if instrument is Instrument.COUNTER else "")
    return Metric(
        name, "{thing}", instrument, _ATTRIBUTES, Stability.PROVISIONAL, Aggregation.SUM, f"What {name} counts", written
    )


def _series(metrics: list[Metric], count: int, scale: float) -> Iterator[Point]:
    for metric in metrics:
        start = None if metric.instrument is Instrument.GAUGE else AT - 86_400
        for i in range(round(count * scale / len(metrics))):
            attributes = tuple(f"value-{i % (7 + k)}-of-{i}" for k in range(len(_ATTRIBUTES)))
            yield Point(metric, attributes, 0.0, AT, start, NODE)


def _moved(snapshot: Snapshot, dice: random.Random, at: float) -> Snapshot:
    points = (p._replace(attributes=(*p.attributes,), value=_value(p.metric, dice), at=at) for p in snapshot.points)
    return replace(snapshot, at=at, points=Points.of(groups_of(tuple(points))))  # as every snapshot has them


def _value(metric: Metric, dice: random.Random) -> Value:
    if metric.instrument is Instrument.HISTOGRAM:
        return Histogram(_BOUNDS, tuple(dice.randrange(100_000) for _ in range(len(_BOUNDS) + 1)), dice.random() * 1e5)
    return dice.random() * 1e4
