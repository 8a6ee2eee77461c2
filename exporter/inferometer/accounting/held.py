# SPDX-License-Identifier: Apache-2.0
"""What owners held and spent: each device's time and energy, divided among those who had it and nobody (law 3)."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, is_shown, keep_departed
from inferometer.model import Group, Point, Share, Snapshot

Attributes = tuple[str | None, ...]
Holder = tuple[str, str | None]  # device, and who has it: `Owner.key`; None is nobody

_DEVICE = catalog.OWNER_TIME.keys.index(catalog.HW_ID.key)
_ROUNDING = 1e-9  # three thirds are not quite all of it: so much of an interval is nobody's time, but none


class Held(NamedTuple):
    """What one holder has had of one device, as one series tells it: `total` seconds of its time and `joules`.

    `fraction` is the part that it had at the latest snapshot, `sole` whether nobody else had one. `joules` is None for what
    counts no energy. `start` and `at` are Unix seconds: when it began to count and when it last did. `ended` is monotonic
    seconds: when the series was seen to be over; None while it lasts.
    """

    holder: Holder
    total: float
    start: float
    at: float
    ended: float | None = None
    fraction: float = 1.0
    sole: bool = True
    joules: float | None = None
    timed: bool = True  # else its time is now that of its instances
    metered: bool = True  # had it alone ever since the GPU's counter was seen to move

    @property
    def owned(self) -> bool:
        """Whether it is a pod's; else it is nobody's."""
        return self.holder[1] is not None


def running(held: Mapping[Attributes, Held]) -> dict[Holder, Attributes]:
    """Name the series that each holder's time and energy count in now: a holder has one at a time."""
    return {each.holder: attributes for attributes, each in held.items() if each.ended is None}


def hold(
    held: Mapping[Attributes, Held],
    passed: float,
    snapshot: Snapshot,
    rules: Rules,
    energies: Mapping[str, float],
) -> tuple[dict[Attributes, Held], int]:
    """Advance what each holder has had by the seconds that `passed`; give it, and how many ended series the limit dropped.

    A part counts as far as its holder had it at both ends of the interval, whatever came to be said of it meanwhile; the rest
    is nobody's (law 3). Energy is a pod's where it had the GPU alone ever since the GPU's counter was seen to move; a GPU's in
    MIG mode is nobody's. `energies` are what the GPUs said last: see `latest`.
    """
    book = _Book(held, snapshot)
    by_device: dict[str, list[Share]] = {}
    for share in snapshot.shares:
        by_device.setdefault(share.device, []).append(share)
    for device, shares in by_device.items():
        owners = [share for share in shares if share.owner is not None]
        left_time, left_energy = passed, _spent(device, energies, snapshot)
        for share in owners:
            before = book.before(share)
            seconds = passed * min(share.fraction, before.fraction) if before else 0.0
            alone = len(owners) == 1 and share.fraction == 1.0
            joules = left_energy if left_energy and before and before.metered and alone else 0.0
            left_time -= seconds
            left_energy = None if left_energy is None else left_energy - joules
            # A frame that stands in a second snapshot tells nothing of the time between the two.
            moved = snapshot.energies.get(device, energies.get(device)) != energies.get(device)
            metered = alone and (moved or (before is not None and before.metered))
            book.enter(share, seconds, joules, sole=alone, metered=metered)
        rest = next(share for share in shares if share.owner is None)
        before = book.before(rest)
        timed = before is not None and before.timed and left_time > _ROUNDING * passed
        book.enter(rest, left_time if timed else 0.0, left_energy or 0.0)
    for share in snapshot.undivided:
        if share.device in snapshot.energies or book.has_energy(share):
            book.enter(share, 0.0, _spent(share.device, energies, snapshot) or 0.0, timed=False)
    devices = {device.uuid for device in snapshot.devices}
    staying, excess = keep_departed(
        {**held, **book.over}, book.running, snapshot.steady, rules, lambda key: key[_DEVICE] not in devices
    )
    return {**book.running, **staying}, excess


class _Book:
    """The series while one interval is added to them.

    A holder whose attributes changed, as its team or how its part is known, goes on in another series: the interval still
    counts in the old one, which is then frozen, and the new one begins at 0. So no series jumps, and nothing is told twice. A
    series that is there again within the linger goes on from where it was.
    """

    def __init__(self, held: Mapping[Attributes, Held], snapshot: Snapshot) -> None:
        self._held = held
        self._running = running(held)
        self._snapshot = snapshot
        self.running: dict[Attributes, Held] = {}
        self.over: dict[Attributes, Held] = {}  # those that this interval was the last of

    def before(self, share: Share) -> Held | None:
        """Give what a share's holder had at the snapshot before."""
        attributes = self._running.get(_holder(share))
        return None if attributes is None else self._held[attributes]

    def has_energy(self, share: Share) -> bool:
        """Tell whether a share's series has counted energy."""
        known = self._held.get(share.attributes)
        return known is not None and known.joules is not None

    def enter(
        self,
        share: Share,
        seconds: float,
        joules: float,
        *,
        sole: bool = False,
        timed: bool = True,
        metered: bool = False,
    ) -> None:
        """Add to what a share's holder had; what it had not at the snapshot before is not its."""
        holder, at = _holder(share), self._snapshot.at
        known = self._held.get(share.attributes)
        last = self._running.get(holder)
        counts = share.device in self._snapshot.energies
        if last is not None:
            before = self._held[last]
            counts |= before.joules is not None  # a call that fails once changes nothing of that
            more = None if before.joules is None else before.joules + joules
            counted = before._replace(total=before.total + seconds, joules=more, at=at)
            if last == share.attributes:
                known = counted
            else:
                self.over[last] = counted
        if known is None:
            known = Held(holder, 0.0, at, at)
        energy = 0.0 if known.joules is None and counts else known.joules
        self.running[share.attributes] = Held(
            holder, known.total, known.start, at, None, share.fraction, sole, energy, timed, metered
        )


def _holder(share: Share) -> Holder:
    return share.device, share.owner.key if share.owner else None


def _spent(device: str, before: Mapping[str, float], snapshot: Snapshot) -> float | None:
    """Give what a GPU has consumed since it was told last; None where that cannot be told."""
    now, then = snapshot.energies.get(device), before.get(device)
    # A counter that fell was reset with the driver; how much was spent in between nobody knows.
    return now - then if now is not None and then is not None and now >= then else None


def latest(energies: Mapping[str, float], snapshot: Snapshot) -> Mapping[str, float]:
    """Give what each GPU that is there said last, so that a call that fails once loses nothing of what it spent."""
    devices = {device.uuid for device in snapshot.devices}
    if energies.keys() & devices <= snapshot.energies.keys():
        return snapshot.energies
    return {**{device: joules for device, joules in energies.items() if device in devices}, **snapshot.energies}


def shown(held: Mapping[Attributes, Held], snapshot: Snapshot, rules: Rules) -> Mapping[Attributes, Held]:
    """Give what is published: not what is only remembered of devices that are away."""
    if all(is_shown(h.ended, snapshot.steady, rules) for h in held.values()):
        return held
    return {key: h for key, h in held.items() if is_shown(h.ended, snapshot.steady, rules)}


def groups_of(held: Mapping[Attributes, Held], snapshot: Snapshot) -> list[Group]:
    """Give the owners' time and energy; what has ended is stamped when it last counted."""
    time = [(key, h.total, h.at, h.start) for key, h in held.items() if h.timed or h.total > 0]
    energy = [(key, h.joules, h.at, h.start) for key, h in held.items() if h.joules is not None]
    return [
        tuple([_POINT((metric, *series, snapshot.node)) for series in several])
        for metric, several in ((catalog.OWNER_TIME, time), (catalog.OWNER_ENERGY, energy))
        if several
    ]


_POINT = partial(tuple.__new__, Point)  # what Point() does of a row: this runs for every owner at every tick
