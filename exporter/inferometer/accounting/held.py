# SPDX-License-Identifier: Apache-2.0
"""What owners held and spent of each device, and as points."""

from collections.abc import Mapping
from functools import partial
from itertools import compress, repeat
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, is_shown
from inferometer.model import Group, Point, Snapshot

Attributes = tuple[str | None, ...]
Holder = tuple[str, str | None]  # device, and who has it: `Owner.key`; None is nobody


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


def latest(energies: Mapping[str, float], snapshot: Snapshot) -> Mapping[str, float]:
    """Give what each GPU that is there said last, so that a call that fails once loses nothing of what it spent."""
    devices = {device.uuid for device in snapshot.devices}
    if energies.keys() & devices <= snapshot.energies.keys():
        return snapshot.energies
    return {**{device: joules for device, joules in energies.items() if device in devices}, **snapshot.energies}


def shown(held: Mapping[Attributes, Held], snapshot: Snapshot, rules: Rules) -> Mapping[Attributes, Held]:
    """Give what is published: not what is only remembered of devices that are away."""
    ended = [h.ended for h in held.values() if h.ended is not None]
    if all(is_shown(each, snapshot.steady, rules) for each in ended):
        return held
    return {key: h for key, h in held.items() if is_shown(h.ended, snapshot.steady, rules)}


def groups_of(held: Mapping[Attributes, Held], snapshot: Snapshot) -> list[Group]:
    """Give the owners' time and energy; what has ended is stamped when it last counted."""
    if not held:
        return []
    _, totals, starts, ats, _, _, _, joules, timed, _ = zip(*held.values(), strict=True)
    groups = []
    for metric, values, told in (
        (catalog.OWNER_TIME, totals, [each or total > 0 for each, total in zip(timed, totals, strict=True)]),
        (catalog.OWNER_ENERGY, joules, [each is not None for each in joules]),
    ):
        rows = zip(repeat(metric), held, values, ats, starts, repeat(snapshot.node))
        groups.append(tuple(map(_POINT, compress(rows, told))))
    return list(filter(None, groups))


_POINT = partial(tuple.__new__, Point)  # what Point() does of a row, in C: this runs for every owner at every tick
