# SPDX-License-Identifier: Apache-2.0
"""What the outputs must say, written down plainly and independently of how they say it, to be compared as values."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, groupby
from string import hexdigits
from types import MappingProxyType
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: TID251  # oracle
from opentelemetry.proto.common.v1.common_pb2 import KeyValue  # noqa: TID251  # oracle
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb  # noqa: TID251  # oracle

from inferometer import __version__
from inferometer.catalog import SCHEMA_URL
from inferometer.model import Exemplar, Histogram, Instrument, Metric, Point, Resource, Snapshot
from translator import Strategy, samples_of

Series = tuple[str, frozenset[tuple[str, str | float]]]
"""A sample's name and labels, `le` as a number."""


_DATA = {
    Instrument.GAUGE: "gauge",
    Instrument.COUNTER: "sum",
    Instrument.UPDOWNCOUNTER: "sum",
    Instrument.HISTOGRAM: "histogram",
}


KINDS = {
    Instrument.GAUGE: "gauge",
    Instrument.COUNTER: "counter",
    Instrument.UPDOWNCOUNTER: "sum",
    Instrument.HISTOGRAM: "histogram",
}
"""What the translation of names goes by."""


# --- OTLP ---------------------------------------------------------------------------------------------------------


Told = Mapping[tuple[Metric, tuple[str | None, ...]], tuple[Exemplar, ...]]


def request(points: Iterable[Point], exemplars: Told = MappingProxyType({})) -> ExportMetricsServiceRequest:
    """Build the one request that says these points, with the protobuf library, in the plainest way."""
    whole = ExportMetricsServiceRequest()
    of_resource: dict[Resource, list[Point]] = {}
    for point in points:
        of_resource.setdefault(point.resource, []).append(point)
    for resource, group in of_resource.items():
        block = whole.resource_metrics.add(schema_url=SCHEMA_URL)
        block.resource.attributes.extend(_key_value(key, value) for key, value in resource.attributes)
        scope = block.scope_metrics.add(schema_url=SCHEMA_URL)
        scope.scope.name = "inferometer"
        scope.scope.version = __version__
        for _, points_of in groupby(group, lambda point: point.metric.name):
            same = list(points_of)
            metric = same[0].metric
            entry = scope.metrics.add(name=metric.name, description=metric.description, unit=metric.unit)
            data: Any = getattr(entry, _DATA[metric.instrument])
            if metric.instrument is not Instrument.GAUGE:
                data.aggregation_temporality = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
            if metric.instrument is Instrument.COUNTER:
                data.is_monotonic = True
            for point in same:
                entry_of = data.data_points.add()
                _fill(entry_of, point)
                for each in of_buckets(point, exemplars).values():
                    if each.at is not None:
                        _fill_exemplar(entry_of.exemplars.add(), each)
    return whole


def of_buckets(point: Point, exemplars: Told) -> dict[float | None, Exemplar]:
    """Give a point's exemplars by the bound of their bucket, None without one; the last of a bucket stays."""
    bounds = (*point.value.bounds, float("inf")) if isinstance(point.value, Histogram) else (None,)
    several = exemplars.get((point.metric, point.attributes), ())
    return {next(b for b in bounds if b is None or each.value <= b): each for each in several}


def _fill_exemplar(entry: Any, exemplar: Exemplar) -> None:
    entry.as_double = exemplar.value
    entry.time_unix_nano = _nanoseconds(exemplar.at or 0.0)
    for key, value in exemplar.labels:
        digits = {"trace_id": 32, "span_id": 16}.get(key)
        if len(value) == digits and value.strip("0") and set(value) <= set(hexdigits):
            setattr(entry, key, int(value, 16).to_bytes(digits // 2, "big"))
        else:
            entry.filtered_attributes.append(_key_value(key, value))


def _fill(entry: Any, point: Point) -> None:
    pairs = zip(point.metric.attributes, point.attributes, strict=True)
    entry.attributes.extend(_key_value(attribute.key, value) for attribute, value in pairs if value)
    entry.time_unix_nano = _nanoseconds(point.at)
    if point.start is not None:
        entry.start_time_unix_nano = _nanoseconds(point.start)
    if isinstance(point.value, Histogram):
        entry.count = sum(point.value.counts)
        entry.sum = point.value.sum
        entry.bucket_counts.extend(point.value.counts)
        entry.explicit_bounds.extend(point.value.bounds)
    else:
        entry.as_double = point.value


def _key_value(key: str, value: str) -> KeyValue:
    pair = KeyValue(key=key)
    if key == "otel.metric.overflow" and value == "true":  # as the specification of OpenTelemetry's SDKs has it
        pair.value.bool_value = True
    else:
        pair.value.string_value = value
    return pair


def _nanoseconds(seconds: float) -> int:
    """Give the time of a clock that shows milliseconds, as the generated snapshots' do."""
    return round(seconds * 1_000) * 1_000_000


def parsed(body: bytes) -> ExportMetricsServiceRequest:
    """Read one request back."""
    return ExportMetricsServiceRequest.FromString(body)


def data_points(metric: pb.Metric) -> list[Any]:
    """Give a metric's points, whatever its kind."""
    return list(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)


# --- Prometheus ---------------------------------------------------------------------------------------------------


def samples(snapshot: Snapshot) -> dict[Series, float]:
    """Give every sample that a page of this snapshot has, by the catalogue's own names."""
    found: dict[Series, float] = {}
    for point in snapshot.points:
        pairs = zip(point.metric.attributes, point.attributes, strict=True)
        labels = {attribute.key.replace(".", "_"): value for attribute, value in pairs if value}
        if isinstance(point.value, Histogram):
            found.update(_histogram(point.metric.prometheus, labels, *point.value))
        else:
            found[series(point.metric.prometheus, labels)] = float(point.value)
    return found


def translated(
    requests: Iterable[ExportMetricsServiceRequest], strategy: Strategy = Strategy.UNDERSCORES
) -> dict[Series, float]:
    """Give the samples that Prometheus makes of OTLP, job and instance apart."""
    found: dict[Series, float] = {}
    for metric in _metrics(requests):
        for _, (name, labels, value) in samples_of(metric, strategy):
            found[series(name, dict(labels))] = value
    return found


def _metrics(requests: Iterable[ExportMetricsServiceRequest]) -> Iterator[pb.Metric]:
    for whole in requests:
        for block in whole.resource_metrics:
            for scope in block.scope_metrics:
                yield from scope.metrics


def _histogram(
    name: str, labels: dict[str, str], bounds: Iterable[float], counts: Iterable[int], total: float
) -> Iterator[tuple[Series, float]]:
    count = 0
    for bound, count in zip((*bounds, float("inf")), accumulate(counts), strict=True):
        yield series(f"{name}_bucket", {**labels, "le": str(bound)}), count
    yield series(f"{name}_sum", labels), total
    yield series(f"{name}_count", labels), count


def series(name: str, labels: dict[str, str]) -> Series:
    """Name one sample."""
    return name, frozenset((key, float(value) if key == "le" else value) for key, value in labels.items())
