# SPDX-License-Identifier: Apache-2.0
"""A snapshot as a Prometheus page: text format 0.0.4 (which is also valid 1.0.0) and OpenMetrics 1.0.0.

Between two snapshots a page's numbers move while its series rarely do. So what stands before each number is laid out
once, and a page is that layout with the new numbers in between.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, compress, count, pairwise
from operator import is_not, itemgetter
from typing import NamedTuple, cast

from inferometer.catalog import prometheus_unit
from inferometer.model import Histogram, Instrument, Metric, Point, Resource, Snapshot
from inferometer.views.sayable import sayable

# A series as a page tells it apart; a histogram's bounds are part of it, because each is a line of its own.
_Series = tuple[Metric, tuple[str | None, ...], tuple[float, ...] | None]

# Point.metric, Point.attributes and Point.value, read in C: these run for every point of every snapshot.
_METRIC, _ATTRIBUTES, _VALUE = map(itemgetter, range(3))

_TYPES = {
    Instrument.GAUGE: "gauge",
    Instrument.COUNTER: "counter",
    Instrument.UPDOWNCOUNTER: "gauge",
    Instrument.HISTOGRAM: "histogram",
}

# Prometheus makes `job` and `instance` of these and leaves them out of target_info (prometheus/prometheus
# storage/remote/otlptranslator/prometheusremotewrite, addResourceTargetInfo). Both routes say the same.
_IDENTIFYING = frozenset({"service.name", "service.namespace", "service.instance.id"})


_LEAST = 8 * 1024  # characters of a part, without its numbers,
_PARTS = 64  # and how many parts a longer page has
_MOST = 8192  # numbers of a page that are kept: those of devices; most of engines' are others every time


class Part(NamedTuple):
    """A part of a page. In pages of one form the same stamp means the same text."""

    stamp: int
    text: bytes


class Exposition:
    """Renders snapshots as pages; it remembers the newest page's layout and numbers. Threads may share one."""

    def __init__(self) -> None:
        self._layout = _Layout.of(Resource(()), (), None)

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> bytes:
        """Give the page in UTF-8: OpenMetrics 1.0.0, or text 0.0.4. The same snapshot gives the same bytes."""
        return b"".join(part.text for part in self.parts(snapshot, openmetrics=openmetrics))

    def parts(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[Part]:
        """Give the page in parts, of which most are, from one snapshot to the next, what they were.

        One is made when it is asked for: a page whole, and its bytes, would be many times what is sent.

        There are no timestamps and no `_created` lines, and infos are gauges in both forms. The node's resource becomes
        one `target_info`; other resources have none, since a point's identity is on the point.
        """
        points = sayable(snapshot.points)
        layout = self._layout
        if not layout.fits(snapshot.node, points):
            layout = self._layout = _Layout.of(snapshot.node, points, layout)
        page = layout.page(openmetrics=openmetrics).copy()
        page[2::3], stamps = layout.written(points)
        for stamp, (begin, end) in zip(stamps, pairwise((*layout.cuts, len(page))), strict=True):
            # A lone surrogate, which only a hostile source can send, becomes `?`: one value must not take the page.
            yield Part(stamp, "".join(page[begin:end]).encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Everything of a page but its numbers.

    `metrics` and `attributes` are the points'. What stands before each number is in two: `texts`, which the buckets of a
    series share, and `edges`, which those of equal bounds do. `starts` says before which of them a family begins. `pages`
    are the finished texts by form, and `cuts` say where in these each part begins.
    `newest` has the newest page's numbers, those as they were written, and the stamps of its parts.
    """

    node: Resource
    metrics: list[Metric]
    attributes: list[tuple[str | None, ...]]
    histograms: list[int]  # which points are histograms
    bounds: list[tuple[float, ...]]
    texts: list[str]
    edges: list[str]
    starts: list[tuple[int, Metric]]
    pages: dict[bool, list[str]] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    newest: list[tuple[list[float], list[str], list[int]]] = field(default_factory=list)

    @classmethod
    def of(cls, node: Resource, points: Sequence[Point], before: "_Layout | None") -> "_Layout":
        """Lay out the series of `points`, taking the lines that the layout before has."""
        known = before.lines() if before else {}
        texts: list[str] = []
        edges: list[str] = []
        starts: list[tuple[int, Metric]] = []
        for metric, attributes, value, *_ in points:
            bounds = value.bounds if isinstance(value, Histogram) else None
            if not starts or starts[-1][1].prometheus != metric.prometheus:
                starts.append((len(texts), metric))
            texts += known.get((metric, attributes, bounds)) or _texts(metric, attributes, bounds)
            edges += _edges(bounds)
        histograms = [i for i, point in enumerate(points) if isinstance(point.value, Histogram)]
        metrics, attributes_of = list(map(_METRIC, points)), list(map(_ATTRIBUTES, points))
        bounds_of = _bounds(points, histograms)
        cuts = _cuts(texts, starts)
        return cls(node, metrics, attributes_of, histograms, bounds_of, texts, edges, starts, cuts=cuts)

    def lines(self) -> dict[_Series, Sequence[str]]:
        """Give the texts of each series."""
        bounds: dict[int, tuple[float, ...]] = dict(zip(self.histograms, self.bounds, strict=True))
        lines: dict[_Series, Sequence[str]] = {}
        begin = 0
        for i, series in enumerate(zip(self.metrics, self.attributes, strict=True)):
            edges = bounds.get(i)
            end = begin + (1 if edges is None else len(edges) + 3)  # buckets with +Inf, sum and count
            lines[*series, edges] = self.texts[begin:end]
            begin = end
        return lines

    def fits(self, node: Resource, points: Sequence[Point]) -> bool:
        """Tell whether `points` are the series of this layout, in its order."""
        return (
            list(map(_METRIC, points)) == self.metrics
            and list(map(_ATTRIBUTES, points)) == self.attributes
            and node == self.node
            and _bounds(points, self.histograms) == self.bounds
        )

    def written(self, points: Sequence[Point]) -> tuple[list[str], list[int]]:
        """Give every number of the page in order, written, and the parts' stamps.

        Only what is not the very number that it was is written anew.
        """
        numbers = self.numbers(points)
        if len(numbers) > _MOST:
            return list(map(repr, numbers)), [next(_stamps) for _ in self.cuts]
        if not self.newest:
            words, stamps = list(map(repr, numbers)), [next(_stamps) for _ in self.cuts]
        else:
            before, olds, stamps = self.newest[0]
            words = olds.copy()  # another thread may be at the same
            for i in compress(range(len(numbers)), map(is_not, numbers, before)):
                words[i] = repr(numbers[i])
            parts = pairwise((*(cut // 3 for cut in self.cuts), len(words)))
            stamps = [
                stamp if words[begin:end] == olds[begin:end] else next(_stamps)
                for stamp, (begin, end) in zip(stamps, parts, strict=True)
            ]
        self.newest[:] = ((numbers, words, stamps),)
        return words, stamps

    def numbers(self, points: Sequence[Point]) -> list[float]:
        """Give every number of the page in order; a histogram's are its buckets, which cumulate, its sum and count."""
        numbers = list(map(_VALUE, points))
        for i in reversed(self.histograms):
            _, counts, total = numbers[i]
            buckets = list(accumulate(counts))
            numbers[i : i + 1] = (*buckets, total, buckets[-1])
        return numbers

    def page(self, *, openmetrics: bool) -> list[str]:
        """Give the page: before each number its text and its edge, and room for it."""
        if openmetrics not in self.pages:
            texts = [*self.texts, _target_info(self.node) + ("\n# EOF\n" if openmetrics else "\n")]
            for i, metric in self.starts:
                texts[i] = _header(metric, openmetrics=openmetrics) + texts[i]
            texts[0] = texts[0].removeprefix("\n")
            page = [""] * (3 * len(texts) - 2)
            page[::3] = texts
            page[1::3] = self.edges
            self.pages[openmetrics] = page
        return self.pages[openmetrics]


_stamps = count()  # of the whole process: no two texts share one


def _cuts(texts: Sequence[str], starts: Sequence[tuple[int, Metric]]) -> list[int]:
    """Give where in a page a part begins: with a family, when the part before is long enough."""
    lengths = list(accumulate(map(len, texts), initial=0))
    least = max(_LEAST, lengths[-1] // _PARTS)
    cuts = [0]
    for i, _ in starts:
        if lengths[i] - lengths[cuts[-1] // 3] >= least:
            cuts.append(3 * i)
    return cuts


def _bounds(points: Sequence[Point], histograms: Sequence[int]) -> list[tuple[float, ...]]:
    """Give the bounds of the points that are histograms."""
    return [cast(Histogram, points[i].value).bounds for i in histograms]


# --- text ---------------------------------------------------------------------------------------------------------


def _texts(metric: Metric, attributes: Sequence[str | None], bounds: Sequence[float] | None) -> tuple[str, ...]:
    """Write what stands before each number of one series, each with the line break before it, without a bucket's edge."""
    pairs = zip(metric.attributes, attributes, strict=True)
    # An empty label is an absent one to Prometheus, so an empty attribute is left out on every route.
    labels = [_label(attribute.label, value) for attribute, value in pairs if value]
    name = metric.prometheus
    if bounds is None:
        return (f"\n{name}{_braced(labels)} ",)
    bucket = f"\n{name}_bucket{{{''.join(f'{label},' for label in labels)}"
    return (
        *[bucket] * (len(bounds) + 1),
        f"\n{name}_sum{_braced(labels)} ",
        f"\n{name}_count{_braced(labels)} ",
    )


@lru_cache(256)  # the same few tuples in all series
def _edges(bounds: tuple[float, ...] | None) -> tuple[str, ...]:
    """Write the edges of a histogram's buckets; its sum and count, and any other number, have none."""
    if bounds is None:
        return ("",)
    return (*(f"{_label('le', edge)}}} " for edge in (*map(boundary, bounds), "+Inf")), "", "")


def _braced(labels: Sequence[str]) -> str:
    """Write a label set; none needs no braces."""
    return f"{{{','.join(labels)}}}" if labels else ""


def _label(name: str, value: str) -> str:
    """Write one label, its value escaped as both formats ask: backslash, quote and line feed."""
    return f'{name}="{_escape(value)}"'


def _escape(text: str) -> str:
    """Escape what cannot stand inside quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _header(metric: Metric, *, openmetrics: bool) -> str:
    """Write a family's metadata. OpenMetrics names a counter's family without `_total` and escapes quotes in HELP."""
    kind = _TYPES[metric.instrument]
    if not openmetrics:
        text = metric.description.replace("\\", r"\\").replace("\n", r"\n")
        return f"\n# HELP {metric.prometheus} {text}\n# TYPE {metric.prometheus} {kind}"
    family = metric.prometheus.removesuffix("_total") if kind == "counter" else metric.prometheus
    unit = prometheus_unit(metric)
    unit_line = f"\n# UNIT {family} {unit}" if unit else ""
    return f"\n# HELP {family} {_escape(metric.description)}\n# TYPE {family} {kind}{unit_line}"


def _target_info(node: Resource) -> str:
    """Write the resource as Prometheus does for OTLP; nothing where it would say nothing."""
    values: dict[str, str] = {}
    for key, value in node.attributes:
        label = _label_name(key)
        if value and label.strip("_") and key not in _IDENTIFYING:
            # Keys that become one label are joined by `;` in key order, as Prometheus does.
            values[label] = f"{values[label]};{value}" if label in values else value
    if not values:
        return ""
    labels = _braced([_label(name, value) for name, value in values.items()])
    return f"\n# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{labels} 1.0"


def _label_name(key: str) -> str:
    """Turn a resource attribute's key, which an operator may choose freely, into a label name.

    Source: prometheus/otlptranslator, label_namer.go: every run of other characters becomes one underscore, and a name
    that begins with a digit gains `key_`.
    """
    name = re.sub(r"[^a-zA-Z0-9]+", "_", key)
    return f"key_{name}" if name[:1].isdigit() else name


def boundary(bound: float) -> str:
    """Write a bucket's bound as Prometheus does: shortest digits, an exponent from 1e+06 on, `1.0` for 1.

    Source: labels.FormatOpenMetricsFloat, Go's FormatFloat(f, 'g', -1, 64) plus `.0` for a whole number.
    """
    text = repr(bound + 0.0)
    whole, _, fraction = text.lstrip("-").partition(".")
    if "e" in text or len(whole) <= len("100000"):  # shortest 'g' of a longer one has an exponent
        return text
    digits = (whole + fraction).rstrip("0")
    mantissa = f"{digits[0]}.{digits[1:]}" if digits[1:] else digits
    return f"{'-' if bound < 0 else ''}{mantissa}e+{len(whole) - 1:02d}"
