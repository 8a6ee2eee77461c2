# SPDX-License-Identifier: Apache-2.0
"""How devices, owners and holdings are named on the points."""

from collections.abc import Mapping, Sequence

from inferometer import catalog
from inferometer.model import Claim, Device, Holding, Owner


def device_attributes(uuid: str, device: Device | None) -> dict[str, str | None]:
    """Name a device on a point: what identifies it, not what describes it."""
    if device is None:
        return {catalog.HW_ID.key: uuid}
    return {
        catalog.HW_ID.key: device.uuid,
        catalog.GPU_INDEX.key: str(device.index),
        catalog.HW_PARENT.key: device.parent,
        catalog.MIG_PROFILE.key: device.profile,
    }


def owner_attributes(owner: Owner) -> dict[str, str | None]:
    """Name an owner on a point."""
    return {
        catalog.NAMESPACE.key: owner.namespace,
        catalog.POD.key: owner.pod,
        catalog.POD_UID.key: owner.uid,
        catalog.WORKLOAD_KIND.key: owner.workload_kind,
        catalog.WORKLOAD.key: owner.workload_name,
        catalog.TEAM.key: owner.team,
        catalog.COST_CENTER.key: owner.cost_center,
    }


def holding_attributes(holding: Holding, device: Device | None) -> dict[str, str | None]:
    """Name a holding on a point: device, owner, container, claim and request."""
    claim = holding.claim
    return {
        **device_attributes(holding.device, device),
        **owner_attributes(holding.owner),
        catalog.CONTAINER.key: holding.container,
        **(_claim_attributes(claim) if claim else {}),
    }


def info_attributes(holding: Holding, device: Device | None) -> dict[str, str | None]:
    """Say all that is known of a holding: for its info only."""
    claim = holding.claim
    return {
        **holding_attributes(holding, device),
        **(_grant_attributes(claim) if claim else {}),
        catalog.QUEUE.key: holding.owner.queue,
        catalog.ROLE.key: holding.role.value,
        catalog.TELEMETRY.key: "unavailable" if device is None else None,
    }


def _grant_attributes(claim: Claim) -> dict[str, str | None]:
    """Name what a claim was given, as its driver names it, how it is to be shared, and the group that it is reserved for."""
    return {
        catalog.CLAIM_DRIVER.key: claim.driver,
        catalog.CLAIM_POOL.key: claim.pool,
        catalog.CLAIM_DEVICE.key: claim.device,
        catalog.CLAIM_SHARE.key: claim.share_id,
        catalog.SHARING_STRATEGY.key: claim.sharing,
        catalog.POD_GROUP.key: claim.group,
    }


def _claim_attributes(claim: Claim) -> dict[str, str | None]:
    return {
        catalog.CLAIM_NAMESPACE.key: claim.namespace,
        catalog.CLAIM.key: claim.name,
        catalog.CLAIM_UID.key: claim.uid,
        catalog.CLAIM_REQUEST.key: claim.request,
    }


def shared(mappings: Sequence[Mapping[str, str | None]]) -> dict[str, str | None]:
    """Keep what all say alike: a value must not be repeated for each container, claim or request (law 2)."""
    first, *rest = mappings
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in rest)}


def aligned(keys: Sequence[str], attributes: Mapping[str, str | None]) -> tuple[str | None, ...]:
    """Align attributes with a metric's keys; an empty value counts as absent."""
    get = attributes.get
    return tuple([get(key) or None for key in keys])
