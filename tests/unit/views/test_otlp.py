# SPDX-License-Identifier: Apache-2.0
"""OTLP requests: times, resources, sizes and what they leave out."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from example import AT, GPU, NODE, POD, SNAPSHOT, point, snapshot
from inferometer import __version__, catalog
from inferometer.model import Exemplar, Histogram, Instrument, Point, Resource
from inferometer.views.otlp import Encoder, otlp_json
from oracles import data_points, parsed, request

GOLDEN = Path(__file__).parents[2] / "golden" / "views" / "request.json"
HUGE = 1 << 30


def test_json_is_the_golden_one() -> None:
    """The example node in OTLP/JSON is the reviewed one."""
    text = (
        json.dumps(json.loads(otlp_json(SNAPSHOT)), indent=1).replace(f'"version": "{__version__}"', '"version": "X"')
        + "\n"
    )
    if os.environ.get("INFEROMETER_UPDATE_GOLDENS"):
        GOLDEN.write_text(text)

    assert text == GOLDEN.read_text()


def test_example_is_what_the_library_builds() -> None:
    """The example node is one request, equal to the one that the protobuf library builds."""
    (body,) = Encoder().requests(SNAPSHOT, max_bytes=HUGE)

    assert parsed(body) == request(SNAPSHOT.points)


def test_scope_and_schema_are_named() -> None:
    """Scope, version and the pinned schema stand on each resource."""
    (body,) = Encoder().requests(SNAPSHOT, max_bytes=HUGE)

    for block in parsed(body).resource_metrics:
        (scope,) = block.scope_metrics
        assert (scope.scope.name, scope.scope.version) == ("inferometer", __version__)
        assert block.schema_url == scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


def test_times_keep_their_milliseconds() -> None:
    """A point carries the read time of its own frame, to the millisecond and better."""
    (body,) = Encoder().requests(SNAPSHOT, max_bytes=HUGE)

    blocks = parsed(body).resource_metrics
    times = [{p.time_unix_nano for m in b.scope_metrics[0].metrics for p in data_points(m)} for b in blocks]
    assert times == [{1_790_000_000_123_000_000}, {1_789_999_999_623_000_000}]


@pytest.mark.parametrize("start", [None, math.nan, math.inf, -math.inf, 0.0, -5.0, 1e300])
def test_impossible_start_is_unknown(start: float | None) -> None:
    """A start time that is no time, which a hostile page can claim, is absent."""
    said = point(catalog.ENERGY, GPU, 1.0, start=start)

    (body,) = Encoder().requests(snapshot(said), max_bytes=HUGE)

    (metric,) = parsed(body).resource_metrics[0].scope_metrics[0].metrics
    assert metric.sum.data_points[0].start_time_unix_nano == 0
    assert "startTimeUnixNano" not in otlp_json(snapshot(said))


def test_equal_resources_are_one() -> None:
    """Points whose resources are equal but not the same object share one block, wherever they stand."""
    twin = Resource(tuple(NODE.attributes))
    points = (
        point(catalog.GPU_DEVICES, {}, 1.0),
        point(catalog.TOKENS, {}, 1.0, resource=POD),
        point(catalog.SERIES, {}, 1.0, resource=twin),
    )

    (body,) = Encoder().requests(snapshot(*points), max_bytes=HUGE)

    blocks = parsed(body).resource_metrics
    assert [[m.name for m in b.scope_metrics[0].metrics] for b in blocks] == [
        ["gpu.devices", "inferometer.series"],
        ["inference.tokens"],
    ]


def test_requests_are_split_below_the_limit() -> None:
    """A node of many series becomes several requests, each below the limit, close to it, and complete together."""
    many = [point(catalog.GPU_MEMORY_USAGE, {"hw.id": f"GPU-{i}"}, float(i)) for i in range(1_000)]

    bodies = Encoder().requests(snapshot(*many), max_bytes=10_000)

    assert all(len(body) <= 10_000 for body in bodies)
    assert all(len(body) > 9_500 for body in bodies[:-1])
    said = [
        p.as_double for b in bodies for p in parsed(b).resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    ]
    assert said == [float(i) for i in range(1_000)]


def test_point_beyond_a_request_is_left_out_and_counted() -> None:
    """One monstrous attribute costs only its own point."""
    monster = point(catalog.GPU_MEMORY_USAGE, {"hw.id": "x" * 5_000}, 1.0)
    encoder = Encoder()

    (body,) = encoder.requests(snapshot(monster, point(catalog.SERIES, {}, 1.0)), max_bytes=4_000)

    assert [m.name for m in parsed(body).resource_metrics[0].scope_metrics[0].metrics] == ["inferometer.series"]
    assert encoder.oversized == 1
    encoder.requests(snapshot(point(catalog.SERIES, {}, 1.0)), max_bytes=4_000)  # a push of what was read meanwhile
    assert encoder.oversized == 1  # what is counted never becomes less
    encoder.requests(snapshot(monster), max_bytes=4_000)
    assert encoder.oversized == 2


def test_lone_surrogate_does_not_take_the_request() -> None:
    """A value that UTF-8 cannot say is replaced, so that the receiver accepts the rest."""
    odd = point(catalog.GPU_MEMORY_LIMIT, {"hw.id": "GPU-\ud800"}, 1.0)

    (body,) = Encoder().requests(snapshot(odd), max_bytes=HUGE)

    (metric,) = parsed(body).resource_metrics[0].scope_metrics[0].metrics
    assert metric.sum.data_points[0].attributes[0].value.string_value == "GPU-?"
    assert "GPU-?" in otlp_json(snapshot(odd)).encode().decode()


def test_nothing_to_say_is_no_request() -> None:
    """A snapshot without points, or with none that can be said, makes no request."""
    nan = point(catalog.SERIES, {}, math.nan)

    assert Encoder().requests(snapshot(), max_bytes=HUGE) == ()
    assert Encoder().requests(snapshot(nan), max_bytes=HUGE) == ()
    assert json.loads(otlp_json(snapshot(nan))) == {"resourceMetrics": []}


def test_ended_histogram_names_its_buckets() -> None:
    """The mark of an ended histogram has every bound with an empty bucket, or Prometheus would not end the buckets."""
    ended = point(catalog.REQUEST_DURATION, {}, Histogram((0.1, 2.0), (1, 2, 3), 4.5), start=AT - 9)

    _, body = Encoder().requests(SNAPSHOT, max_bytes=HUGE, ended=[ended])

    (metric,) = parsed(body).resource_metrics[0].scope_metrics[0].metrics
    (mark,) = metric.histogram.data_points
    assert (mark.flags, mark.time_unix_nano) == (1, 1_790_000_001_123_000_000)
    assert (list(mark.explicit_bounds), list(mark.bucket_counts), mark.count, mark.sum) == (
        [0.1, 2.0],
        [0, 0, 0],
        0,
        0.0,
    )


def test_moving_numbers_keep_the_forms() -> None:
    """The constant bytes of points whose values and times alone have moved are not written again."""
    encoder = Encoder()
    encoder.requests(SNAPSHOT, max_bytes=HUGE)
    forms = encoder._forms
    moved = tuple(_moved(p) for p in SNAPSHOT.points)
    (body,) = encoder.requests(replace(SNAPSHOT, points=moved), max_bytes=HUGE)

    assert all(encoder._forms[metric] is form for metric, form in forms.items())
    assert parsed(body) == request(moved)


def test_a_form_stays_as_long_as_its_metric() -> None:
    """What a slower tier says is not said in most pushes, and is not written anew for that; what has ended is forgotten."""
    encoder = Encoder()
    encoder.requests(SNAPSHOT, max_bytes=HUGE)
    forms = encoder._forms
    assert encoder.requests(SNAPSHOT, max_bytes=HUGE, picks=[]) == ()
    assert encoder._forms == forms
    left = SNAPSHOT.points[0]
    encoder.requests(snapshot(left), max_bytes=HUGE, picks=[])
    assert encoder._forms == {left.metric: forms[left.metric]}


def _moved(p: Point) -> Point:
    if isinstance(p.value, Histogram):
        return p._replace(at=p.at + 5, value=p.value._replace(counts=tuple(c + 1 for c in p.value.counts), sum=99.5))
    return p._replace(at=p.at + 5, value=p.value + 1.5)


def test_a_delta_has_the_exemplars_of_its_own_time() -> None:
    """What was observed before the interval is behind the total, and not behind what was gained since."""
    old, new = Exemplar((("trace_id", "a"),), 1.0, AT - 60), Exemplar((("trace_id", "b"),), 2.0, AT - 1)
    counter = point(catalog.TOKENS, {"gen_ai.token.type": "input"}, 5.0, start=AT - 10)
    for exemplar, whole, gained in ((old, 1, 0), (new, 1, 1)):
        said = replace(snapshot(counter), exemplars={(counter.metric, counter.attributes): (exemplar,)})
        for deltas, expected in ((), whole), ({Instrument.COUNTER}, gained):
            (body,) = Encoder().requests(said, max_bytes=HUGE, deltas=deltas)
            (metric,) = parsed(body).resource_metrics[0].scope_metrics[0].metrics
            assert len(metric.sum.data_points[0].exemplars) == expected


def test_metrics_of_one_name_and_different_kinds_stay_apart() -> None:
    """The ends of a family that has changed its type may be owed together: each kind has a Metric that a receiver can read."""
    gauge, histogram = (catalog.verbatim("my:a", kind, ()) for kind in (Instrument.GAUGE, Instrument.HISTOGRAM))
    names = ("e",) * len(gauge.keys)
    ended = (
        Point(gauge, names, 1.0, AT, None, NODE),
        Point(histogram, names, Histogram((1.0,), (1, 2), 3.0), AT, None, NODE),
    )

    for max_bytes in (HUGE, 700):
        requests = Encoder().requests(snapshot(), max_bytes=max_bytes, ended=ended)
        kinds = [
            m.WhichOneof("data")
            for r in requests
            for b in parsed(r).resource_metrics
            for m in b.scope_metrics[0].metrics
        ]
        assert kinds == ["gauge", "histogram"]
