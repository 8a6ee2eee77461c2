# SPDX-License-Identifier: Apache-2.0
"""A snapshot as a Prometheus page: text format 0.0.4 (which is also valid 1.0.0) and OpenMetrics 1.0.0.

Between two snapshots a page's numbers move while its series rarely do. So what stands before each number is laid out
once, and a page is that layout with the new numbers in between.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from itertools import accumulate, chain
from typing import NamedTuple

from inferometer.model import Resource, Snapshot, groups_of
from inferometer.views import prometheus_text
from inferometer.views.exemplars import Told, pointed
from inferometer.views.prometheus_families import Family, stamps, write
from inferometer.views.prometheus_layout import Layout
from inferometer.views.sayable import sayable

_MOST = (
    8192  # numbers of a page that are kept: those of devices, which come first; most of engines' are others every time
)

# Numbers that are written at once: some 40 KiB, which stay in a cache, and far below what the kernel is asked for anew at
# each use. A long page then costs what a short one does, line by line.
_PIECE = 128


class Part(NamedTuple):
    """A part of a page, written piece by piece when it is asked for. In pages of one form the same stamp means the same text."""

    stamp: int
    write: Callable[[], Iterable[bytes]]

    @property
    def text(self) -> bytes:
        """Write all of it."""
        return b"".join(self.write())


def put_together(parts: Iterable[Part]) -> bytes:
    """Give the page that parts make in a row."""
    page = BytesIO()  # it grows in place, where a join would hold all pieces until it has copied them
    for part in parts:
        page.writelines(part.write())
    return page.getvalue()


class Exposition:
    """Renders snapshots as pages; it remembers the newest page's layout and numbers. Threads may share one.

    Args:
        created: whether OpenMetrics has a `_created` line for each counter and histogram whose start is known.
    """

    def __init__(self, *, created: bool = False) -> None:
        self._created = created
        self._newest = Layout.of(Resource(()), ()), tuple[Family, ...]()

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> bytes:
        """Give the page in UTF-8: OpenMetrics 1.0.0, or text 0.0.4. The same snapshot gives the same bytes."""
        return put_together(self.parts(snapshot, openmetrics=openmetrics))

    def parts(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[Part]:
        """Give the page in parts, of which most are, from one snapshot to the next, what they were.

        There are no timestamps, and infos are gauges in both forms. Exemplars and `_created` lines stand in OpenMetrics
        only: the text format has neither. The node's resource becomes
        one `target_info`; other resources have none, since a point's identity is on the point.
        """
        layout, families = self._newest
        known = {family.form.metric: family for family in families}
        groups = groups_of(snapshot.points)
        found = [write(group, known.get(group[0].metric), created=self._created) for group in groups]
        families = tuple([family for family in found if family is not None])
        forms = tuple([family.form for family in families])
        if not layout.fits(snapshot.node, forms):
            layout = Layout.of(snapshot.node, forms)
            families = tuple(family._replace(stamp=next(stamps)) for family in families)
        page = layout.page(openmetrics=openmetrics)
        self._newest = layout, families if len(page) <= 3 * _MOST else _kept(families)
        if openmetrics and snapshot.exemplars:
            families = _with_exemplars(families, snapshot.exemplars)
        ends = (*layout.cuts[1:], (len(families), len(page)))
        for (first, begin), (last, end) in zip(layout.cuts, ends, strict=True):
            own = families[first:last]
            # A page without families is its node's word alone, which nothing here tells apart: it is always a new one.
            stamp = max([family.stamp for family in own]) if own else next(stamps)
            yield Part(stamp, partial(_written, page, begin, end, own))


def _kept(families: Sequence[Family]) -> tuple[Family, ...]:
    """Give what is remembered of the families of a long page: no more numbers than `_MOST`, and every form."""
    numbers = accumulate(len(family.words) for family in families)
    return tuple(family if so_far <= _MOST else family.bare() for family, so_far in zip(families, numbers, strict=True))


def _with_exemplars(families: Iterable[Family], told: Told) -> tuple[Family, ...]:
    """Give the families with their exemplars behind the numbers: few have any, and these are not remembered."""
    metrics = {metric for metric, _ in told}
    shown: list[Family] = []
    for family in families:
        words = family.words
        if family.form.metric in metrics and family.points is not None:
            words = words.copy()
            for _, first, several in pointed(sayable(family.points), told):
                for bucket, exemplar in several.items():
                    words[first + bucket] += prometheus_text.exemplar(exemplar)
        shown.append(family if words is family.words else family._replace(words=words, stamp=next(stamps)))
    return tuple(shown)


def _written(page: list[str], begin: int, end: int, families: Iterable[Family]) -> Iterator[bytes]:
    """Put the numbers of a part of a page into it."""
    words = list(chain.from_iterable([family.words for family in families]))
    for first in range(0, (end - begin + 2) // 3, _PIECE):
        piece = page[begin + 3 * first : min(begin + 3 * (first + _PIECE), end)]
        piece[2::3] = words[first : first + _PIECE]
        # A lone surrogate, which only a hostile source can send, becomes `?`: one value must not take the page.
        yield "".join(piece).encode("utf-8", "replace")
