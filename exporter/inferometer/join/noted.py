# SPDX-License-Identifier: Apache-2.0
"""The readings of devices that the join itself looks at: a few hundred of thousands, which only become points."""

from collections.abc import Sequence
from typing import NamedTuple

from inferometer import catalog
from inferometer.join import health, owned, uses, work
from inferometer.join.layout import Layout, picker
from inferometer.join.memo import Recall
from inferometer.model import DeviceReport, Metric, Reading

ENERGIES = frozenset({catalog.ENERGY})
_LOOKED_AT: Sequence[frozenset[Metric]] = (health.READ, owned.READ, uses.READ, work.READ, ENERGIES)


class Noted(NamedTuple):
    """A report's readings by who looks at them. `layouts` are the same objects while only values and times are others."""

    layouts: tuple[Layout, ...]
    health: tuple[Reading, ...]
    memory: tuple[Reading, ...]
    uses: tuple[Reading, ...]
    processes: tuple[Reading, ...]
    energies: tuple[Reading, ...]


def note(report: DeviceReport, layouts: tuple[Layout, ...], recall: Recall) -> Noted:
    """Pick the readings that are looked at; where they stand is found once for each of the `layouts` of the report's readings."""

    def find() -> list[Sequence[int]]:
        metrics = [reading.metric for reading in report.readings]
        return [[i for i, metric in enumerate(metrics) if metric in wanted] for wanted in _LOOKED_AT]

    pickers = recall.of("noted", layouts, lambda: [picker(places) for places in find()])
    return Noted(layouts, *(pick(report.readings) for pick in pickers))
