# SPDX-License-Identifier: Apache-2.0
"""What owners held and spent: each device's time and energy, divided among those who had it and nobody (law 3)."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep
from inferometer.model import Point, Share, Snapshot

Attributes = tuple[str | None, ...]

_ROUNDING = 1e-9  # three thirds are not quite all of it: so much of an interval is nobody's time, but none


class Held(NamedTuple):
    """What one owner, or nobody, has had of one device: `total` seconds of its time and `joules`.

    `fraction` is the part that it had at the latest snapshot, `sole` whether nobody else had one. `joules` is None for what
    counts no energy. `start` and `at` are Unix seconds: when it began to count and when it last did. `ended` is monotonic
    seconds: when the holding was seen to be over; None while it lasts.
    """

    total: float
    start: float
    at: float
    ended: float | None = None
    fraction: float = 1.0
    sole: bool = True
    joules: float | None = None
    owned: bool = True  # by a pod; else it is nobody's
    timed: bool = True  # else its time is now that of its instances


def hold(
    held: Mapping[Attributes, Held],
    passed: float,
    snapshot: Snapshot,
    rules: Rules,
    energies: Mapping[str, float],
) -> tuple[dict[Attributes, Held], int]:
    """Advance what each owner has had by the seconds that `passed`; give it, and how many ended ones the limit dropped.

    A part counts as far as it was there at both ends of the interval; the rest is nobody's (law 3). Energy is a pod's where
    it had the GPU alone at both ends; a GPU's in MIG mode is nobody's. `energies` are what the GPUs said at the snapshot before.
    """
    by_device: dict[str, list[Share]] = {}
    for share in snapshot.shares:
        by_device.setdefault(share.device, []).append(share)
    running: dict[Attributes, Held] = {}
    for device, shares in by_device.items():
        spent = _spent(device, energies, snapshot)
        rest = next(share for share in shares if share.owner is None)
        owners = [share for share in shares if share.owner is not None]
        left_time, left_energy = passed, spent
        for share in owners:
            before = held.get(share.attributes)
            lasting = before is not None and before.ended is None
            part = passed * min(share.fraction, before.fraction) if before and lasting else 0.0
            alone = len(owners) == 1 and share.fraction == 1.0
            burnt = spent if spent and before and lasting and alone and before.sole else 0.0
            left_time -= part
            left_energy = None if left_energy is None else left_energy - burnt
            counts = device in snapshot.energies or (before is not None and before.joules is not None)
            running[share.attributes] = _advance(before, part, burnt if counts else None, share, alone, snapshot)
        left_time = left_time if left_time > _ROUNDING * passed else 0.0
        before = held.get(rest.attributes)
        there = before is not None and before.ended is None
        counts = device in snapshot.energies or (before is not None and before.joules is not None)
        running[rest.attributes] = _advance(
            before,
            left_time if there and before and before.timed else 0.0,
            ((left_energy or 0.0) if there else 0.0) if counts else None,
            rest,
            False,
            snapshot,
        )
    for share in snapshot.undivided:
        before = held.get(share.attributes)
        there = before is not None and before.ended is None
        if share.device in snapshot.energies or (before is not None and before.joules is not None):
            joules = (_spent(share.device, energies, snapshot) or 0.0) if there else 0.0
            running[share.attributes] = _advance(before, 0.0, joules, share, False, snapshot)._replace(timed=False)
    ended = (
        (key, before._replace(ended=snapshot.steady if before.ended is None else before.ended))
        for key, before in held.items()
        if key not in running
    )
    staying, excess = keep(ended, lambda item: item.ended or 0.0, snapshot.steady, rules)
    return {**running, **staying}, excess


def _spent(device: str, before: Mapping[str, float], snapshot: Snapshot) -> float | None:
    """Give what a GPU has consumed since the snapshot before; None where that cannot be told."""
    now, then = snapshot.energies.get(device), before.get(device)
    # A counter that fell was reset with the driver; how much was spent in between nobody knows.
    return now - then if now is not None and then is not None and now >= then else None


def _advance(
    before: Held | None, seconds: float, joules: float | None, share: Share, alone: bool, snapshot: Snapshot
) -> Held:
    """Add to what was had. A holding that was lost to sight comes back with its total: the gap is nobody's."""
    was = before or Held(0.0, snapshot.at, snapshot.at)
    return Held(
        was.total + seconds,
        was.start,
        snapshot.at,
        None,
        share.fraction,
        alone,
        None if joules is None else (was.joules or 0.0) + joules,
        share.owner is not None,
    )


def points_of(held: Mapping[Attributes, Held], snapshot: Snapshot) -> list[Point]:
    """Give the owners' time and energy; what has ended is stamped when it last counted."""
    points = [
        Point(catalog.OWNER_TIME, key, h.total, h.at, h.start, snapshot.node)
        for key, h in held.items()
        if h.timed or h.total > 0
    ]
    points += [
        Point(catalog.OWNER_ENERGY, key, h.joules, h.at, h.start, snapshot.node)
        for key, h in held.items()
        if h.joules is not None
    ]
    return points
