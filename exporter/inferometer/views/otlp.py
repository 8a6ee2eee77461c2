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
from inferometer.model import Exemplar, Histogram, Instrument, Point, Points, Snapshot, groups_of
from inferometer.views import otlp_wire as wire
from inferometer.views.exemplars import Told, placed, pointed, traced
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
    """Encodes snapshots as OTLP requests; it remembers the newest layout and one number. Threads may share one.

    `oversized` counts the points that were left out, since the start, because one alone exceeds a request.
    """

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self.oversized = 0

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
        said = sayable(snapshot.points)
        points = said if isinstance(said, Points) else Points.of(groups_of(said))
        exemplars = _exemplars(points, snapshot, deltas) if snapshot.exemplars else {}
        layout = self._layout = Layout.of(points.groups, max_bytes, self._layout, deltas, exemplars)
        self.oversized += layout.oversized
        return layout.fill(points) + marks(tuple(ended), snapshot.at, max_bytes, deltas)


def _exemplars(points: Sequence[Point], snapshot: Snapshot, deltas: Collection[Instrument]) -> dict[int, bytes]:
    """Write the exemplars of each point that has some, by its index; a delta has those alone that were observed since its start."""
    written: dict[int, bytes] = {}
    for i, _, placed_ones in pointed(points, snapshot.exemplars):
        metric, _, value, _, start, _ = points[i]
        since = (start or 0.0) if metric.instrument in deltas else 0.0
        several = [each for each in placed_ones.values() if (each.at or 0.0) > since]
        if found := wire.exemplars(8 if isinstance(value, Histogram) else 5, several):
            written[i] = found
    return written


# --- JSON ---------------------------------------------------------------------------------------------------------


def otlp_json(snapshot: Snapshot) -> str:
    """Give one ExportMetricsServiceRequest in OTLP/JSON: lowerCamelCase, 64-bit integers as strings, enums as integers.

    Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
    """
    points = sorted(sayable(snapshot.points), key=attrgetter("resource.attributes"))
    told = snapshot.exemplars
    resources = [
        {
            "resource": {"attributes": _json_attributes(pairs)},
            "scopeMetrics": [
                {
                    "scope": {"name": SCOPE, "version": __version__},
                    "metrics": [
                        _json_metric(list(of_metric), told)
                        for _, of_metric in groupby(group, attrgetter("metric.name"))
                    ],
                    "schemaUrl": SCHEMA_URL,
                }
            ],
            "schemaUrl": SCHEMA_URL,
        }
        for pairs, group in groupby(points, attrgetter("resource.attributes"))
    ]
    return json.dumps({"resourceMetrics": resources}, ensure_ascii=False)


def _json_metric(points: Sequence[Point], told: Told) -> dict[str, object]:
    """Give the Metric of some points."""
    metric = points[0].metric
    several = (told.get((point.metric, point.attributes), ()) for point in points)
    data: dict[str, object] = {"dataPoints": list(map(_json_point, points, several))}
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


def _json_point(point: Point, several: Sequence[Exemplar]) -> dict[str, object]:
    """Give a NumberDataPoint or HistogramDataPoint."""
    start = started(point.start)
    said: dict[str, object] = {
        "attributes": _json_attributes(zip(point.metric.keys, point.attributes, strict=True)),
        **({} if start is None else {"startTimeUnixNano": str(start)}),
        "timeUnixNano": str(nanoseconds(point.at)),
    }
    exemplars = [
        _json_exemplar(each, time) for each in placed(point.value, several).values() if (time := started(each.at))
    ]
    if exemplars:
        said["exemplars"] = exemplars
    if not isinstance(point.value, Histogram):
        return said | {"asDouble": float(point.value)}
    bounds, counts, total = point.value
    return said | {
        "count": str(sum(counts)),
        "sum": total,
        "bucketCounts": [str(count) for count in counts],
        "explicitBounds": bounds,
    }


def _json_exemplar(exemplar: Exemplar, time: int) -> dict[str, object]:
    """Give an Exemplar; its ids are hexadecimal digits in this mapping."""
    trace_id, span_id, others = traced(exemplar.labels)
    ids = {key: said.lower() for key, said in (("spanId", span_id), ("traceId", trace_id)) if said}
    return {
        "filteredAttributes": _json_attributes(others),
        "timeUnixNano": str(time),
        "asDouble": exemplar.value,
        **ids,
    }


def _json_attributes(pairs: Iterable[tuple[str, str | None]]) -> list[dict[str, object]]:
    """Give KeyValues; what is absent or empty is left out, and a lone surrogate becomes `?`."""
    clean = ((key, value.encode("utf-8", "replace").decode()) for key, value in pairs if value)
    return [
        {"key": key, "value": {"boolValue": True} if is_true(key, value) else {"stringValue": value}}
        for key, value in clean
    ]
