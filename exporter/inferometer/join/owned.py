# SPDX-License-Identifier: Apache-2.0
"""Who holds what and which part, as one value; from one tick to the next it is mostly the same, and is not found again."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.attributes import aligned, info_attributes
from inferometer.join.claims import Claims
from inferometer.join.context import Context
from inferometer.join.ownership import Ownership, find_owners
from inferometer.join.pods import Pods
from inferometer.join.resolve import Devices
from inferometer.join.shares import Division, divide, tenures, undivided
from inferometer.join.valid import items
from inferometer.model import AllocatedClaim, Allocation, DeviceReport, Frames, Pod, PooledDevice, Share, Tenure

# What the map of who holds what is made from.
SOURCES = ("podresources", "pods", "claims", "slices", "cgroups")

READ = frozenset({catalog.GPU_MEMORY_LIMIT, catalog.MIG_MEMORY_LIMIT})


class Owned(NamedTuple):
    """What the identity sources say together of the devices that are there; `told` is all that it was found from.

    `infos` are the attributes of the holdings' infos.
    """

    told: tuple[object, ...]
    pods: Pods
    devices: Devices
    ownership: Ownership
    divisions: Mapping[str, Division]
    tenures: tuple[Tenure, ...]
    shares: tuple[Share, ...]
    undivided: tuple[Share, ...]
    infos: tuple[tuple[str | None, ...], ...]


def find_owned(frames: Frames, report: DeviceReport | None, context: Context, common: Mapping[str, str]) -> Owned:
    """Find who holds what, or give what was found in the tick before where every source says the same.

    A source that has nothing new gives the objects that it gave before, and those are equal at a glance; only the devices
    are made anew for each report. `common` are the attributes that every point has.
    """
    allocations = items(frames, "podresources", Allocation)
    pods = items(frames, "pods", Pod)
    claims = items(frames, "claims", AllocatedClaim)
    slices = items(frames, "slices", PooledDevice)
    devices = report.devices if report else None
    memory = _memory(report) if report else {}
    said = (allocations, pods, claims, slices, devices, memory)
    of_context = (context.team_keys, context.cost_center_keys, context.infrastructure, context.itself, context.drivers)
    told = (*said, *of_context, common)
    known = context.memo.owned
    if known is not None and known.told == told:
        return known
    by_name = Pods(pods, context.team_keys, context.cost_center_keys, context.infrastructure)
    there = Devices(devices, slices)
    ownership = find_owners(there, allocations, by_name, Claims(claims), context.itself, memory, context.drivers)
    divisions = divide(ownership, there.by_uuid, uid_known=by_name.known, common=common)
    owned = context.memo.owned = Owned(
        told,
        by_name,
        there,
        ownership,
        MappingProxyType(divisions),
        tenures(divisions),
        tuple(share for each in divisions.values() for share in (*each.shares, each.rest)),
        undivided(ownership, there.by_uuid, common),
        tuple(
            aligned(catalog.OWNER_INFO.keys, {**info_attributes(holding, there.by_uuid.get(holding.device)), **common})
            for holding in ownership.holdings
        ),
    )
    return owned


def _memory(report: DeviceReport) -> Mapping[str, float]:
    """Give how much memory each device has."""
    return {r.subject: r.value for r in report.readings if r.metric in READ and isinstance(r.value, float)}
