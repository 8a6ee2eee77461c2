# SPDX-License-Identifier: Apache-2.0
"""A snapshot as OTLP: ExportMetricsServiceRequest in protobuf bytes, and the OTLP/JSON mapping for people.

Every number is a double, every sum is cumulative unless deltas are asked for, every attribute a string but for the
boolean of overflow; a start time stands only where it is known.
Sources: https://opentelemetry.io/docs/specs/otlp/ and opentelemetry-proto v1.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from inferometer import __version__
from inferometer.catalog import SCHEMA_URL
from inferometer.model import Histogram, Instrument, Point, Snapshot
from inferometer.views.otlp_layout import SCOPE, Layout, marks
from inferometer.views.otlp_wire import is_true, nanoseconds, started
from inferometer.views.sayable import sayable

_JSON_DATA = {
    Instrument.GAUGE: "gauge",
    Instrument.COUNTER: "sum",
    Instrument.UPDOWNCOUNTER: "sum",
    Instrument.HISTOGRAM: "histogram",
}


class Encoder:
    """Encodes snapshots as OTLP requests; it remembers the newest layout and nothing else. Threads may share one."""

    def __init__(self) -> None:
        self._layout = Layout.of((), 0, None)

    @property
    def oversized(self) -> int:
        """How many points of the newest snapshot were left out because one alone exceeds a request."""
        return self._layout.oversized

    def requests(
        self,
        snapshot: Snapshot,
        *,
        max_bytes: int,
        ended: Iterable[Point] = (),
        deltas: Collection[Instrument] = (),
    ) -> tuple[bytes, ...]:
        """Give the ExportMetricsServiceRequests that say the snapshot, each of at most `max_bytes`.

        No request has two equal resources, as some receivers keep only one of them. `ended` are last points of series
        that are no more: they are sent once more, at the snapshot's time, with NO_RECORDED_VALUE, in requests after the
        others. The points of the instruments in `deltas` are deltas: gains since their starts. The same snapshot gives the
        same bytes; without points there is no request.
        """
        points = sayable(snapshot.points)
        layout = self._layout
        if not layout.fits(points, max_bytes, deltas):
            layout = self._layout = Layout.of(points, max_bytes, layout, deltas)
        return layout.fill(points) + marks(tuple(ended), snapshot.at, max_bytes, deltas)


# --- JSON ---------------------------------------------------------------------------------------------------------


def otlp_json(snapshot: Snapshot) -> str:
    """Give one ExportMetricsServiceRequest in OTLP/JSON: lowerCamelCase, 64-bit integers as strings, enums as integers.

    Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
    """
    points = sorted(sayable(snapshot.points), key=attrgetter("resource.attributes"))
    resources = [
        {
            "resource": {"attributes": _json_attributes(pairs)},
            "scopeMetrics": [
                {
                    "scope": {"name": SCOPE, "version": __version__},
                    "metrics": [
                        _json_metric(list(of_metric)) for _, of_metric in groupby(group, attrgetter("metric.name"))
                    ],
                    "schemaUrl": SCHEMA_URL,
                }
            ],
            "schemaUrl": SCHEMA_URL,
        }
        for pairs, group in groupby(points, attrgetter("resource.attributes"))
    ]
    return json.dumps({"resourceMetrics": resources}, ensure_ascii=False)


def _json_metric(points: Sequence[Point]) -> dict[str, object]:
    """Give the Metric of some points."""
    metric = points[0].metric
    data: dict[str, object] = {"dataPoints": [_json_point(point) for point in points]}
    if metric.instrument is not Instrument.GAUGE:
        data["aggregationTemporality"] = 2  # cumulative
    if metric.instrument is Instrument.COUNTER:
        data["isMonotonic"] = True
    return {
        "name": metric.name,
        "description": metric.description,
        "unit": metric.unit,
        _JSON_DATA[metric.instrument]: data,
    }


def _json_point(point: Point) -> dict[str, object]:
    """Give a NumberDataPoint or HistogramDataPoint."""
    start = started(point.start)
    said: dict[str, object] = {
        "attributes": _json_attributes(zip(point.metric.keys, point.attributes, strict=True)),
        **({} if start is None else {"startTimeUnixNano": str(start)}),
        "timeUnixNano": str(nanoseconds(point.at)),
    }
    if not isinstance(point.value, Histogram):
        return said | {"asDouble": float(point.value)}
    bounds, counts, total = point.value
    return said | {
        "count": str(sum(counts)),
        "sum": total,
        "bucketCounts": [str(count) for count in counts],
        "explicitBounds": bounds,
    }


def _json_attributes(pairs: Iterable[tuple[str, str | None]]) -> list[dict[str, object]]:
    """Give KeyValues; what is absent or empty is left out, and a lone surrogate becomes `?`."""
    clean = ((key, value.encode("utf-8", "replace").decode()) for key, value in pairs if value)
    return [
        {"key": key, "value": {"boolValue": True} if is_true(key, value) else {"stringValue": value}}
        for key, value in clean
    ]
