# SPDX-License-Identifier: Apache-2.0
"""The readings of devices that the join itself looks at: a few hundred of thousands, which only become points."""

from dataclasses import replace
from itertools import compress
from operator import itemgetter

from inferometer import catalog
from inferometer.join import health, owned, uses, work
from inferometer.model import DeviceReport, Metric

ENERGIES = frozenset({catalog.ENERGY})
NOTED: frozenset[Metric] = health.READ | owned.READ | uses.READ | work.READ | ENERGIES

_METRIC = itemgetter(1)  # Reading.metric, read in C


def note(report: DeviceReport) -> DeviceReport:
    """Give a report with those readings alone, once for all who look for some of them."""
    chosen = map(NOTED.__contains__, map(_METRIC, report.readings))
    return replace(report, readings=tuple(compress(report.readings, chosen)))
