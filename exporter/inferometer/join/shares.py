# SPDX-License-Identifier: Apache-2.0
"""How a device's time is divided among the pods that have a stake in it; what is left is nobody's. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.attributes import device_attributes, holding_attributes, shared
from inferometer.join.ownership import Ownership
from inferometer.model import Attribution, Device, Holding, Owner, Role, Share, Tenure


class Division(NamedTuple):
    """Who has what part of one device. `shares` are the pods', `rest` is nobody's; together they are the device."""

    shares: tuple[Share, ...]
    rest: Share

    @property
    def sole(self) -> Share | None:
        """The only pod that has a stake in the device."""
        return self.shares[0] if len(self.shares) == 1 else None


def divide(
    ownership: Ownership, devices: Mapping[str, Device], *, uid_known: bool, common: Mapping[str, str]
) -> dict[str, Division]:
    """Divide every device that can be owned: whole GPUs and instances, not a GPU in MIG mode.

    Nothing is divided where no source tells who holds what. While pods are read, a device with a holder that they do not
    show yet is left out: in the next tick it has its UID, and what it spent until then must not stand under a second name.
    So is one whose owners cannot be known now: it is not nobody's.
    """
    if ownership.level == "none":
        return {}
    divisions = {}
    for uuid, device in devices.items():
        if device.mig_enabled or uuid in ownership.veiled:
            continue
        by_owner: dict[str, list[Holding]] = {}
        for holding in ownership.stakes.get(uuid, ()):
            by_owner.setdefault(holding.owner.key, []).append(holding)
        if uid_known and any(held[0].owner.uid is None for held in by_owner.values()):
            continue
        fractions, attribution = _fractions(device, list(by_owner.values()))
        shares = tuple(
            _share(device, held, fraction, attribution, common)
            for held, fraction in zip(by_owner.values(), fractions, strict=True)
        )
        divisions[uuid] = Division(shares, rest_of(device, max(0.0, 1.0 - sum(fractions)), common))
    return divisions


def undivided(ownership: Ownership, devices: Mapping[str, Device], common: Mapping[str, str]) -> tuple[Share, ...]:
    """Give the GPUs in MIG mode: what cannot be told of their instances one by one, as energy, is nobody's."""
    if ownership.level == "none":
        return ()
    return tuple(rest_of(device, 1.0, common) for device in devices.values() if device.mig_enabled)


def tenures(divisions: Mapping[str, Division]) -> tuple[Tenure, ...]:
    """Give the devices that one pod has alone."""
    return tuple(
        Tenure(share.device, share.owner, share.attribution, share.attributes)
        for division in divisions.values()
        if (share := division.sole) and share.owner is not None
    )


def _fractions(device: Device, stakes: list[list[Holding]]) -> tuple[list[float], Attribution]:
    """Give each pod's part of the device: what its claims consume, all of it, or one of equal parts."""
    weights = [_weight(held) for held in stakes]
    known = [weight for weight in weights if weight is not None]
    if known and len(known) == len(weights):
        # More than all of it cannot have been granted; whoever says so, nobody gets more than there is.
        scale = 1 / max(1.0, sum(known))
        told = any(holding.declared for held in stakes for holding in held)
        return [weight * scale for weight in known], Attribution.DECLARED if told else Attribution.CAPACITY
    if len(stakes) > 1:
        return [1 / len(stakes)] * len(stakes), Attribution.EQUAL
    if any(holding.role is Role.UNKNOWN or holding.declared for held in stakes for holding in held):
        return [1.0], Attribution.DECLARED
    return [1.0] * len(stakes), Attribution.MIG if device.is_instance else Attribution.EXCLUSIVE


def _weight(held: list[Holding]) -> float | None:
    """Add up what one pod's holdings consume of the device; a share of a claim that two of its containers have counts once."""
    grants = {
        (h.claim.uid, h.claim.name, h.claim.request, h.claim.share_id) if h.claim else h.container: h.weight
        for h in held
    }
    weights = [weight for weight in grants.values() if weight is not None]
    return min(1.0, sum(weights)) if weights and len(weights) == len(grants) else None


def _share(
    device: Device, held: list[Holding], fraction: float, attribution: Attribution, common: Mapping[str, str]
) -> Share:
    same: dict[str, str | None] = {**shared([holding_attributes(h, device) for h in held]), **common}
    return Share(device.uuid, fraction, attribution, aligned(same, attribution), held[0].owner)


def rest_of(device: Device, fraction: float, common: Mapping[str, str]) -> Share:
    """Give what is nobody's of a device."""
    named = {**device_attributes(device.uuid, device), **common}
    return Share(device.uuid, fraction, Attribution.NONE, aligned(named, Attribution.NONE))


def aligned(attributes: Mapping[str, str | None], attribution: Attribution) -> tuple[str | None, ...]:
    """Align attributes with those of the owners' values."""
    get = {**attributes, catalog.ATTRIBUTION.key: attribution.value}.get
    return tuple([get(key) or None for key in catalog.OWNER_TIME.keys])


def as_attributed(share: Share, attribution: Attribution) -> tuple[str | None, ...]:
    """Give a share's attributes, with the value known in another way than its time."""
    place = catalog.OWNER_TIME.keys.index(catalog.ATTRIBUTION.key)
    own: Owner | None = share.owner
    return (
        *share.attributes[:place],
        (attribution if own else share.attribution).value,
        *share.attributes[place + 1 :],
    )
