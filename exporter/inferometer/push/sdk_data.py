# SPDX-License-Identifier: Apache-2.0
"""A request in the OpenTelemetry SDK's data classes. Imported only where `otlp.sender: sdk` is set."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # this is the SDK's way
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics import Exemplar  # noqa: TID251  # as above
from opentelemetry.sdk.metrics import export as sdk  # noqa: TID251  # as above
from opentelemetry.sdk.resources import Resource  # noqa: TID251  # as above
from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: TID251  # as above

_NO_RECORDED_VALUE = 1


def as_metrics_data(body: bytes) -> sdk.MetricsData:
    """Give the data of an ExportMetricsServiceRequest, without the marks of ended series, which they cannot say."""
    request = ExportMetricsServiceRequest.FromString(body)
    blocks = []
    for block in request.resource_metrics:
        resource = Resource(_attributes(block.resource.attributes), block.schema_url)
        scopes = []
        for scope in block.scope_metrics:
            metrics = [made for metric in scope.metrics if (made := _metric(metric)).data.data_points]
            about = InstrumentationScope(scope.scope.name, scope.scope.version, scope.schema_url)
            if metrics:
                scopes.append(sdk.ScopeMetrics(about, metrics, scope.schema_url))
        if scopes:
            blocks.append(sdk.ResourceMetrics(resource, scopes, block.schema_url))
    return sdk.MetricsData(blocks)


def _metric(metric: Any) -> sdk.Metric:
    kind = metric.WhichOneof("data")
    said = getattr(metric, kind)
    points = [point for point in said.data_points if not point.flags & _NO_RECORDED_VALUE]
    data: sdk.DataT
    if kind == "gauge":
        data = sdk.Gauge([_number(point) for point in points])
    elif kind == "sum":
        temporality = sdk.AggregationTemporality(said.aggregation_temporality)
        data = sdk.Sum([_number(point) for point in points], temporality, said.is_monotonic)
    else:
        temporality = sdk.AggregationTemporality(said.aggregation_temporality)
        data = sdk.Histogram([_histogram(point) for point in points], temporality)
    return sdk.Metric(metric.name, metric.description, metric.unit, data)


def _number(point: Any) -> sdk.NumberDataPoint:
    return sdk.NumberDataPoint(
        _attributes(point.attributes),
        point.start_time_unix_nano,
        point.time_unix_nano,
        point.as_double,
        _exemplars(point.exemplars),
    )


def _histogram(point: Any) -> sdk.HistogramDataPoint:
    return sdk.HistogramDataPoint(
        _attributes(point.attributes),
        point.start_time_unix_nano,
        point.time_unix_nano,
        point.count,
        point.sum,
        list(point.bucket_counts),
        list(point.explicit_bounds),
        None,  # type: ignore[arg-type]  # min and max are not known, and the encoder leaves None out
        None,  # type: ignore[arg-type]  # as above
        _exemplars(point.exemplars),
    )


def _exemplars(several: Iterable[Any]) -> list[Exemplar]:
    return [
        Exemplar(
            _attributes(each.filtered_attributes),
            each.as_double,
            each.time_unix_nano,
            int.from_bytes(each.span_id) if each.span_id else None,
            int.from_bytes(each.trace_id) if each.trace_id else None,
        )
        for each in several
    ]


def _attributes(pairs: Iterable[Any]) -> dict[str, str | bool]:
    """Give attributes: all are strings but the mark of overflow."""
    return {
        pair.key: pair.value.bool_value if pair.value.HasField("bool_value") else pair.value.string_value
        for pair in pairs
    }
