# SPDX-License-Identifier: Apache-2.0
"""Which GPU an XID is of: the kernel's log names it by PCI address alone."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from inferometer.accounting.linger import Rules
from inferometer.model import Device, Snapshot, Xid

_ADDRESS = re.compile(r"(?:pci:)?(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})(?:\.[0-7])?\Z", re.IGNORECASE)
_MOST_KNOWN = 256  # addresses: more GPUs than a node has, and those that were replaced
_MOST_WAITING = 256  # XIDs of GPUs that have not been seen


class Gpu(NamedTuple):
    """A GPU as its XIDs name it: UUID and index."""

    uuid: str
    number: str


class Waiting(NamedTuple):
    """An XID of an address that no GPU has shown yet, and the monotonic seconds since when it waits."""

    xid: Xid
    since: float


@dataclass(frozen=True, slots=True)
class Places:
    """The GPUs by their addresses, those that are gone among them: a GPU tells why when it is lost already."""

    known: Mapping[str, Gpu] = field(default_factory=lambda: MappingProxyType({}))
    waiting: tuple[Waiting, ...] = ()
    devices: tuple[Device, ...] = ()  # of the newest snapshot: `known` has them all


def place(places: Places, fresh: Iterable[Xid], snapshot: Snapshot, rules: Rules) -> tuple[Places, list[Xid], int]:
    """Name the GPU of every XID; give those that have one, and how many were given up.

    At the start the log may be read before the driver answers. So an XID of an unknown address waits, for the linger at
    most, for a GPU with this address.
    """
    known = places.known
    if snapshot.devices != places.devices:
        known = _learn(known, snapshot.devices)
    placed: list[Xid] = []
    waiting: list[Waiting] = []
    for since, xid in (*((w.since, w.xid) for w in places.waiting), *((snapshot.steady, xid) for xid in fresh)):
        gpu = known.get(plain(xid.pci_address)) if not xid.device else None
        if xid.device:
            placed.append(xid)
        elif gpu is not None:
            placed.append(replace(xid, device=gpu.uuid))
        else:
            waiting.append(Waiting(xid, since))
    staying = [w for w in waiting if snapshot.steady - w.since <= rules.linger][-_MOST_WAITING:]
    given_up = sum(w.xid.times for w in waiting) - sum(w.xid.times for w in staying)
    return Places(known, tuple(staying), snapshot.devices), placed, given_up


def plain(address: str) -> str:
    """Write a PCI address so that all spellings of one are equal: `PCI:00000000:3B:00` is `0000:3b:00`.

    The function is left out: a GPU's is 0, and lines of the driver have none.
    """
    match = _ADDRESS.match(address)
    if match is None:
        return address.lower()
    domain, bus, device = (int(part or "0", 16) for part in match.groups())
    return f"{domain:04x}:{bus:02x}:{device:02x}"


def _learn(known: Mapping[str, Gpu], devices: Iterable[Device]) -> Mapping[str, Gpu]:
    """Add the GPUs that are shown now. Where another GPU took a place, the place is that one's."""
    now = {
        plain(device.pci_address): Gpu(device.uuid, str(device.index))
        for device in devices
        if device.pci_address and not device.is_instance
    }
    if all(known.get(address) == gpu for address, gpu in now.items()):
        return known
    both = {**{address: gpu for address, gpu in known.items() if address not in now}, **now}
    return MappingProxyType(dict(list(both.items())[-_MOST_KNOWN:]))
