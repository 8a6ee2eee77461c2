# SPDX-License-Identifier: Apache-2.0
"""A snapshot as a Prometheus page: text format 0.0.4 (which is also valid 1.0.0) and OpenMetrics 1.0.0.

Between two snapshots a page's numbers move while its series rarely do. So what stands before each number is laid out
once, and a page is that layout with the new numbers in between.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain, compress, count
from operator import is_, is_not, itemgetter
from typing import NamedTuple, cast

from inferometer.model import Group, Histogram, Metric, Point, Resource, Snapshot, groups_of
from inferometer.views import prometheus_text
from inferometer.views.exemplars import CUMULATIVE, Told, pointed
from inferometer.views.sayable import sayable

# A series of a metric as a page tells it apart; a histogram's bounds are part of it, because each is a line of its own.
_Series = tuple[tuple[str | None, ...], tuple[float, ...] | None]

# Point.attributes, Point.value and Point.start, read in C: these run for every point that is new.
_ATTRIBUTES, _VALUE, _START = map(itemgetter, (1, 2, 4))

_LEAST = 8 * 1024  # characters of a part, without its numbers,
_PARTS = 64  # and how many parts a longer page has
_LAST_SECOND = 1 << 34  # in the year 2514: what a hostile page says beyond is no start
_MOST = 8192  # numbers of a page that are kept: those of devices; most of engines' are others every time


class Part(NamedTuple):
    """A part of a page, written when it is asked for. In pages of one form the same stamp means the same text."""

    stamp: int
    write: Callable[[], bytes]

    @property
    def text(self) -> bytes:
        """Write it."""
        return self.write()


class Exposition:
    """Renders snapshots as pages; it remembers the newest page's layout and numbers. Threads may share one.

    Args:
        created: whether OpenMetrics has a `_created` line for each counter and histogram whose start is known.
    """

    def __init__(self, *, created: bool = False) -> None:
        self._created = created
        self._newest = _Layout.of(Resource(()), ()), tuple[_Family, ...]()

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> bytes:
        """Give the page in UTF-8: OpenMetrics 1.0.0, or text 0.0.4. The same snapshot gives the same bytes."""
        return b"".join(part.text for part in self.parts(snapshot, openmetrics=openmetrics))

    def parts(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[Part]:
        """Give the page in parts, of which most are, from one snapshot to the next, what they were.

        There are no timestamps, and infos are gauges in both forms. Exemplars and `_created` lines stand in OpenMetrics
        only: the text format has neither. The node's resource becomes
        one `target_info`; other resources have none, since a point's identity is on the point.
        """
        layout, families = self._newest
        known = {family.form.metric: family for family in families}
        found = (
            _write(group, known.get(group[0].metric), created=self._created) for group in groups_of(snapshot.points)
        )
        families = tuple(family for family in found if family is not None)
        if not layout.fits(snapshot.node, families):
            layout = _Layout.of(snapshot.node, tuple(family.form for family in families))
            families = tuple(family._replace(stamp=next(_stamps)) for family in families)
        page = layout.page(openmetrics=openmetrics)
        few = len(page) <= 3 * _MOST
        self._newest = layout, families if few else tuple(family.bare() for family in families)
        if openmetrics and snapshot.exemplars:
            families = _with_exemplars(families, snapshot.exemplars)
        ends = (*layout.cuts[1:], (len(families), len(page)))
        for (first, begin), (last, end) in zip(layout.cuts, ends, strict=True):
            stamp = max((family.stamp for family in families[first:last]), default=0) if few else next(_stamps)
            yield Part(stamp, partial(_joined, page, begin, end, families[first:last]))


@dataclass(frozen=True, slots=True, eq=False)
class _Form:
    """Everything of one family but its numbers.

    `attributes` are the points'. What stands before each number is in two: `texts`, which the buckets of a series share, and
    `edges`, which those of equal bounds do. `begun` are the points' starts, where these are told.
    """

    metric: Metric
    attributes: list[tuple[str | None, ...]]
    histograms: list[int]  # which points are histograms
    bounds: list[tuple[float, ...]]
    texts: list[str]
    edges: list[str]
    begun: list[float | None]

    @classmethod
    def of(cls, points: Sequence[Point], before: "_Form | None", begun: list[float | None]) -> "_Form":
        """Lay out the series of `points`, taking the lines that the form before has."""
        known = before.lines() if before else {}
        metric = points[0].metric
        texts: list[str] = []
        edges: list[str] = []
        for _, attributes, value, *_ in points:
            bounds = value.bounds if isinstance(value, Histogram) else None
            texts += known.get((attributes, bounds)) or prometheus_text.texts(metric, attributes, bounds)
            edges += prometheus_text.edges(bounds)
        histograms = [i for i, point in enumerate(points) if isinstance(point.value, Histogram)]
        return cls(metric, list(map(_ATTRIBUTES, points)), histograms, _bounds(points, histograms), texts, edges, begun)

    def lines(self) -> dict[_Series, Sequence[str]]:
        """Give the texts of each series."""
        bounds: dict[int, tuple[float, ...]] = dict(zip(self.histograms, self.bounds, strict=True))
        lines: dict[_Series, Sequence[str]] = {}
        begin = 0
        for i, attributes in enumerate(self.attributes):
            edges = bounds.get(i)
            end = begin + (1 if edges is None else len(edges) + 3)  # buckets with +Inf, sum and count
            lines[attributes, edges] = self.texts[begin:end]
            begin = end
        return lines

    def created(self) -> Iterator[tuple[int, str]]:
        """Write when each series began, where that is told and known, with the index of the text that follows."""
        bounds: dict[int, tuple[float, ...]] = dict(zip(self.histograms, self.bounds, strict=True))
        end = 0
        for i, begun in enumerate(self.begun):
            end += len(bounds[i]) + 3 if i in bounds else 1
            if begun is not None and 0 < begun < _LAST_SECOND:
                yield end, prometheus_text.created(self.metric, self.attributes[i], begun)

    def fits(self, points: Sequence[Point], begun: list[float | None]) -> bool:
        """Tell whether `points`, which are of this metric, are the series of this form, in its order, with its starts."""
        return (
            list(map(_ATTRIBUTES, points)) == self.attributes
            and _bounds(points, self.histograms) == self.bounds
            and begun == self.begun
        )

    def numbers(self, points: Sequence[Point]) -> list[float]:
        """Give every number in order; a histogram's are its buckets, which cumulate, its sum and count."""
        values = list(map(_VALUE, points))
        if not self.histograms:
            return values
        numbers: list[float] = []
        begin = 0
        for i in self.histograms:
            _, counts, total = values[i]
            numbers += values[begin:i]
            numbers += accumulate(counts)
            numbers += (total, numbers[-1])
            begin = i + 1
        return numbers + values[begin:]


class _Family(NamedTuple):
    """One metric's points in a page: their form, their numbers, and these as they were written.

    `points` are None where nothing is kept but the form. In pages of one layout the same stamp means the same text.
    """

    form: _Form
    points: Group | None
    numbers: list[float]
    words: list[str]
    stamp: int

    def bare(self) -> "_Family":
        """Give the form alone, with nothing written."""
        return self._replace(points=None, numbers=[], words=[])


def _begun(points: Sequence[Point], *, created: bool) -> list[float | None]:
    """Give the starts that a page tells: those of what accumulates, where they are asked for."""
    told = created and bool(points) and points[0].metric.instrument in CUMULATIVE
    return list(map(_START, points)) if told else []


def _write(points: Group, before: _Family | None, *, created: bool) -> _Family | None:
    """Write the numbers of a metric's points; None where there is nothing to say.

    Only what is not the very number that it was is written anew.
    """
    if before is not None and before.points is not None:
        if points is before.points:
            return before
        form = before.form
        same = not form.histograms and all(map(is_, map(_VALUE, points), before.numbers))
        if same and form.fits(points, _begun(points, created=created)):
            return before._replace(points=points)  # read again, and the same
    said = sayable(points)
    if not said:
        return None
    begun = _begun(said, created=created)
    if before and before.form.fits(said, begun):
        form = before.form
    else:
        form = _Form.of(said, before.form if before else None, begun)
    numbers = form.numbers(said)
    if before is None or before.points is None or form is not before.form:
        return _Family(form, points, numbers, list(map(repr, numbers)), next(_stamps))
    words = before.words.copy()  # another thread may be at the same
    for i in compress(range(len(numbers)), map(is_not, numbers, before.numbers)):
        words[i] = repr(numbers[i])
    return _Family(form, points, numbers, words, before.stamp if words == before.words else next(_stamps))


def _with_exemplars(families: Iterable[_Family], told: Told) -> tuple[_Family, ...]:
    """Give the families with their exemplars behind the numbers: few have any, and these are not remembered."""
    metrics = {metric for metric, _ in told}
    shown: list[_Family] = []
    for family in families:
        words = family.words
        if family.form.metric in metrics and family.points is not None:
            words = words.copy()
            for _, first, several in pointed(sayable(family.points), told):
                for bucket, exemplar in several.items():
                    words[first + bucket] += prometheus_text.exemplar(exemplar)
        shown.append(family if words is family.words else family._replace(words=words, stamp=next(_stamps)))
    return tuple(shown)


def _joined(page: Sequence[str], begin: int, end: int, families: Iterable[_Family]) -> bytes:
    """Put the numbers of a part of a page into it."""
    part = list(page[begin:end])
    part[2::3] = chain.from_iterable(family.words for family in families)
    # A lone surrogate, which only a hostile source can send, becomes `?`: one value must not take the page.
    return "".join(part).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Everything of a page but its numbers: its families' forms, where its parts begin, and by form the finished texts."""

    node: Resource
    forms: tuple[_Form, ...]
    cuts: list[tuple[int, int]]
    pages: dict[bool, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, node: Resource, forms: tuple[_Form, ...]) -> "_Layout":
        """Lay out a page."""
        return cls(node, forms, _cuts(forms))

    def fits(self, node: Resource, families: Sequence[_Family]) -> bool:
        """Tell whether these families, of this node, have these forms."""
        return tuple([family.form for family in families]) == self.forms and node == self.node

    def page(self, *, openmetrics: bool) -> list[str]:
        """Give the page: before each number its text and its edge, and room for it."""
        if openmetrics not in self.pages:
            texts = [*chain.from_iterable(form.texts for form in self.forms)]
            texts.append(prometheus_text.target_info(self.node) + ("\n# EOF\n" if openmetrics else "\n"))
            begin, family = 0, ""
            for form in self.forms:
                if form.metric.prometheus != family:  # several metrics may be one family, that of an engine
                    family = form.metric.prometheus
                    texts[begin] = prometheus_text.header(form.metric, openmetrics=openmetrics) + texts[begin]
                begin += len(form.texts)
            begin = 0
            for form in self.forms if openmetrics else ():
                for i, text in form.created():
                    texts[begin + i] = text + texts[begin + i]  # it ends its own family, before what begins the next
                begin += len(form.texts)
            texts[0] = texts[0].removeprefix("\n")
            page = [""] * (3 * len(texts) - 2)
            page[::3] = texts
            page[1::3] = chain.from_iterable(form.edges for form in self.forms)
            self.pages[openmetrics] = page
        return self.pages[openmetrics]


_stamps = count()  # of the whole process: no two texts share one


def _cuts(forms: Sequence[_Form]) -> list[tuple[int, int]]:
    """Give where a part begins, by family and in the page: with a family, when the part before is long enough."""
    lengths = [sum(map(len, form.texts)) for form in forms]
    least = max(_LEAST, sum(lengths) // _PARTS)
    cuts = [(0, 0)]
    room = at = 0
    for i, form in enumerate(forms):
        if room >= least:
            cuts.append((i, at))
            room = 0
        room += lengths[i]
        at += 3 * len(form.texts)
    return cuts


def _bounds(points: Sequence[Point], histograms: Sequence[int]) -> list[tuple[float, ...]]:
    """Give the bounds of the points that are histograms."""
    return [cast(Histogram, points[i].value).bounds for i in histograms]
