# SPDX-License-Identifier: Apache-2.0
"""SXIDs by NVSwitch and code."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules
from inferometer.model import Point, Snapshot, Sxid
from inferometer.xid_catalog import FATAL, WARNING

Key = tuple[str, int, bool]  # PCI address, code, whether it is fatal


class Reported(NamedTuple):
    """How many SXIDs were `told`, and how many are `held` back until the next snapshot; `start`: when it was surely 0."""

    start: float
    told: int = 0
    held: int = 0


def count(
    before: Mapping[Key, Reported], fresh: Sequence[Sxid], rules: Rules, since: float
) -> tuple[Mapping[Key, Reported], int]:
    """Count SXIDs; give the counts, and how many the limit dropped.

    A counter is born at 0, and its first SXID counts in the next snapshot. Nothing tells when an NVSwitch is gone: the
    counters stay.
    """
    if not fresh and not any(known.held for known in before.values()):
        return before, 0
    after = {key: known._replace(told=known.told + known.held, held=0) for key, known in before.items()}
    dropped = 0
    for sxid in fresh:
        key = (sxid.pci_address, sxid.code, sxid.fatal)
        known = after.get(key)
        if known is None and len(after) >= rules.max_sxids:
            dropped += 1
        elif known is None or known.held or key not in before:
            known = known or Reported(since)
            after[key] = known._replace(held=known.held + 1)
        else:
            after[key] = known._replace(told=known.told + 1)
    return after, dropped


def points_of(counters: Mapping[Key, Reported], snapshot: Snapshot) -> list[Point]:
    """Give the counters."""
    marks = (
        None,
        "true" if snapshot.simulated else None,
    )  # overflow and simulation: the last attributes of every metric
    return [
        Point(
            catalog.SXID_ERRORS,
            (address, str(code), FATAL if fatal else WARNING, *marks),
            float(counter.told),
            snapshot.at,
            counter.start,
            snapshot.node,
        )
        for (address, code, fatal), counter in counters.items()
    ]
