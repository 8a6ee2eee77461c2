# SPDX-License-Identifier: Apache-2.0
"""Over whole lives of snapshots, with numbers that no source should tell, what outputs remember never shows."""

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf, nan
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from inferometer.model import Group, Histogram, Point, Points, Resource, Snapshot, Value, groups_of
from inferometer.push.changes import find_ended, find_fresh, part_late
from inferometer.push.sheet import Sheet
from inferometer.push.temporality import DELTAS, Preference, Said, as_deltas
from inferometer.server.published import Published
from inferometer.views import otlp_layout, prometheus, prometheus_layout
from inferometer.views.columns import Pick
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition
from snapshots import snapshots

ODD: tuple[Value, ...] = (0.0, -0.0, 0, 1, 1.0, nan, inf, -inf, 10**400, 1e308, 1.5e308, -1e308, 5e-324, 1 << 53)
EDGES = ((), (1.0,), (1.0, 2.0), (0.5, 2.0), (2.0, 1.0), (nan,))


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    """Mostly one that can be said."""
    bounds = draw(st.sampled_from(EDGES))
    counts = tuple(draw(st.sampled_from([0, 0, 1, 7, -1])) for _ in range(len(bounds) + 1))
    return Histogram(bounds, counts, draw(st.sampled_from([0.0, -0.0, 1.0, 2.5, nan])))


@st.composite
def lives(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots of which groups stay, are read again, move in part, turn, shrink, are absent for a while and return."""
    first = draw(snapshots())
    known = list(groups_of(first.points))
    row = [replace(first, points=Points.of(known))]
    for i in range(draw(st.integers(1, 7))):
        groups: list[Group] = []
        for k, group in enumerate(known):
            match draw(
                st.sampled_from(["stays", "stays", "is read", "moves", "moves", "turns", "shrinks", "is absent"])
            ):
                case "is read":
                    known[k] = tuple([p._replace(at=p.at + i) for p in group])
                case "moves":
                    known[k] = tuple([_moved(draw, p) if draw(st.booleans()) else p for p in group])
                case "turns":
                    known[k] = group[::-1]
                case "shrinks":
                    groups.append(group[: draw(st.integers(1, len(group)))])
                    continue
                case "is absent":
                    continue
                case _:
                    pass
            groups.append(known[k])
        node = draw(st.sampled_from([first.node, first.node, Resource.of({"service.name": "other"})]))
        exemplars = draw(st.sampled_from([first.exemplars, {}]))
        at = first.at + draw(st.integers(0, 9))
        row.append(replace(first, at=at, node=node, points=Points.of(groups), exemplars=exemplars))
    return row


def _moved(draw: st.DrawFn, point: Point) -> Point:
    value = draw(histograms()) if isinstance(point.value, Histogram) else draw(st.sampled_from(ODD))
    start = draw(st.sampled_from([point.start, point.start, None, 1.6e9]))
    return point._replace(value=value, start=start, at=point.at + draw(st.sampled_from([0.0, 1.0])))


@given(
    lives(), st.booleans(), st.sampled_from([0, 2, 8192]), st.sampled_from([1, 200, 8192]), st.sampled_from([1, 2, 256])
)
def test_a_page_is_that_of_an_exposition_without_a_past(
    life: list[Snapshot], created: bool, most: int, least: int, piece: int
) -> None:
    """Either form, plain and packed, in however many parts and pieces, and however few numbers are remembered."""
    with (
        patch.object(prometheus, "_MOST", most),
        patch.object(prometheus, "_PIECE", piece),
        patch.object(prometheus_layout, "_LEAST", least),
    ):
        used = Exposition(created=created)
        published = Published(
            {
                "text": lambda snapshot: used.parts(snapshot, openmetrics=False),
                "openmetrics": lambda snapshot: used.parts(snapshot, openmetrics=True),
            }
        )
        for snapshot in life:
            published.publish(snapshot)
            for form in ("text", "openmetrics"):
                with patch.object(prometheus, "_PIECE", 1 << 30):
                    expected = Exposition(created=created).render(snapshot, openmetrics=form == "openmetrics")
                assert gzip.decompress(published.page(form, gzipped=True) or b"") == expected
                assert published.page(form) == expected
                assert used.render(snapshot, openmetrics=form == "openmetrics") == expected


@given(lives(), st.sampled_from([700, 1 << 30]), st.sampled_from(Preference), st.sampled_from([2, 512]))
def test_a_push_is_that_of_an_encoder_without_a_past(
    life: list[Snapshot], max_bytes: int, preference: Preference, at_once: int
) -> None:
    """Whatever of a snapshot is picked: late parts, ends and deltas have the bytes that they have by themselves."""
    used, said = Encoder(), Said(0.0)
    sent: Sheet | None = None
    for snapshot in life:
        sheet = Sheet.of(snapshot, sent)
        told, said = as_deltas(said, snapshot, preference)
        ended = find_ended(sent, sheet)
        fresh = find_fresh(sent, sheet if told is snapshot else Sheet.of(told, sheet))
        for part in part_late(sent, fresh):
            deltas = DELTAS[preference]
            with patch.object(otlp_layout, "_AT_ONCE", at_once):
                requests = used.requests(snapshot, max_bytes=max_bytes, picks=part, ended=ended, deltas=deltas)
            alone = replace(snapshot, points=tuple(_picked(part)))
            assert requests == Encoder().requests(alone, max_bytes=max_bytes, ended=ended, deltas=deltas)
            assert all(len(request) <= max_bytes for request in requests)
        sent = sheet


def _picked(part: Iterable[Pick]) -> Iterator[Point]:
    for columns, flags in part:
        yield from (p for i, p in enumerate(columns.group) if flags is None or flags[i])
