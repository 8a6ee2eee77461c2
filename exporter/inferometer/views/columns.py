# SPDX-License-Identifier: Apache-2.0
"""The points of one metric, field by field: whole columns are compared and written at once, in C."""

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

from inferometer.model import Group, Metric, Resource, Value


class Columns(NamedTuple):
    """A group, and each field of its points in their order. `earliest` and `latest` are the least and greatest of `at`."""

    group: Group
    metric: Metric
    attributes: tuple[tuple[str | None, ...], ...]
    values: tuple[Value, ...]
    at: tuple[float, ...]
    starts: tuple[float | None, ...]
    resources: tuple[Resource, ...]
    earliest: float
    latest: float

    @classmethod
    def of(cls, group: Group, before: "Columns | None" = None) -> "Columns":
        """Take a group apart. A column that is equal to that of `before` is the very same: it is compared once for everybody."""
        metrics, attributes, values, at, starts, resources = zip(*group, strict=True)
        if before is not None:
            attributes = before.attributes if attributes == before.attributes else attributes
            starts = before.starts if starts == before.starts else starts
            resources = before.resources if resources == before.resources else resources
        one_read = at.count(at[0]) == len(at)  # as of most groups: then nothing has to be compared
        earliest, latest = (at[0], at[0]) if one_read else (min(at), max(at))
        return cls(group, metrics[0], attributes, values, at, starts, resources, earliest, latest)

    def only(self, flags: Sequence[bool]) -> "Columns":
        """Give the points that have a flag: one at least."""
        return Columns.of(tuple(compress(self.group, flags)))

    def are_series_of(self, other: "Columns") -> bool:
        """Tell whether these are the points of the same series in the same order, of one metric."""
        return are_same(self.attributes, other.attributes) and are_same(self.resources, other.resources)


def are_same(one: Sequence[object], other: Sequence[object]) -> bool:
    """Tell whether two columns are equal: at a glance where they are one."""
    return one is other or one == other


class Pick(NamedTuple):
    """Points of one metric to be said: those that have a flag, or all."""

    columns: Columns
    flags: Sequence[bool] | None = None
