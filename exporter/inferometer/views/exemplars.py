# SPDX-License-Identifier: Apache-2.0
"""Exemplars as the outputs have them: which number of a page each stands behind, and which trace it is of."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from inferometer.model import Exemplar, Histogram, Instrument, Metric, Point, Value

Told = Mapping[tuple[Metric, tuple[str | None, ...]], tuple[Exemplar, ...]]

CUMULATIVE = (Instrument.COUNTER, Instrument.HISTOGRAM)  # no other may have any: OpenMetrics 1.0.0, "Exemplars"

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-fA-F]{32}")  # one of zeros only is none (W3C Trace Context)
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-fA-F]{16}")


class Traced(NamedTuple):
    """An exemplar's labels apart: its trace and span as hexadecimal digits, empty where it has none, and the others."""

    trace_id: str
    span_id: str
    others: tuple[tuple[str, str], ...]


def placed(value: Value, several: Sequence[Exemplar]) -> dict[int, Exemplar]:
    """Give the exemplars of one value by the index of the bucket that each lies in; 0 where it has no buckets.

    Each bucket, and each counter, has one at most: the last of several.
    """
    bounds = value.bounds if isinstance(value, Histogram) else ()
    return {bisect_left(bounds, each.value): each for each in several if isfinite(each.value)}


def pointed(points: Sequence[Point], told: Told) -> Iterator[tuple[int, int, dict[int, Exemplar]]]:
    """Give each point that has exemplars: its index, the index of its first number on a page, and the exemplars."""
    numbers = 0
    for i, (metric, attributes, value, *_) in enumerate(points):
        several = told.get((metric, attributes))
        if several and metric.instrument in CUMULATIVE:
            yield i, numbers, placed(value, several)
        numbers += len(value.counts) + 2 if isinstance(value, Histogram) else 1


def traced(labels: Sequence[tuple[str, str]]) -> Traced:
    """Take the ids of trace and span out of an exemplar's labels, where they are ids."""
    said = dict(labels)
    trace_id = said.get("trace_id", "")
    span_id = said.get("span_id", "")
    ids = {
        **({"trace_id": trace_id} if _TRACE_ID.fullmatch(trace_id) else {}),
        **({"span_id": span_id} if _SPAN_ID.fullmatch(span_id) else {}),
    }
    return Traced(ids.get("trace_id", ""), ids.get("span_id", ""), tuple([p for p in labels if p[0] not in ids]))
