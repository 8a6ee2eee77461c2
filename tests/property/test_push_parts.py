# SPDX-License-Identifier: Apache-2.0
"""Parting requests by their bytes says the same in smaller requests; records survive nothing that alters them."""

import contextlib
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # the oracle
    ExportMetricsServiceRequest,
)

from example import ENGINE, GPU, POD, SNAPSHOT, point, snapshot
from inferometer import catalog
from inferometer.push.parts import count_points, halve, split
from inferometer.push.record import Head, read, read_head, write
from inferometer.views.otlp import Encoder
from otlp_receiver import Received, series


def received(body: bytes) -> Received:
    return Received("", {}, len(body), ExportMetricsServiceRequest.FromString(body))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(200, 8000))
def test_the_parts_say_what_the_whole_said(gpus: int, engines: int, limit: int) -> None:
    """Every point is there once, in its order, with its metric, resource and scope; no part that could be parted is too large."""
    points = [point(catalog.POWER, {**GPU, "hw.id": f"GPU-{i}"}, float(i)) for i in range(gpus)]
    points += [
        point(catalog.REQUESTS_RUNNING, {**ENGINE, "gen_ai.request.model": f"{i}"}, 1.0, resource=POD)
        for i in range(engines)
    ]
    shown = replace(snapshot(*points), points=(*points, *SNAPSHOT.points))
    (whole,) = Encoder().requests(shown, max_bytes=1 << 24)
    parts = list(split(whole, limit))
    assert series(*map(received, parts)) == series(received(whole))
    assert sum(map(count_points, parts)) == count_points(whole) == len(shown.points)
    assert all(len(part) <= limit or count_points(part) == 1 for part in parts)
    described = {(m.name, m.unit, m.description, m.WhichOneof("data")) for m in metrics(received(whole))}
    assert {
        (m.name, m.unit, m.description, m.WhichOneof("data")) for p in parts for m in metrics(received(p))
    } == described
    for part in parts:
        for metric in metrics(received(part)):
            assert metric.WhichOneof("data") != "sum" or metric.sum.aggregation_temporality == 2
        resources = [r.resource.SerializeToString() for r in received(part).request.resource_metrics]
        assert len(resources) == len(set(resources))


def metrics(one: Received) -> list[Any]:
    return [m for r in one.request.resource_metrics for s in r.scope_metrics for m in s.metrics]


@given(st.binary(max_size=200))
def test_what_is_no_request_is_left_as_it_is(data: bytes) -> None:
    """Any bytes at all can be counted and parted without an error, and the parts are not longer than the whole."""
    assert count_points(data) >= 0
    halves = halve(data)
    assert halves is None or all(len(half) < len(data) for half in halves)
    assert len(list(split(data, 10))) <= max(1, len(data))


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_what_is_no_record_is_a_value_error(data: bytes, body: bytes) -> None:
    """Nothing that stands in a file does more harm than that; and what is put behind a record makes it none."""
    for parse in (read, read_head):
        with contextlib.suppress(ValueError):
            parse(data)
    record = write(Head(1.0, 1, last=True), body)
    assert read(record)[1] == body
    if data:
        with contextlib.suppress(ValueError):
            read(record + data)
            raise AssertionError(data)
