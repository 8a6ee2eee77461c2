# SPDX-License-Identifier: Apache-2.0
"""OTLP bytes read back by opentelemetry-proto are the message that the library would have built, whatever the snapshot."""

import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from itertools import compress

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: TID251  # oracle

from inferometer.catalog import SCHEMA_URL
from inferometer.model import Histogram, Point, Snapshot, Value, groups_of
from inferometer.push.temporality import DELTAS, Preference
from inferometer.views.columns import Columns, Pick
from inferometer.views.otlp import Encoder, otlp_json
from oracles import data_points, parsed, request, samples, translated
from snapshots import snapshots, successions

HUGE = 1 << 30


def said(requests: list[ExportMetricsServiceRequest]) -> Counter[bytes]:
    """Every point with its metric and resource, as canonical bytes."""
    found: Counter[bytes] = Counter()
    for whole in requests:
        for block in whole.resource_metrics:
            for metric in block.scope_metrics[0].metrics:
                for point in data_points(metric):
                    parts = (block.resource, metric.name, metric.WhichOneof("data"), metric.unit, point)
                    found[repr(parts).encode()] += 1
    return found


@given(snapshots())
def test_request_is_what_the_library_builds(snapshot: Snapshot) -> None:
    """One request, equal as a message to the one built with the protobuf library; none without points."""
    requests = Encoder().requests(snapshot, max_bytes=HUGE)

    assert [parsed(body) for body in requests] == (
        [request(snapshot.points, snapshot.exemplars)] if snapshot.points else []
    )


@given(snapshots(), st.integers(0, 3_000))
def test_split_requests_say_the_same(snapshot: Snapshot, max_bytes: int) -> None:
    """Split by bytes, no request is too large or has a resource or metric twice, and only oversized points are missing."""
    encoder = Encoder()
    bodies = encoder.requests(snapshot, max_bytes=max_bytes)

    requests = [parsed(body) for body in bodies]
    assert all(0 < len(body) <= max_bytes for body in bodies)
    for whole in requests:
        resources = [block.resource.SerializeToString(deterministic=True) for block in whole.resource_metrics]
        assert len(resources) == len(set(resources))
        for block in whole.resource_metrics:
            names = [metric.name for metric in block.scope_metrics[0].metrics]
            assert len(names) == len(set(names))
    everything = said([request(snapshot.points, snapshot.exemplars)])
    assert said(requests) <= everything
    assert said(requests).total() + encoder.oversized == everything.total() == len(snapshot.points)


@given(successions(), st.sampled_from([700, 2_000, HUGE]))
def test_memory_never_shows(row: list[Snapshot], max_bytes: int) -> None:
    """What was encoded before changes no byte: requests are a function of the snapshot alone."""
    used = Encoder()

    for snapshot in row:
        assert used.requests(snapshot, max_bytes=max_bytes) == Encoder().requests(snapshot, max_bytes=max_bytes)
    assert sum(len(form.heads) for form in used._forms.values()) <= len(row[-1].points)


@given(successions(), st.sampled_from([700, HUGE]), st.sampled_from(Preference), st.data())
def test_what_is_picked_is_what_is_said(
    row: list[Snapshot], max_bytes: int, preference: Preference, data: st.DataObject
) -> None:
    """Of each metric any points, or none: the bytes are those of a snapshot that has no others, whatever was said before."""
    used = Encoder()
    for snapshot in row:
        picks, points = [], list[Point]()
        for group in groups_of(snapshot.points):
            flags = data.draw(st.none() | st.lists(st.booleans(), min_size=len(group), max_size=len(group)))
            if flags is None or any(flags):
                picks.append(Pick(Columns.of(group), flags))
                points += group if flags is None else compress(group, flags)
        only = replace(snapshot, points=tuple(points))
        deltas = DELTAS[preference]
        told = used.requests(snapshot, max_bytes=max_bytes, deltas=deltas, picks=picks)
        assert told == Encoder().requests(only, max_bytes=max_bytes, deltas=deltas)
        assert set(used._forms) <= {point.metric for point in snapshot.points}


@given(snapshots(), snapshots())
def test_ended_series_are_marked(snapshot: Snapshot, before: Snapshot) -> None:
    """An ended series is sent once, at the snapshot's time, flagged and without a value."""
    requests = Encoder().requests(snapshot, max_bytes=HUGE, ended=before.points)

    marks = [parsed(body) for body in requests[bool(snapshot.points) :]]
    zeroed = [point._replace(at=snapshot.at, value=_zero(point.value)) for point in before.points]
    expected = request(zeroed)
    for block in expected.resource_metrics:
        for metric in block.scope_metrics[0].metrics:
            for point in data_points(metric):
                point.flags = 1
                if not metric.HasField("histogram"):
                    point.ClearField("as_double")
    assert marks == ([expected] if before.points else [])


def _zero(value: Value) -> Value:
    if not isinstance(value, Histogram):
        return 0.0
    return Histogram(value.bounds, (0,) * len(value.counts), 0.0)


def _as_base64(digits: re.Match[str]) -> str:
    return f"{digits[1]}{b64encode(bytes.fromhex(digits[2])).decode()}{digits[3]}"


@given(snapshots())
def test_json_says_the_same(snapshot: Snapshot) -> None:
    """OTLP/JSON, read by protobuf's own JSON reader, is the same message."""
    # Identities are hexadecimal digits in OTLP/JSON, and base64 to protobuf's own reader.
    text = re.sub(r'("(?:span|trace)Id": ")([0-9a-f]+)(")', _as_base64, otlp_json(snapshot))
    message = json_format.Parse(text, ExportMetricsServiceRequest())

    assert said([message]) == said([request(snapshot.points, snapshot.exemplars)])
    for block in message.resource_metrics:
        assert block.schema_url == block.scope_metrics[0].schema_url == SCHEMA_URL


@given(snapshots())
def test_both_routes_say_the_same(snapshot: Snapshot) -> None:
    """Translated by Prometheus' rules, OTLP gives the names, labels and values of the page."""
    encoder = Encoder()
    requests = [parsed(body) for body in encoder.requests(snapshot, max_bytes=10_000)]

    assert encoder.oversized == 0
    assert translated(requests) == samples(snapshot)
