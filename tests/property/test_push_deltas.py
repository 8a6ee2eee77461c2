# SPDX-License-Identifier: Apache-2.0
"""Deltas say what cumulative values say: added up they are what was counted, whatever happens on the way."""

from collections import defaultdict
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb  # noqa: TID251  # the oracle

from example import AT, ENGINE, point, snapshot
from inferometer import catalog
from inferometer.model import Histogram, Point, Snapshot
from inferometer.push.temporality import DELTAS, Preference, Said, as_deltas
from inferometer.views.otlp import Encoder
from oracles import parsed, request
from snapshots import successions

BOUNDS = (1.0, 2.0)

# What happens to one engine before each export: it counts, restarts, is away for once, or the hand-over fails.
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["counts", "counts", "counts", "restarts", "is away", "is lost"]),
        st.lists(st.integers(0, 1 << 40), min_size=4, max_size=4),
    ),
    max_size=12,
)


def points(counted: list[int], at: float, start: float | None) -> list[Point]:
    """Say a counter, and a histogram of three buckets."""
    tokens = point(catalog.TOKENS, ENGINE, float(counted[0]), at=at, start=start)
    waits = Histogram(BOUNDS, tuple(counted[1:]), float(sum(counted[1:])))
    return [tokens, point(catalog.TIME_TO_FIRST_TOKEN, ENGINE, waits, at=at, start=start)]


def as_counts(told: list[Point]) -> list[int]:
    """Give the numbers of `points` back."""
    counted = [0] * 4
    for p in told:
        if isinstance(p.value, Histogram):
            counted[1:] = p.value.counts
        else:
            counted[0] = round(p.value)
    return counted


def shows(before: list[int], after: list[int]) -> bool:
    """Tell whether the values alone say that both the counter and the histogram began anew."""
    return after[0] < before[0] and any(new < old for new, old in zip(after[1:], before[1:], strict=True))


@given(EVENTS, st.booleans())
def test_the_sum_of_gains_is_what_was_counted(events: list[tuple[str, list[int]]], starts_told: bool) -> None:
    """No increment is lost or told twice, over resets, absences and snapshots that were not handed on; no gap, no overlap."""
    said = Said(AT - 1)
    value, total, start = [0] * 4, [0] * 4, AT - 1
    _, said = as_deltas(said, snapshot(*points(value, AT, start if starts_told else None)), Preference.DELTA)
    received, ends, at = [0] * 4, AT, AT
    pending = [0] * 4
    for what, increments in [*events, ("counts", [0] * 4)]:
        at += 5
        if what == "restarts":
            # What an engine counts after its last snapshot dies with it: this one dies right after one was handed on.
            if any(pending) or not (starts_told or shows(value, increments)):
                continue
            value, start = [0] * 4, at - 2
        value = [a + b for a, b in zip(value, increments, strict=True)]
        pending = [a + b for a, b in zip(pending, increments, strict=True)]
        total = [a + b for a, b in zip(total, increments, strict=True)]
        if what == "is away":
            continue
        now = snapshot(*points(value, at, start if starts_told else None))
        told, after = as_deltas(said, now, Preference.DELTA)
        if what == "is lost":
            continue
        said, pending = after, [0] * 4
        received = [a + b for a, b in zip(received, as_counts(list(told.points)), strict=True)]
        for p in told.points:
            assert p.start is not None
            assert ends <= p.start < p.at == at
            assert starts_told or p.start == ends
        ends = at
    assert received == total


@given(successions(), st.sampled_from(Preference), st.sampled_from([900, 1 << 30]))
def test_encoded_deltas_are_what_the_library_builds(row: list[Snapshot], preference: Preference, size: int) -> None:
    """Whatever was encoded before, requests of deltas are the protobuf library's, with their temporality and starts."""
    encoder, said, deltas = Encoder(), Said(0.0), DELTAS[preference]
    for each in row:
        told, said = as_deltas(said, replace(each, exemplars={}), preference)  # these have tests of their own
        bodies = encoder.requests(told, max_bytes=size, deltas=deltas)
        assert bodies == Encoder().requests(told, max_bytes=size, deltas=deltas)
        if size == 1 << 30:
            expected = request(told.points)
            for metric in (m for block in expected.resource_metrics for m in block.scope_metrics[0].metrics):
                kind = metric.WhichOneof("data")
                if kind == "histogram" and deltas:
                    metric.histogram.aggregation_temporality = pb.AGGREGATION_TEMPORALITY_DELTA
                if kind == "sum" and metric.sum.is_monotonic and preference is Preference.DELTA:
                    metric.sum.aggregation_temporality = pb.AGGREGATION_TEMPORALITY_DELTA
            assert [parsed(body) for body in bodies] == ([expected] if told.points else [])
        assert all(len(body) <= size for body in bodies)


@given(successions())
def test_marks_of_deltas_begin_where_the_last_one_ended(row: list[Snapshot]) -> None:
    """The mark of an ended series has the temporality of its metric, and does not overlap what was told."""
    bodies = Encoder().requests(
        replace(row[-1], points=()), max_bytes=1 << 30, ended=row[0].points, deltas=DELTAS[Preference.DELTA]
    )
    expected = {p.metric.name: p.metric.instrument in DELTAS[Preference.DELTA] for p in row[0].points}
    starts: dict[str, set[int]] = defaultdict(set)
    for p in row[0].points:
        starts[p.metric.name].add(round(p.at * 1_000) * 1_000_000)
    for block in (block for body in bodies for block in parsed(body).resource_metrics):
        for metric in block.scope_metrics[0].metrics:
            data = getattr(metric, metric.WhichOneof("data") or "gauge")
            assert (getattr(data, "aggregation_temporality", 2) == 1) is expected[metric.name]
            if expected[metric.name]:
                assert {each.start_time_unix_nano for each in data.data_points} <= starts[metric.name]
