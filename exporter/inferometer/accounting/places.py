# SPDX-License-Identifier: Apache-2.0
"""How many series there may be, in all and of each metric, and who still finds a place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from inferometer import catalog
from inferometer.model import Group, Instrument, Metric, Point, count_series, series_of

_HISTOGRAM = Instrument.HISTOGRAM  # to look it up there costs more than to count a metric's series
_OWN = frozenset(metric for metric in catalog.METRICS if metric.name.startswith("inferometer."))
# Each other metric may come to need one series more, its overflow or how many were dropped; and one is how many there are.
_OTHERS = len(catalog.METRICS) - len(_OWN) + 1


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits: series in all, and of each metric, those of `of_metrics` apart. 0 is no limit of each metric.

    Below `near` of a limit nobody needs to know who is there. A tenth of all is kept for the agent's own metrics and for the
    overflow series, or more where these need more. A counter's limit has its overflow series in it.
    """

    series: int = 50_000
    per_metric: int = 0
    of_metrics: Mapping[Metric, int] = field(default_factory=lambda: MappingProxyType({}))
    near: float = 0.75

    def room(self, own: int) -> int:
        """Give how many series others may have besides so many of the agent's own."""
        return self.series - max(self.series // 10, own + _OTHERS)

    def room_of(self, metric: Metric) -> int | None:
        """Give how many series a metric may have besides its overflow; None is any number. The agent's own have no limit."""
        most = self.of_metrics.get(metric, self.per_metric)
        if not most or metric in _OWN:
            return None
        return most - 1 if can_fold(metric) else most

    def is_far(self, groups: Sequence[Group], numbers: Sequence[int]) -> bool:
        """Tell whether the series of these metrics, so many of each, are far below every limit."""
        number = sum(numbers)
        if number >= self.near * self.room(0):  # else they are, whosever they are
            own = _own_series(groups)
            if number - own >= self.near * self.room(own):
                return False
        limited = [most for most in (self.per_metric, *self.of_metrics.values()) if most]
        return (
            not limited
            or max(numbers, default=0) < self.near * (min(limited) - 1)
            or all(map(self._is_group_far, groups, numbers))
        )

    def _is_group_far(self, group: Group, number: int) -> bool:
        room = self.room_of(group[0].metric)
        return room is None or number < self.near * room


class Places:
    """The places that are left, while they are given away."""

    def __init__(self, budget: Budget, groups: Iterable[Group], away: Iterable[Point]) -> None:
        """Count what is taken: `groups` are all points that there are, and `away` have places that are kept for them."""
        self._budget = budget
        self._left = budget.room(_own_series(groups))
        self._left_of: dict[Metric, int | None] = {}
        for point in away:
            self._spend(point)

    def take(self, point: Point) -> bool:
        """Give a point a place, if there is one left."""
        metric = point.metric
        if metric in _OWN:
            return True
        left, cost = self._room_of(metric), cost_of(point)
        if cost > self._left or (left is not None and cost > left):
            return False
        self._spend(point)
        return True

    def _spend(self, point: Point) -> None:
        cost, left = cost_of(point), self._room_of(point.metric)
        self._left -= cost
        self._left_of[point.metric] = None if left is None else left - cost

    def _room_of(self, metric: Metric) -> int | None:
        return self._left_of[metric] if metric in self._left_of else self._budget.room_of(metric)


def _own_series(groups: Iterable[Group]) -> int:
    """Count the agent's own series, but for those that places are kept for anyway."""
    return count(group for group in groups if is_own(group[0].metric) and group[0].metric is not catalog.SERIES_DROPPED)


def can_fold(metric: Metric) -> bool:
    """Tell whether what is beyond the limits goes on in one series: a family that is passed on has no mark for it."""
    return metric.instrument is Instrument.COUNTER and metric in catalog.ORDER


def is_own(metric: Metric) -> bool:
    """Tell whether a metric is of the agent itself."""
    return metric in _OWN


def cost_of(point: Point) -> int:
    """Count the series of one point."""
    return series_of(point.value)


def count(groups: Iterable[Group]) -> int:
    """Count the series of points, given by their metrics."""
    return sum(map(count_each, groups))


def count_each(group: Group) -> int:
    """Count the series of the points of a metric: only a histogram has several of one."""
    if group[0].metric.instrument is not _HISTOGRAM:
        return len(group)
    return count_series([point.value for point in group])
