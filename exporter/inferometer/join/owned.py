# SPDX-License-Identifier: Apache-2.0
"""Who holds what and which part, as one value; from one tick to the next it is mostly the same, and is not found again."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.attributes import aligned, info_attributes
from inferometer.join.claims import Claims
from inferometer.join.context import Context
from inferometer.join.memo import Recall
from inferometer.join.ownership import Ownership, find_owners
from inferometer.join.pods import Pods
from inferometer.join.resolve import Devices
from inferometer.join.shares import Division, divide, tenures, undivided
from inferometer.join.valid import items
from inferometer.model import AllocatedClaim, Allocation, Device, Frames, Pod, PooledDevice, Reading, Share, Tenure

# What the map of who holds what is made from.
SOURCES = ("podresources", "pods", "claims", "slices", "cgroups")

READ = frozenset({catalog.GPU_MEMORY_LIMIT, catalog.MIG_MEMORY_LIMIT})


class Owned(NamedTuple):
    """What the identity sources say together of the devices that are there.

    `infos` are the attributes of the holdings' infos.
    """

    pods: Pods
    devices: Devices
    ownership: Ownership
    divisions: Mapping[str, Division]
    tenures: tuple[Tenure, ...]
    shares: tuple[Share, ...]
    undivided: tuple[Share, ...]
    infos: tuple[tuple[str | None, ...], ...]


def find_owned(
    frames: Frames,
    listed: Sequence[Device] | None,
    limits: Sequence[Reading],
    context: Context,
    common: Mapping[str, str],
    recall: Recall,
) -> Owned:
    """Find who holds what, or give what was found in the tick before where every source says the same.

    A source that has nothing new gives the objects that it gave before, and those are equal at a glance. `listed` are the
    devices that are there, None where no driver answers, `limits` their readings of `READ`, and `common` the attributes that
    every point has.
    """
    allocations = items(frames, "podresources", Allocation, recall)
    pods = items(frames, "pods", Pod, recall)
    claims = items(frames, "claims", AllocatedClaim, recall)
    slices = items(frames, "slices", PooledDevice, recall)
    memory = recall.of("memory", limits, lambda: _memory(limits))
    told = (allocations, pods, claims, slices, listed, memory)
    return recall.of("owned", told, lambda: _find_owned(*told, context, common))


def _find_owned(
    allocations: Sequence[Allocation] | None,
    pods: Sequence[Pod] | None,
    claims: Sequence[AllocatedClaim] | None,
    slices: Sequence[PooledDevice] | None,
    listed: Sequence[Device] | None,
    memory: Mapping[str, float],
    context: Context,
    common: Mapping[str, str],
) -> Owned:
    by_name = Pods(pods, context.team_keys, context.cost_center_keys, context.infrastructure)
    there = Devices(listed, slices)
    ownership = find_owners(there, allocations, by_name, Claims(claims), context.itself, memory, context.drivers)
    divisions = divide(ownership, there.by_uuid, uid_known=by_name.known, common=common)
    return Owned(
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


def _memory(limits: Sequence[Reading]) -> Mapping[str, float]:
    """Give how much memory each device has."""
    return {r.subject: r.value for r in limits if isinstance(r.value, float)}
