# SPDX-License-Identifier: Apache-2.0
"""A snapshot as OTLP: ExportMetricsServiceRequest in protobuf bytes, and the OTLP/JSON mapping for people.

Every number is a double, every sum is cumulative unless deltas are asked for, every attribute a string but for the
boolean of overflow; a start time stands only where it is known.
Sources: https://opentelemetry.io/docs/specs/otlp/ and opentelemetry-proto v1.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress, groupby
from operator import attrgetter

from inferometer import __version__
from inferometer.catalog import SCHEMA_URL
from inferometer.model import Exemplar, Histogram, Instrument, Metric, Point, Snapshot, groups_of
from inferometer.views import otlp_wire as wire
from inferometer.views.columns import Columns, Pick
from inferometer.views.exemplars import CUMULATIVE, Told, placed, traced
from inferometer.views.otlp_forms import Filled, Form, Series, Times
from inferometer.views.otlp_layout import SCOPE, lay_out, marks
from inferometer.views.otlp_wire import is_true, nanoseconds, started
from inferometer.views.sayable import are_sayable, sayable

_JSON_DATA = {
    Instrument.GAUGE: "gauge",
    Instrument.COUNTER: "sum",
    Instrument.UPDOWNCOUNTER: "sum",
    Instrument.HISTOGRAM: "histogram",
}


class Encoder:
    """Encodes snapshots as OTLP requests; it remembers the forms of the metrics that there are, and one number.

    `oversized` counts the points that were left out, since the start, because one alone exceeds a request. Threads may share one.
    """

    def __init__(self) -> None:
        self._forms: Mapping[Metric, Form] = {}
        self.oversized = 0

    def requests(
        self,
        snapshot: Snapshot,
        *,
        max_bytes: int,
        ended: Iterable[Point] = (),
        deltas: Collection[Instrument] = (),
        picks: Iterable[Pick] | None = None,
    ) -> tuple[bytes, ...]:
        """Give the ExportMetricsServiceRequests that say the snapshot, each of at most `max_bytes`.

        No request has two equal resources, as some receivers keep only one of them. `ended` are last points of series
        that are no more: they are sent once more, at the snapshot's time, with NO_RECORDED_VALUE, in requests after the
        others. The points of the instruments in `deltas` are deltas: gains since their starts. `picks` are what to say of
        the snapshot's metrics, where that is not all. The same snapshot gives the same bytes; without points there is no
        request.
        """
        groups = groups_of(snapshot.points)
        there = {group[0].metric for group in groups}
        # What is not said now will be with a later read: its form stays as long as the snapshots have the metric.
        forms = {metric: form for metric, form in self._forms.items() if metric in there}
        times, made = Times(), dict[Series, bytes]()
        told: list[Filled] = []
        for pick in map(Pick, map(Columns.of, groups)) if picks is None else picks:
            said = pick if are_sayable(pick.columns.values) else _sayable(pick)
            if said is None:
                continue
            columns, flags = said
            metric = columns.metric
            exemplars = _exemplars(columns, snapshot.exemplars, deltas) if snapshot.exemplars else {}
            form = Form.of(columns, deltas, exemplars, forms.get(metric), made)
            forms[metric] = form
            told.append(form.fill(columns, flags, times))
        self._forms = forms
        requests, oversized = lay_out(told, max_bytes)
        self.oversized += oversized
        return requests + marks(tuple(ended), snapshot.at, max_bytes, deltas)


def _sayable(pick: Pick) -> Pick | None:
    """Leave out what is no measurement; None where nothing else is picked."""
    columns, flags = pick
    fit = set(map(id, sayable(columns.group)))
    said = [id(point) in fit for point in columns.group]
    chosen = list(compress(flags or said, said))
    return Pick(columns.only(said), chosen) if any(chosen) else None


def _exemplars(columns: Columns, told: Told, deltas: Collection[Instrument]) -> dict[int, bytes]:
    """Write the exemplars of each point that has some, by its index; a delta has those alone that were observed since its start."""
    metric = columns.metric
    if metric.instrument not in CUMULATIVE:
        return {}
    written: dict[int, bytes] = {}
    for i, attributes in enumerate(columns.attributes):
        if several := told.get((metric, attributes)):
            value, start = columns.values[i], columns.starts[i]
            since = (start or 0.0) if metric.instrument in deltas else 0.0
            those = [each for each in placed(value, several).values() if (each.at or 0.0) > since]
            if found := wire.exemplars(8 if isinstance(value, Histogram) else 5, those):
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
