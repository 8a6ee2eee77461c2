# SPDX-License-Identifier: Apache-2.0
"""A report's readings as points; from one tick to the next most are the same, and are not made again.

What a slow tier said stays the same reading until its next read, and a number that moved stays the same series.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inferometer.model import Metric, Point, Reading, Resource, series_of

Named = Mapping[str, Mapping[str, str | None]]  # the attributes of each subject
_Group = dict[tuple[str | None, ...], Point]


class Laid(NamedTuple):
    """The points of one report, by metric, with the number of their series; and what they were made from.

    `places` has the attributes that each reading's point has, None where it has no point of its own.
    """

    named: Named
    readings: Sequence[Reading]
    resource: Resource
    places: list[tuple[str | None, ...] | None]
    groups: dict[Metric, _Group]
    series: dict[Metric, int]
    repeated: int


class Memo:
    """What the reports of the newest snapshot became, in their order."""

    __slots__ = ("laid",)

    def __init__(self) -> None:
        self.laid: list[Laid] = []


def lay(named: Named, readings: Sequence[Reading], at: float, resource: Resource) -> Laid:
    """Make the points of a report; of a series that is said twice the first stays (law 2), and the others are counted."""
    laid = Laid(named, readings, resource, [], {}, {}, 0)
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
    # A reading without a time of its own has its report's.
    pairs = zip(readings, before.readings, strict=True)
    moved = [i for i, (new, old) in enumerate(pairs) if new is not old or not new[5]]
    if any(readings[i][:3] != before.readings[i][:3] for i in moved):
        return None
    places, series = before.places, before.series.copy()
    groups = {metric: points.copy() for metric, points in before.groups.items()}
    for i in moved:
        attributes = places[i]
        if attributes is not None:
            _, metric, _, value, start, read_at = readings[i]
            group = groups[metric]
            series[metric] += series_of(value) - series_of(group[attributes].value)
            group[attributes] = Point(metric, attributes, value, read_at or at, start, resource)
    return Laid(named, readings, resource, places, groups, series, 0)
