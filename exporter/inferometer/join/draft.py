# SPDX-License-Identifier: Apache-2.0
"""The points of one snapshot while it is made: each series once, grouped by metric."""

from collections.abc import Mapping, Sequence

from inferometer import catalog
from inferometer.join.context import Context
from inferometer.join.laid import Laid, Named, again, lay
from inferometer.model import Group, Metric, Point, Points, Reading, Resource, Value, series_of


class Draft:
    """Collects the points of one snapshot by metric."""

    def __init__(self, now: float, context: Context) -> None:
        self.now = now
        self._node = context.node
        self.common = {catalog.SIMULATED.key: "true"} if context.simulated else {}
        self._points: dict[Metric, dict[tuple[str | None, ...], Point]] = {}
        self._memo = context.memo
        self._laid: list[Laid] = []
        self._lent: dict[Metric, Group] = {}  # those of a report alone
        self.series = 0
        self.repeated = 0

    def put(
        self,
        metric: Metric,
        attributes: Mapping[str, str | None],
        value: Value,
        *,
        at: float | None = None,
        start: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        """Add one point; an empty attribute value counts as absent."""
        get = {**attributes, **self.common}.get if self.common else attributes.get
        self.put_aligned(
            metric, tuple([get(key) or None for key in metric.keys]), value, at=at, start=start, resource=resource
        )

    def put_aligned(
        self,
        metric: Metric,
        attributes: tuple[str | None, ...],
        value: Value,
        *,
        at: float | None = None,
        start: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        """Add one point whose attributes are aligned with the metric's.

        A series that is there already stays as it is (law 2): two targets may be one engine, or one port with two paths,
        and a page that says a series twice is no page to Prometheus.
        """
        points = self._points.get(metric)
        if points is None:
            points = self._own(metric)
        if attributes in points:
            self.repeated += series_of(value)
            return
        at = self.now if at is None else at
        points[attributes] = Point(metric, attributes, value, at, start, resource or self._node)
        self.series += 1 if value.__class__ is float else series_of(value)

    def put_readings(
        self, named: Named, readings: Sequence[Reading], at: float, resource: Resource | None = None
    ) -> None:
        """Add a point for every reading of a report that was read at `at`; a reading may have a time of its own.

        `named` has the attributes of each subject; a subject that is not there contributes nothing.
        """
        resource = resource or self._node
        known = self._memo.laid[len(self._laid) :][:1]
        laid = (again(known[0], named, readings, at, resource) if known else None) or lay(named, readings, at, resource)
        self._laid.append(laid)
        self.repeated += laid.repeated
        for metric, group in laid.groups.items():
            if metric not in self._points and metric not in self._lent:
                self._lent[metric] = group
                self.series += laid.series[metric]
                continue
            there = self._own(metric)
            for point in group:
                if point.attributes in there:
                    self.repeated += series_of(point.value)
                else:
                    there[point.attributes] = point
                    self.series += series_of(point.value)

    def _own(self, metric: Metric) -> dict[tuple[str | None, ...], Point]:
        """Give the points of a metric, to add to them."""
        points = self._points.get(metric)
        if points is None:
            points = self._points[metric] = {point.attributes: point for point in self._lent.pop(metric, ())}
        return points

    def points(self) -> Points:
        """Give all points, in the catalogue's order of metrics; what is passed on comes after it."""
        self._memo.laid = self._laid  # whole, so that nobody sees it half done
        groups = {**self._lent, **{metric: tuple(points.values()) for metric, points in self._points.items()}}
        return Points.of(groups[metric] for metric in sorted(groups, key=catalog.place))
