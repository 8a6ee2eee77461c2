# SPDX-License-Identifier: Apache-2.0
"""Series without the attributes that the configuration drops: what is the same without them is one, as the catalogue allows.

Gauges that add up are the sum of those that are there, others the largest. Counters and histograms are added up by what each has
grown since the agent saw it, so that a sum never falls, whoever goes and whatever is reset; it begins at 0. Means
cannot be one: the configuration refuses what would tell theirs no longer apart, and if they are not told apart nonetheless, as
where nobody knows a pod's UID, they are left out and counted; so are histograms of different bounds (law 7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from inferometer.accounting.growth import Part, bounds_of, growth, nothing, plus
from inferometer.accounting.linger import Rules, keep_departed
from inferometer.accounting.moments import Now
from inferometer.accounting.plans import Plan, Thinned
from inferometer.model import Aggregation, Exemplar, Group, Instrument, Point, Resource, Value, groups_of, series_of

Exemplars = Mapping[Thinned, tuple[Exemplar, ...]]

_CUMULATIVE = (Instrument.COUNTER, Instrument.HISTOGRAM)


class Total(NamedTuple):
    """A sum of cumulative series since `start` (Unix seconds), when it was 0.

    `ended` is monotonic seconds: since when no part of it is there.
    """

    value: Value
    start: float
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The sums of counters and histograms, and their parts; `left_out` counts the series that could not be one."""

    totals: Mapping[Thinned, Total] = field(default_factory=lambda: MappingProxyType({}))
    parts: Mapping[Thinned, Part] = field(default_factory=lambda: MappingProxyType({}))
    left_out: int = 0


def drop(
    state: State, groups: Sequence[Group], plan: Plan, node: Resource, rules: Rules, now: Now
) -> tuple[State, Sequence[Group], int]:
    """Give points, by metric, without what a plan drops of them; also how many series that are gone the limit made us forget.

    What can be of several engines is said by the node's resource.
    """
    if not plan.thins:  # what grows now would be told as grown since, if anything were dropped again
        return State(left_out=state.left_out), groups, 0
    told: list[Point] = []
    points = list(chain.from_iterable(groups))
    alike: dict[Thinned, list[Point]] = {}
    resources = _cleaned(points, plan, node)
    for point in points:
        thin = plan.thins.get(point.metric)
        if thin is None:
            resource = resources[point.resource]
            told.append(point if resource is point.resource else point._replace(resource=resource))
        else:
            resource = resources[point.resource] if thin.describes else node
            thinned = point._replace(resource=resource)
            alike.setdefault((point.metric, thin.thinned(point.attributes)), []).append(thinned)

    adding = _Adding(state, now)
    left_out = state.left_out
    for key, group in alike.items():
        value = adding.add(key, group) if key[0].instrument in _CUMULATIVE else _level(group)
        if value is None:
            left_out += sum(series_of(point.value) for point in group)
            continue
        start = adding.totals[key].start if key in adding.totals else None
        at = max(start or 0.0, *(point.at for point in group))  # the first were read before anything was added up
        told.append(Point(key[0], key[1], value, at, start, group[0].resource))
    totals, forgotten = keep_departed(state.totals, adding.totals, now.steady, rules)
    parts, more = keep_departed(state.parts, adding.parts, now.steady, rules)
    after = State({**adding.totals, **totals}, {**adding.parts, **parts}, left_out)
    return after, groups_of(told), forgotten + more


def point_at_sums(exemplars: Exemplars, plan: Plan) -> Exemplars:
    """Have exemplars stand behind what their series became; the newest come last, and so stay where there is room for one."""
    if not (exemplars and plan.thins):
        return exemplars
    found: dict[Thinned, list[Exemplar]] = {}
    for (metric, attributes), several in exemplars.items():
        thin = plan.thins.get(metric)
        found.setdefault((metric, thin.thinned(attributes) if thin else attributes), []).extend(several)
    return {series: tuple(sorted(several, key=lambda each: each.at or 0.0)) for series, several in found.items()}


def _cleaned(points: Sequence[Point], plan: Plan, node: Resource) -> dict[Resource, Resource]:
    """Give each resource as it may stand; the node's is what its operator says of it."""
    hidden: dict[Resource, set[str]] = {}
    for point in points:
        if point.resource is not node:
            hidden.setdefault(point.resource, set()).update(plan.hidden(point))
    return {**{each: plan.clean(each, values) for each, values in hidden.items()}, node: node}


def _level(group: Sequence[Point]) -> float | None:
    """Give what several gauges are together; None where they cannot be one."""
    values = [point.value for point in group if isinstance(point.value, float | int)]
    match group[0].metric.aggregation:
        case Aggregation.SUM:
            return sum(values)
        case Aggregation.MAX:
            return max(values)
        case Aggregation.JOIN:  # all of them say 1
            return values[0] if len(set(values)) == 1 else None
        case Aggregation.AVERAGE:
            return values[0] if len(values) == 1 else None


class _Adding:
    """The sums while one snapshot is added to them."""

    def __init__(self, state: State, now: Now) -> None:
        self._before = state
        self._now = now
        self.totals: dict[Thinned, Total] = {}
        self.parts: dict[Thinned, Part] = {}

    def add(self, key: Thinned, group: Sequence[Point]) -> Value | None:
        """Add what the parts of a sum have grown; None where they have different bounds.

        A part that was not there before grew all that it has if it began since the snapshot before; else nobody knows when.
        Where all parts have other bounds than the sum, a new one begins.
        """
        edges = {bounds_of(point.value) for point in group}
        known = self._before.totals.get(key)
        if known is None or bounds_of(known.value) not in edges:
            known = Total(nothing(group[0].value), self._now.at if self._now.before is None else self._now.before)
        value = known.value
        for point in group:
            part = (point.metric, point.attributes)
            before = self._before.parts.get(part)
            is_born = self._now.before is not None and point.start is not None and point.start >= self._now.before
            since_born = point.value if is_born else None
            grown = growth(before, point.value, point.start) if before else since_born
            self.parts[part] = Part(point.value, point.at, point.start)
            if grown is not None and bounds_of(grown) == bounds_of(value):
                value = plus(value, grown)
        self.totals[key] = Total(value, known.start)
        return value if len(edges) == 1 else None
