# SPDX-License-Identifier: Apache-2.0
"""What passed from one snapshot to the next, divided among those who held the devices and nobody (law 3)."""

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice, repeat
from operator import add, mul
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.held import Attributes, Held, Holder, running
from inferometer.accounting.linger import Rules, keep_departed
from inferometer.model import Share, Snapshot

_DEVICE = catalog.OWNER_TIME.keys.index(catalog.HW_ID.key)
_ROUNDING = 1e-9  # three thirds are not quite all of it: so much of an interval is nobody's time, but none


class Division(NamedTuple):
    """How one device is divided."""

    device: str
    owners: tuple[Share, ...]
    rest: Share


class Settled(NamedTuple):
    """The shares that the newest snapshot had, while each has a series of its own: those come first in what is held.

    They are in the order of `shares` by device, and then of the `whole`: the undivided that count energy. `weights` say of each
    whether it has all of an interval, 1.0, or nothing of it, 0.0. The `others` are divisions of which that is not all there is to
    say, each with the place of its first share. The `silent` are devices that count no energy. While the shares are the same
    nobody is looked for: each goes on with what is its.
    """

    shares: tuple[Share, ...]
    undivided: tuple[Share, ...]
    weights: tuple[float, ...]
    others: tuple[tuple[int, Division], ...]
    whole: tuple[Share, ...]
    silent: frozenset[str]

    def is_still(self, snapshot: Snapshot) -> bool:
        """Tell whether a snapshot has the same shares, and nothing that begins to count energy."""
        return (
            self.shares == snapshot.shares
            and self.undivided == snapshot.undivided
            and self.silent.isdisjoint(snapshot.energies)
        )


# What one share had of an interval, and how it goes on: seconds, joules, and what `Held` calls sole, timed and metered.
Part = tuple[float, float, bool, bool, bool]


def hold(
    held: Mapping[Attributes, Held],
    passed: float,
    snapshot: Snapshot,
    rules: Rules,
    energies: Mapping[str, float],
    settled: Settled | None = None,
) -> tuple[Mapping[Attributes, Held], Settled | None, int]:
    """Advance what each holder has had by the seconds that `passed`; give it, and how many ended series the limit dropped.

    A part counts as far as its holder had it at both ends of the interval, whatever came to be said of it meanwhile; the rest
    is nobody's (law 3). Energy is a pod's where it had the GPU alone ever since the GPU's counter was seen to move; a GPU's in
    MIG mode is nobody's. `energies` are what the GPUs said last: see `latest`. `settled` is what was given with `held`.
    """
    before: Mapping[Attributes, Held]
    if settled is not None and settled.is_still(snapshot):
        now = _go_on(held, settled, passed, snapshot, energies)
        # The newest are likely to be the next ones too, and not only to equal them: that is soon seen.
        if settled.shares is not snapshot.shares:
            settled = settled._replace(shares=snapshot.shares, undivided=snapshot.undivided)
        before = dict(islice(held.items(), len(now), None))
    else:
        book, divisions = _Book(held, snapshot), _divisions(snapshot.shares)
        for division in divisions:
            owned = map(book.before, division.owners)
            parts = _parts(division, owned, book.before(division.rest), passed, snapshot, energies)
            for share, part in zip((*division.owners, division.rest), parts, strict=True):
                book.enter(share, part)
        whole = tuple(s for s in snapshot.undivided if s.device in snapshot.energies or book.has_energy(s))
        for share in whole:
            book.enter(share, _part_of_undivided(share, snapshot, energies))
        now, before = book.running, {**held, **book.over}
        settled = _settle(now, divisions, whole, snapshot)
    if not before:
        return now, settled, 0
    devices = {device.uuid for device in snapshot.devices}
    staying, excess = keep_departed(before, now, snapshot.steady, rules, lambda key: key[_DEVICE] not in devices)
    return {**now, **staying}, settled, excess


def _divisions(shares: Iterable[Share]) -> tuple[Division, ...]:
    by_device: dict[str, list[Share]] = {}
    for share in shares:
        by_device.setdefault(share.device, []).append(share)
    return tuple(
        Division(
            device,
            tuple([share for share in several if share.owner is not None]),
            next(share for share in several if share.owner is None),
        )
        for device, several in by_device.items()
    )


def _parts(
    division: Division,
    owned: Iterable[Held | None],
    rest: Held | None,
    passed: float,
    snapshot: Snapshot,
    energies: Mapping[str, float],
) -> list[Part]:
    """Divide what passed of a device; `owned` and `rest` are what the owners, and nobody, had until the snapshot before."""
    device, owners, _ = division
    left_time, left_energy = passed, _spent(device, energies, snapshot)
    # A frame that stands in a second snapshot tells nothing of the time between the two.
    moved = snapshot.energies.get(device, energies.get(device)) != energies.get(device)
    parts: list[Part] = []
    for share, before in zip(owners, owned, strict=True):
        seconds = passed * min(share.fraction, before.fraction) if before else 0.0
        alone = len(owners) == 1 and share.fraction == 1.0
        joules = left_energy if left_energy and before and before.metered and alone else 0.0
        left_time -= seconds
        left_energy = None if left_energy is None else left_energy - joules
        metered = alone and (moved or (before is not None and before.metered))
        parts.append((seconds, joules, alone, True, metered))
    timed = rest is not None and rest.timed and left_time > _ROUNDING * passed
    parts.append((left_time if timed else 0.0, left_energy or 0.0, False, True, False))
    return parts


def _part_of_undivided(share: Share, snapshot: Snapshot, energies: Mapping[str, float]) -> Part:
    return 0.0, _spent(share.device, energies, snapshot) or 0.0, False, False, False


def _spent(device: str, before: Mapping[str, float], snapshot: Snapshot) -> float | None:
    """Give what a GPU has consumed since it was told last; None where that cannot be told."""
    now, then = snapshot.energies.get(device), before.get(device)
    # A counter that fell was reset with the driver; how much was spent in between nobody knows.
    return now - then if now is not None and then is not None and now >= then else None


def _settle(
    now: Mapping[Attributes, Held], divisions: Iterable[Division], whole: tuple[Share, ...], snapshot: Snapshot
) -> Settled | None:
    """Give how those who have something `now` go on while nothing changes; None where two have one series."""
    number = len(snapshot.shares) + len(whole)
    if not len(now) == len(running(now)) == number:
        return None
    weights: list[float] = []
    others: list[tuple[int, Division]] = []
    energetic = {each.holder[0] for each in now.values() if each.joules is not None}
    for division in divisions:
        fractions = [share.fraction for share in division.owners]
        if division.device in energetic or fractions not in ([], [1.0]):
            others.append((len(weights), division))
        weights += [*fractions, 0.0 if fractions else 1.0]  # those of others count for nothing
    weights += [0.0] * len(whole)
    silent = {share.device for share in (*snapshot.shares, *snapshot.undivided)} - energetic
    return Settled(snapshot.shares, snapshot.undivided, tuple(weights), tuple(others), whole, frozenset(silent))


def _go_on(
    held: Mapping[Attributes, Held],
    settled: Settled,
    passed: float,
    snapshot: Snapshot,
    energies: Mapping[str, float],
) -> dict[Attributes, Held]:
    """Advance what is settled: each holder's series is where it was at the snapshot before."""
    known = list(islice(held.values(), len(settled.weights)))
    if not known:
        return {}
    holders, totals, starts, _, _, fractions, soles, joules, timed, metered = zip(*known, strict=True)
    summed = map(add, totals, map(mul, repeat(passed), settled.weights))
    same = fractions, soles, joules, timed, metered
    now = list(map(_HELD, zip(holders, summed, starts, repeat(snapshot.at), repeat(None), *same)))
    for first, division in settled.others:
        rest = first + len(division.owners)
        counts = division.device in snapshot.energies
        parts = _parts(division, known[first:rest], known[rest], passed, snapshot, energies)
        for i, part in enumerate(parts, first):
            now[i] = _advanced(known[i], part, snapshot.at, counts=counts)
    for i, share in enumerate(settled.whole, len(known) - len(settled.whole)):
        part = _part_of_undivided(share, snapshot, energies)
        now[i] = _advanced(known[i], part, snapshot.at, counts=share.device in snapshot.energies)
    return dict(zip(held, now, strict=False))


def _advanced(known: Held, part: Part, at: float, *, counts: bool) -> Held:
    """Add a part to a series; `counts` says that its device counts energy, which a call that fails once does not change."""
    holder, total, start, _, _, fraction, _, joules, _, _ = known
    seconds, more, sole, timed, metered = part
    energy = joules + more if joules is not None else 0.0 if counts else None
    return _HELD((holder, total + seconds, start, at, None, fraction, sole, energy, timed, metered))


_HELD = partial(tuple.__new__, Held)  # what Held() does of a row: this runs for every holder at every tick


class _Book:
    """The series while one interval is added to them, each holder's looked for.

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

    def enter(self, share: Share, part: Part) -> None:
        """Add to what a share's holder had; what it had not at the snapshot before is not its."""
        holder, at = _holder(share), self._snapshot.at
        counts = share.device in self._snapshot.energies
        known = self._held.get(share.attributes)
        last = self._running.get(holder)
        if last is not None:
            before = self._held[last]
            counts |= before.joules is not None  # a call that fails once changes nothing of that
            counted = _advanced(before, part, at, counts=False)
            if last == share.attributes:
                known = counted
            else:
                self.over[last] = before._replace(total=counted.total, joules=counted.joules, at=at)
        if known is None:
            known = Held(holder, 0.0, at, at)
        nothing = 0.0, 0.0, *part[2:]
        self.running[share.attributes] = _advanced(
            known._replace(holder=holder, fraction=share.fraction), nothing, at, counts=counts
        )


def _holder(share: Share) -> Holder:
    return share.device, share.owner.key if share.owner else None
