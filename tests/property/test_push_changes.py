# SPDX-License-Identifier: Apache-2.0
"""What a push finds changed is what a plain comparison of every point finds, whatever stayed the very same."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import compress, repeat

from hypothesis import given
from hypothesis import strategies as st

from inferometer.model import Group, Point, Points, Snapshot, groups_of
from inferometer.push.changes import find_ended, find_fresh, part_late
from inferometer.push.sheet import Sheet
from inferometer.views.columns import Columns, Pick
from snapshots import successions


def series(point: Point) -> tuple[object, ...]:
    return point.metric, point.attributes, point.resource


@st.composite
def rows(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots as the agent makes them: a group is the one from before, equal to it, in another order, or has changed."""
    row = [replace(each, points=Points.of(groups_of(each.points))) for each in draw(successions())]
    for i, after in enumerate(row[1:], 1):
        known = {group[0].metric: group for group in groups_of(row[i - 1].points)}
        groups: list[Group] = []
        for group in groups_of(after.points):
            old = known.get(group[0].metric, group)
            fate = draw(st.sampled_from(["changes", "stays", "is equal", "is turned", "is read"]))
            groups.append(
                {
                    "changes": group,
                    "stays": old,
                    "is equal": tuple([p._replace(attributes=(*p.attributes,)) for p in old]),
                    "is turned": old[::-1],
                    "is read": tuple([p._replace(at=p.at + draw(st.integers(-1, 1))) for p in old]),
                }[fate]
            )
        row[i] = replace(after, points=Points.of(groups))
    return row


def picked(picks: Iterable[Pick]) -> list[Point]:
    return [p for columns, flags in picks for p in compress(columns.group, flags or repeat(True))]


@given(rows(), st.data())
def test_changes_are_those_of_every_point(row: list[Snapshot], data: st.DataObject) -> None:
    """Ended, read anew, and read before the last snapshot: each point by itself says so."""
    sent: Sheet | None = None
    before: dict[tuple[object, ...], Point] = {}
    for snapshot in row:
        sheet = Sheet.of(snapshot, sent)
        now = {series(point): point for point in snapshot.points}
        owed = tuple(data.draw(st.lists(st.sampled_from(row[0].points), max_size=2))) if row[0].points else ()
        ended = find_ended(sent, sheet, owed)
        fresh = find_fresh(sent, sheet)
        *late, rest = part_late(sent, fresh)

        gone = {**{series(p): p for p in owed}, **before} if sent else {}
        assert {series(p): p for p in ended} == {key: p for key, p in gone.items() if key not in now}
        expected = [p for p in snapshot.points if series(p) not in before or p.at > before[series(p)].at]
        assert picked(fresh) == expected
        if sent is not None:
            assert [picked(part) for part in late] == [[p for p in expected if p.at <= sent.at]][: len(late)]
            assert picked(rest) == [p for p in expected if p.at > sent.at]
        sent, before = sheet, now


@given(rows())
def test_what_is_shared_with_the_sheet_before_is_equal(row: list[Snapshot]) -> None:
    """Columns are those of their own group, and its times are within their bounds; the same group has the same columns."""
    sheet: Sheet | None = None
    for snapshot in row:
        before, sheet = sheet, Sheet.of(snapshot, sheet)
        assert [columns.group for columns in sheet.metrics.values()] == list(groups_of(snapshot.points))
        for metric, columns in sheet.metrics.items():
            alone = Columns.of(columns.group)
            assert columns == alone
            assert (columns.earliest, columns.latest) == (min(columns.at), max(columns.at))
            known = before.metrics.get(metric) if before else None
            assert known is None or (known is columns) is (known.group is columns.group)
