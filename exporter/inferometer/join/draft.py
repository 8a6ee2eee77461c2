# SPDX-License-Identifier: Apache-2.0
"""The points of one snapshot while it is made: each series once, grouped by metric."""

from collections.abc import Mapping

from inferometer import catalog
from inferometer.join.context import Context
from inferometer.model import Metric, Point, Resource, Value, series_of


class Draft:
    """Collects the points of one snapshot by metric."""

    def __init__(self, now: float, context: Context) -> None:
        self.now = now
        self._node = context.node
        self.common = {catalog.SIMULATED.key: "true"} if context.simulated else {}
        self._points: dict[Metric, dict[tuple[str | None, ...], Point]] = {}
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
        get = {**attributes, **self.common}.get
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
        points = self._points.setdefault(metric, {})
        if attributes in points:
            self.repeated += series_of(value)
            return
        at = self.now if at is None else at
        points[attributes] = Point(metric, attributes, value, at, start, resource or self._node)
        self.series += series_of(value)

    def points(self) -> tuple[Point, ...]:
        """Give all points, in the catalogue's order of metrics."""
        return tuple(point for metric in catalog.METRICS for point in self._points.get(metric, {}).values())
