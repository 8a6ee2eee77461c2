# SPDX-License-Identifier: Apache-2.0
"""A report's readings as points; from one tick to the next most are the same, and are not made again.

What a slow tier said stays the same reading until its next read, and a number that moved stays the same series.
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING, NamedTuple

from inferometer.join.rules import Rule
from inferometer.model import Group, Histogram, Metric, Point, Reading, Resource, Value, count_series, series_of

if TYPE_CHECKING:
    from inferometer.join.owned import Owned

Named = Mapping[str, Mapping[str, str | None]]  # the attributes of each subject
_NOWHERE = -1


class Laid(NamedTuple):
    """The points of one report, by metric, with the number of their series; and what they were made from.

    `places` says where in its metric's group each reading's point is, `_NOWHERE` where it has none of its own; `timeless` says
    which readings had no time of their own, and have that of their report, `at`.
    """

    named: Named
    readings: Sequence[Reading]
    at: float
    timeless: frozenset[int]
    resource: Resource
    places: list[int]
    groups: dict[Metric, Group]
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
    found: dict[Metric, dict[tuple[str | None, ...], Point]] = {}
    places: list[int] = []
    repeated = 0
    for subject, metric, added, value, start, read_at in readings:
        own = named.get(subject)
        if own is None:  # a device that went while it was read contributes nothing
            places.append(_NOWHERE)
            continue
        get = ({**own, **dict(added)} if added else own).get
        attributes = tuple([get(key) or None for key in metric.keys])
        group = found.setdefault(metric, {})
        if attributes in group:
            places.append(_NOWHERE)
            repeated += series_of(value)
            continue
        places.append(len(group))
        group[attributes] = Point(metric, attributes, value, read_at or at, start, resource)
    groups = {metric: tuple(group.values()) for metric, group in found.items()}
    series = {metric: count_series([point.value for point in group]) for metric, group in groups.items()}
    return Laid(named, readings, at, timeless, resource, places, groups, series, repeated)


def again(before: Laid, named: Named, readings: Sequence[Reading], at: float, resource: Resource) -> Laid | None:
    """Make the points of a report whose series are those of the report before; None where they are not."""
    if len(readings) != len(before.readings) or before.repeated or resource != before.resource or named != before.named:
        return None
    olds, places, timeless = before.readings, before.places, before.timeless
    moved = list(compress(range(len(readings)), map(is_not, readings, olds)))
    if at != before.at:
        moved += timeless.difference(moved)
    changed: dict[Metric, list[Point]] = {}
    series = before.series.copy()
    for i in moved:
        subject, metric, added, value, start, read_at = readings[i]
        old_subject, old_metric, old_added, old_value, _, _ = olds[i]
        if metric is not old_metric or subject != old_subject or added != old_added or (i in timeless) is bool(read_at):
            return None
        place = places[i]
        if place == _NOWHERE:
            continue
        group = changed.get(metric)
        if group is None:
            group = changed[metric] = list(before.groups[metric])
        if (value.__class__ is not float or old_value.__class__ is not float) and not _are_as_long(value, old_value):
            series[metric] += series_of(value) - series_of(group[place].value)
        group[place] = _POINT(Point, (metric, group[place][1], value, read_at or at, start, resource))
    groups = {**before.groups, **{metric: tuple(group) for metric, group in changed.items()}}
    return Laid(named, readings, at, timeless, resource, places, groups, series, 0)


def _are_as_long(one: Value, other: Value) -> bool:
    """Tell whether two values are histograms of as many buckets: they have as many series."""
    return one.__class__ is Histogram is other.__class__ and len(one.counts) == len(other.counts)


_POINT = tuple.__new__  # what Point() does: this runs for nearly every reading of a report
