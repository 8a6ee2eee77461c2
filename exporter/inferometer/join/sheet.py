# SPDX-License-Identifier: Apache-2.0
"""A part of a snapshot's points, put one by one."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.join.laid import Column, retell
from inferometer.model import Metric, Point, Resource, Value, count_series, series_of


class Part(NamedTuple):
    """What was put, by metric; `repeated` counts the series that were put once more.

    `timed` says whether any point has a time of its own; `earliest` is the earliest of all times (Unix seconds).
    """

    columns: Mapping[Metric, Column]
    repeated: int
    timed: bool
    earliest: float

    def retold(self, at: float) -> "Part":
        """Give the same at another time; only where none has its own."""
        columns = {metric: retell(column, at) for metric, column in self.columns.items()}
        return self._replace(columns=columns, earliest=at)


class Sheet:
    """Collects points by metric; those that are not given a time or a resource have `at` and the node's.

    `common` are the attributes that every point has.
    """

    def __init__(self, at: float, common: Mapping[str, str], node: Resource) -> None:
        self.common = common
        self._at = at
        self._node = node
        self._points: dict[Metric, dict[tuple[str | None, ...], Point]] = {}
        self._repeated = 0
        self._timed = False
        self._earliest = at

    def put(
        self,
        metric: Metric,
        attributes: Mapping[str, str | None],
        value: Value,
        *,
        at: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        """Add one point; an empty attribute value counts as absent."""
        get = {**attributes, **self.common}.get if self.common else attributes.get
        self.put_aligned(metric, tuple([get(key) or None for key in metric.keys]), value, at=at, resource=resource)

    def put_aligned(
        self,
        metric: Metric,
        attributes: tuple[str | None, ...],
        value: Value,
        *,
        at: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        """Add one point whose attributes are aligned with the metric's.

        A series that is there already stays as it is (law 2): two targets may be one engine, or one port with two paths.
        """
        points = self._points.setdefault(metric, {})
        if at is not None:
            self._timed = True
            self._earliest = min(at, self._earliest)
        if attributes in points:
            self._repeated += series_of(value)
            return
        points[attributes] = Point(
            metric, attributes, value, self._at if at is None else at, None, resource or self._node
        )

    def part(self, before: Part | None = None) -> Part:
        """Give what was put; series that are those of `before` have the same names."""
        columns: dict[Metric, Column] = {}
        for metric, points in self._points.items():
            names = tuple(points)
            old = before.columns.get(metric) if before else None
            if old is not None and old.names == names:
                names = old.names
            columns[metric] = Column(names, tuple(points.values()), count_series([p.value for p in points.values()]))
        return Part(columns, self._repeated, self._timed, self._earliest)
