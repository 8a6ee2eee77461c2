# SPDX-License-Identifier: Apache-2.0
"""A snapshot's points as the push compares them: by metric, field by field."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from inferometer.model import Group, Metric, Snapshot, groups_of
from inferometer.views.columns import Columns


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """The points of each metric of the snapshot at `at`. A group that was there before has the very same columns again."""

    at: float
    metrics: Mapping[Metric, Columns]

    @classmethod
    def of(cls, snapshot: Snapshot, before: "Sheet | None" = None) -> "Sheet":
        """Take a snapshot's groups apart, but for those that `before` has."""
        known = before.metrics if before is not None else {}
        return cls(snapshot.at, MappingProxyType(dict(_columns(groups_of(snapshot.points), known))))


def _columns(groups: Iterable[Group], known: Mapping[Metric, Columns]) -> Iterable[tuple[Metric, Columns]]:
    for group in groups:
        metric = group[0].metric
        columns = known.get(metric)
        yield metric, columns if columns is not None and columns.group is group else Columns.of(group, columns)
