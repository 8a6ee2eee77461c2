# SPDX-License-Identifier: Apache-2.0
"""What was pushed, series by series."""

from typing import Any

from otlp_receiver import Received


def told(received: list[Received]) -> dict[tuple[Any, ...], list[tuple[int, int, float, bool]]]:
    """List start, time, value and whether it ends, for each series, as they came."""
    series: dict[tuple[Any, ...], list[tuple[int, int, float, bool]]] = {}
    for one in received:
        for resource in one.request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    rises = metric.HasField("histogram") or (metric.HasField("sum") and metric.sum.is_monotonic)
                    for point in data.data_points:
                        key = (resource.resource.SerializeToString(), metric.name, str(point.attributes), rises)
                        value = float(point.count) if metric.HasField("histogram") else point.as_double
                        came = (point.start_time_unix_nano, point.time_unix_nano, value, bool(point.flags & 1))
                        series.setdefault(key, []).append(came)
    return series
