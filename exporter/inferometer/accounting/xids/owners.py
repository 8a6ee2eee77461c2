# SPDX-License-Identifier: Apache-2.0
"""Whom an XID hit: the one pod that held the GPU or MIG instance alone, as far as that was known."""

from collections.abc import Iterable, Mapping

from inferometer import catalog
from inferometer.accounting.held import Attributes, Held, running
from inferometer.accounting.linger import Rules
from inferometer.model import Point, Snapshot, Xid
from inferometer.xid_catalog import APPLICATION, FATAL, RESET, WARNING

# One series for each, from the holding's first snapshot on (law 6): whether it was the application's own or the GPU's is what
# an owner asks first. What is told for information hits nobody, and of an unknown code nobody knows whom.
SEVERITIES = (APPLICATION, WARNING, RESET, FATAL)

Hits = Mapping[Attributes, tuple[int, ...]]  # aligned with SEVERITIES; a holding that was not hit is not in it
_NONE = (0,) * len(SEVERITIES)


class Holders:
    """Who held what from the snapshot before to this one: an XID lies between the two, and has no owner where they differ."""

    def __init__(self, before: Mapping[Attributes, Held], snapshot: Snapshot, rules: Rules) -> None:
        self._before = before
        self._running = running(before)
        self._slack = rules.same_xid
        self._tenures = {tenure.device: tenure.owner.key for tenure in snapshot.tenures}
        self._instances = [device for device in snapshot.devices if device.is_instance]

    def find(self, xid: Xid) -> Attributes | None:
        """Name the sole holder of what the XID is of, by the series of its time; None where that is not one pod, or not sure.

        An XID that was, or may have been, before the holding is not its: a log can be read late, and NVML be held up.
        """
        device = self._device(xid) or ""
        series = self._running.get((device, self._tenures.get(device, "")))
        held = self._before[series] if series is not None else None
        earliest = xid.at - max(0.0, xid.late - self._slack)
        return series if held is not None and held.sole and held.start <= earliest else None

    def _device(self, xid: Xid) -> str | None:
        """Find the GPU, or the one instance that an XID of a part of it can mean."""
        if xid.gpu_instance is None:
            return xid.device
        meant = [
            device.uuid
            for device in self._instances
            if (device.parent, device.gpu_instance) == (xid.device, xid.gpu_instance)
            and xid.compute_instance in (None, device.compute_instance)
        ]
        return meant[0] if len(meant) == 1 else None


def hit(hits: dict[Attributes, tuple[int, ...]], holder: Attributes, severity: str, times: int) -> None:
    """Count XIDs for an owner."""
    if severity in SEVERITIES:
        place = SEVERITIES.index(severity)
        counts = hits.get(holder, _NONE)
        hits[holder] = (*counts[:place], counts[place] + times, *counts[place + 1 :])


# What one owner's counters say: their series, when they began, when they last counted, None while they do, and the counts.
Told = tuple[Attributes, float, float | None, tuple[int, ...]]


def told(hits: Hits, holding: Mapping[Attributes, Held]) -> list[Told]:
    """Give what there is to tell: who may be hit has counters, at 0, and who was keeps them."""
    return [
        (key, held.start, None if held.ended is None else held.at, hits.get(key, _NONE) if hits else _NONE)
        for key, held in holding.items()
        if (held.sole and held.holder[1] is not None) or (hits and key in hits)
    ]


def points_of(several: Iterable[Told], snapshot: Snapshot) -> list[Point]:
    """Give every owner's counters, 0 among them; they freeze and end with the time that it held the device."""
    # The severity stands before the last two attributes, the marks of overflow and simulation.
    return [
        Point(
            catalog.OWNER_XID_ERRORS,
            (*key[:-2], severity, *key[-2:]),
            float(number),
            snapshot.at if at is None else at,
            start,
            snapshot.node,
        )
        for key, start, at, counts in several
        for severity, number in zip(SEVERITIES, counts, strict=True)
    ]
