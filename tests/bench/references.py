# SPDX-License-Identifier: Apache-2.0
"""The same work done with the libraries that everybody uses: what our encoders and parser are compared with."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby

import prometheus_client as prom  # noqa: TID251  # the reference
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: TID251  # the reference
from opentelemetry.sdk.metrics import export as sdk  # noqa: TID251  # the reference
from opentelemetry.sdk.resources import Resource as SdkResource  # noqa: TID251  # the reference
from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: TID251  # the reference
from prometheus_client import core  # noqa: TID251  # the reference

from inferometer.catalog import SCHEMA_URL
from inferometer.model import Histogram, Instrument, Metric, Point, Resource, Snapshot
from inferometer.views.prometheus_text import boundary
from oracles import request

# --- prometheus_client --------------------------------------------------------------------------------------------


class Families:
    """A custom collector, which is how prometheus_client is given values that it has not counted itself."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._families = [_family(metric, points) for metric, points in _by_metric(snapshot.points)]

    def collect(self) -> Iterable[core.Metric]:
        """Give the families."""
        return self._families


def registry(snapshot: Snapshot) -> prom.CollectorRegistry:
    """Give a registry that `generate_latest` can write; making it is no part of the measure."""
    made = prom.CollectorRegistry(auto_describe=False)
    made.register(Families(snapshot))
    return made


def _family(metric: Metric, points: Sequence[Point]) -> core.Metric:
    keys = [
        a.label for a, *values in zip(metric.attributes, *(p.attributes for p in points), strict=True) if any(values)
    ]
    index = [i for i, a in enumerate(metric.attributes) if a.label in keys]
    name = metric.prometheus
    match metric.instrument:
        case Instrument.COUNTER:
            counter = core.CounterMetricFamily(name.removesuffix("_total"), metric.description, labels=keys)
            for p in points:
                counter.add_metric([p.attributes[i] or "" for i in index], _number(p))
            return counter
        case Instrument.HISTOGRAM:
            histogram = core.HistogramMetricFamily(name, metric.description, labels=keys)
            for p in points:
                value = p.value
                assert isinstance(value, Histogram)
                edges = [*map(boundary, value.bounds), "+Inf"]
                buckets = list(zip(edges, map(float, accumulate(value.counts)), strict=True))
                histogram.add_metric([p.attributes[i] or "" for i in index], buckets, value.sum)
            return histogram
        case _:
            gauge = core.GaugeMetricFamily(name, metric.description, labels=keys)
            for p in points:
                gauge.add_metric([p.attributes[i] or "" for i in index], _number(p))
            return gauge


# --- OpenTelemetry ------------------------------------------------------------------------------------------------


def sdk_encoded(points: Sequence[Point]) -> bytes:
    """Build the SDK's data classes, which is the only way in for ready-made histograms, encode and serialise them."""
    of_resource: dict[Resource, list[Point]] = {}
    for point in points:
        of_resource.setdefault(point.resource, []).append(point)
    scope = InstrumentationScope("inferometer", "0.1.0", SCHEMA_URL)
    blocks = [
        sdk.ResourceMetrics(
            SdkResource(dict(resource.attributes)),
            [sdk.ScopeMetrics(scope, [_sdk_metric(m, same) for m, same in _by_metric(group)], SCHEMA_URL)],
            SCHEMA_URL,
        )
        for resource, group in of_resource.items()
    ]
    body: bytes = encode_metrics(sdk.MetricsData(blocks)).SerializeToString()
    return body


def proto_encoded(points: Sequence[Point]) -> bytes:
    """Build the message with opentelemetry-proto in the plainest way and serialise it."""
    return request(points).SerializeToString()


def _sdk_metric(metric: Metric, points: Sequence[Point]) -> sdk.Metric:
    data: sdk.DataT
    cumulative = sdk.AggregationTemporality.CUMULATIVE
    match metric.instrument:
        case Instrument.GAUGE:
            data = sdk.Gauge([_sdk_number(p) for p in points])
        case Instrument.HISTOGRAM:
            data = sdk.Histogram([_sdk_histogram(p) for p in points], cumulative)
        case kind:
            data = sdk.Sum([_sdk_number(p) for p in points], cumulative, is_monotonic=kind is Instrument.COUNTER)
    return sdk.Metric(metric.name, metric.description, metric.unit, data)


def _sdk_number(p: Point) -> sdk.NumberDataPoint:
    return sdk.NumberDataPoint(_attributes(p), int((p.start or 0) * 1e9), int(p.at * 1e9), _number(p))


def _sdk_histogram(p: Point) -> sdk.HistogramDataPoint:
    value = p.value
    assert isinstance(value, Histogram)
    return sdk.HistogramDataPoint(
        _attributes(p),
        int((p.start or 0) * 1e9),
        int(p.at * 1e9),
        sum(value.counts),
        value.sum,
        value.counts,
        value.bounds,
        None,  # type: ignore[arg-type]  # min and max are not known, and the encoder leaves None out
        None,  # type: ignore[arg-type]  # as above
    )


# --- both ---------------------------------------------------------------------------------------------------------


def _by_metric(points: Sequence[Point]) -> Iterator[tuple[Metric, list[Point]]]:
    for metric, same in groupby(points, lambda p: p.metric):
        yield metric, list(same)


def _attributes(p: Point) -> dict[str, str]:
    return {key: value for key, value in zip(p.metric.keys, p.attributes, strict=True) if value}


def _number(p: Point) -> float:
    assert not isinstance(p.value, Histogram)
    return p.value
