# SPDX-License-Identifier: Apache-2.0
"""What owners held: the time that each had a device alone."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep
from inferometer.model import Point, Snapshot

Attributes = tuple[str | None, ...]


class Held(NamedTuple):
    """How long an owner held a device alone, in seconds.

    `start` and `at` are Unix seconds: when it began to count and when it last did. `ended` is monotonic seconds: when
    the holding was seen to be over; None while it lasts.
    """

    total: float
    start: float
    at: float
    ended: float | None = None


def hold(
    held: Mapping[Attributes, Held], passed: float, snapshot: Snapshot, rules: Rules
) -> tuple[dict[Attributes, Held], int]:
    """Advance the owners' time by the seconds that `passed`; give it, and how many ended ones the limit dropped."""
    running: dict[Attributes, Held] = {}
    for tenure in snapshot.tenures:
        before = held.get(tenure.attributes)
        if before is None:
            running[tenure.attributes] = Held(0.0, snapshot.at, snapshot.at)
        else:
            # A holding that was lost to sight comes back with its total: the gap is nobody's.
            gained = passed if before.ended is None else 0.0
            running[tenure.attributes] = Held(before.total + gained, before.start, snapshot.at)
    ended = (
        (key, before._replace(ended=snapshot.steady if before.ended is None else before.ended))
        for key, before in held.items()
        if key not in running
    )
    staying, excess = keep(ended, lambda item: item.ended or 0.0, snapshot.steady, rules)
    return {**running, **staying}, excess


def points_of(held: Mapping[Attributes, Held], snapshot: Snapshot) -> list[Point]:
    """Give the owners' time; one that has ended is stamped when it last counted."""
    return [Point(catalog.OWNER_TIME, key, h.total, h.at, h.start, snapshot.node) for key, h in held.items()]
