# SPDX-License-Identifier: Apache-2.0
"""A report's readings as points; from one tick to the next most are the same, and are not made again.

What a slow tier said stays the same reading until its next read, and a number that moved stays the same series.
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING, NamedTuple

from inferometer.join.rules import Rule
from inferometer.model import Metric, Point, Reading, Resource, series_of

if TYPE_CHECKING:
    from inferometer.join.owned import Owned

Named = Mapping[str, Mapping[str, str | None]]  # the attributes of each subject
_Group = dict[tuple[str | None, ...], Point]


class Laid(NamedTuple):
    """The points of one report, by metric, with the number of their series; and what they were made from.

    `places` has the attributes that each reading's point has, None where it has no point of its own; `timeless` says which
    readings had no time of their own, and have that of their report, `at`.
    """

    named: Named
    readings: Sequence[Reading]
    at: float
    timeless: frozenset[int]
    resource: Resource
    places: list[tuple[str | None, ...] | None]
    groups: dict[Metric, _Group]
    series: dict[Metric, int]
    repeated: int


class Memo:
    """What the reports of the newest snapshot became, in their order, who held what then, and what the rules said of it."""

    __slots__ = ("examined", "laid", "owned")

    def __init__(self) -> None:
        self.laid: list[Laid] = []
        self.owned: Owned | None = None
        self.examined: tuple[tuple[object, ...], Mapping[str, tuple[Rule, ...]]] | None = None


def lay(named: Named, readings: Sequence[Reading], at: float, resource: Resource) -> Laid:
    """Make the points of a report; of a series that is said twice the first stays (law 2), and the others are counted."""
    timeless = frozenset(i for i, reading in enumerate(readings) if not reading.at)
    laid = Laid(named, readings, at, timeless, resource, [], {}, {}, 0)
    repeated = 0
    for subject, metric, added, value, start, read_at in readings:
        own = named.get(subject)
        if own is None:  # a device that went while it was read contributes nothing
            laid.places.append(None)
            continue
        get = ({**own, **dict(added)} if added else own).get
        attributes = tuple([get(key) or None for key in metric.keys])
        group = laid.groups.setdefault(metric, {})
        if attributes in group:
            laid.places.append(None)
            repeated += series_of(value)
            continue
        laid.places.append(attributes)
        group[attributes] = Point(metric, attributes, value, read_at or at, start, resource)
        laid.series[metric] = laid.series.get(metric, 0) + series_of(value)
    return laid._replace(repeated=repeated)


def again(before: Laid, named: Named, readings: Sequence[Reading], at: float, resource: Resource) -> Laid | None:
    """Make the points of a report whose series are those of the report before; None where they are not."""
    if len(readings) != len(before.readings) or before.repeated or resource != before.resource or named != before.named:
        return None
    olds, places, timeless = before.readings, before.places, before.timeless
    moved = list(compress(range(len(readings)), map(is_not, readings, olds)))
    if at != before.at:
        moved += timeless.difference(moved)
    groups, series = before.groups.copy(), before.series.copy()
    mine: set[Metric] = set()  # whose group is not that of the report before
    for i in moved:
        subject, metric, added, value, start, read_at = readings[i]
        old = olds[i]
        if metric is not old[1] or subject != old[0] or added != old[2] or (i in timeless) is bool(read_at):
            return None
        attributes = places[i]
        if attributes is None:
            continue
        if metric not in mine:
            mine.add(metric)
            groups[metric] = groups[metric].copy()
        group = groups[metric]
        if value.__class__ is not float or old[3].__class__ is not float:
            series[metric] += series_of(value) - series_of(group[attributes].value)
        group[attributes] = Point(metric, attributes, value, read_at or at, start, resource)
    return Laid(named, readings, at, timeless, resource, places, groups, series, 0)
