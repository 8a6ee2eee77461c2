# SPDX-License-Identifier: Apache-2.0
"""Over the life of a node, and of two agents on it, what is pushed starts and ends as it should."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from inferometer.simulation.node import SimulatedNode
from otlp_receiver import HttpReceiver, Received
from whole.agents import agent_on, await_that, eventually


class Said(NamedTuple):
    """One data point: times in nanoseconds, what it counts, and whether it ends its series."""

    start: int
    time: int
    value: tuple[float, ...]
    cumulative: bool
    ended: bool


Series = tuple[str, bytes, bytes]


def read(*received: Received) -> dict[Series, list[Said]]:
    """Give what was said of each series, in the order in which it came."""
    said: dict[Series, list[Said]] = defaultdict(list)
    for one in received:
        for block in one.request.resource_metrics:
            resource = block.resource.SerializeToString(deterministic=True)
            for metric in block.scope_metrics[0].metrics:
                kind = metric.WhichOneof("data")
                cumulative = kind == "histogram" or (kind == "sum" and metric.sum.is_monotonic)
                for point in getattr(metric, kind).data_points:
                    attributes = b"".join(pair.SerializeToString(deterministic=True) for pair in point.attributes)
                    said[metric.name, attributes, resource].append(_read(point, kind, cumulative=cumulative))
    return said


def _read(point: Any, kind: str, *, cumulative: bool) -> Said:
    value = tuple(point.bucket_counts) if kind == "histogram" else (point.as_double,)
    return Said(point.start_time_unix_nano, point.time_unix_nano, value, cumulative, bool(point.flags & 1))


def test_starts_and_ends_are_true() -> None:
    """A counter falls only with a later start, no start is after its point, and a series is ended once each time it ends."""
    node = SimulatedNode(seed=7)
    node.pause()
    with node, HttpReceiver() as receiver:
        with agent_on(node, endpoint=receiver.url):
            for _ in range(3):
                node.advance(5.0)
                receiver.wait_for(len(receiver.received) + 2, 60)
            uid = node.ledger().pod("code").uid.encode()
            node.pod_dies("code")
            await_that(lambda: has_ended(read(*receiver.received), uid), "its end", 60)
            node.advance(5.0)
            receiver.wait_for(len(receiver.received) + 2, 60)
        first = len(receiver.received)
        before = read(*receiver.received)
        with agent_on(node, endpoint=receiver.url):
            eventually(lambda: assert_goes_on(before, read(*receiver.received[first:])), 60)
        after = read(*receiver.received[first:])

    for life in (before, after):
        for (name, _, _), points in life.items():
            for one, other in pairwise(points):
                assert one.time < other.time, name
                assert not (one.ended and other.ended), name
                if one.cumulative and not (one.ended or other.ended):
                    fell = any(new < old for new, old in zip(other.value, one.value, strict=True))
                    assert other.start >= one.start, name
                    assert not fell or other.start > one.start, name
            for each in points:
                assert each.start <= each.time, name
    assert has_ended(before, uid)
    assert_goes_on(before, after)


def has_ended(said: Mapping[Series, list[Said]], uid: bytes) -> bool:
    """Tell whether a series of a pod has ended, and is not back."""
    return any(points[-1].ended and uid in attributes for (_, attributes, _), points in said.items())


def assert_goes_on(before: Mapping[Series, list[Said]], after: Mapping[Series, list[Said]]) -> None:
    """What an agent counts by itself begins anew with a new one, and says so; what is counted for it goes on with its start."""
    anew, goes_on = set(), set()
    for series in before.keys() & after.keys():
        old, new = next(each for each in reversed(before[series]) if not each.ended), after[series][0]
        if new.cumulative and new.start > old.time:
            anew.add(series[0])
        elif new.cumulative:
            assert new.start in (old.start, 0), series[0]
            assert all(one <= other for one, other in zip(old.value, new.value, strict=True)), series[0]
            goes_on.add(series[0])
    assert anew >= {"gpu.owner.time", "gpu.owner.energy", "gpu.xid.errors", "inferometer.driver.calls"}
    assert goes_on >= {"hw.energy", "inference.tokens", "gen_ai.server.time_to_first_token"}
    assert not anew & goes_on
