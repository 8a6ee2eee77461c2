# SPDX-License-Identifier: Apache-2.0
"""How a device's time is divided among the pods that have a stake in it; what is left is nobody's. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.attributes import aligned, device_attributes, holding_attributes, shared
from inferometer.join.ownership import Ownership
from inferometer.model import Attribution, Device, Holding, Owner, Role, Share, Tenure


class Division(NamedTuple):
    """Who has what part of one device. `shares` are the pods', `rest` is nobody's; together they are the device.

    `holders` is how many have a stake in it, those among them whose UID is not known yet.
    """

    shares: tuple[Share, ...]
    rest: Share
    holders: int

    @property
    def sole(self) -> Share | None:
        """The only pod that has a stake in the device."""
        return self.shares[0] if self.shares and self.holders == 1 else None


def divide(
    ownership: Ownership, devices: Mapping[str, Device], *, uid_known: bool, common: Mapping[str, str]
) -> dict[str, Division]:
    """Divide every device that can be owned: whole GPUs and instances, not a GPU in MIG mode.

    Nothing is divided where no source tells who holds what. While pods are read, the part of a holder that they do not show
    yet is nobody's: in the next tick it has its UID, and what it spent until then must not stand under a second name. A
    device whose owners cannot be known now is left out: it is not nobody's.
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
        parts = _parts(device, list(by_owner.values()))
        shares = tuple(
            _share(device, held, fraction, attribution, common)
            for held, (fraction, attribution) in zip(by_owner.values(), parts, strict=True)
            if held[0].owner.uid is not None or not uid_known
        )
        rest = max(0.0, 1.0 - sum(share.fraction for share in shares))
        divisions[uuid] = Division(shares, rest_of(device, rest, common), len(by_owner))
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


def _parts(device: Device, stakes: list[list[Holding]]) -> list[tuple[float, Attribution]]:
    """Give each pod's part of the device: what its claims consume, all of it, or one of equal parts."""
    users = Counter(grant for held in stakes for grant in {_grant(h) for h in held if h.claim})
    weights = [_weight(held, users) for held in stakes]
    known = [weight for weight in weights if weight is not None]
    if known and len(known) == len(weights):
        # More than all of it cannot have been granted; whoever says so, nobody gets more than there is.
        scale = 1 / max(1.0, sum(known))
        told = any(holding.declared for held in stakes for holding in held)
        granted = Attribution.DECLARED if told else Attribution.CAPACITY
        return [
            (weight * scale, Attribution.EQUAL if any(users[_grant(h)] > 1 for h in held) else granted)
            for held, weight in zip(stakes, known, strict=True)
        ]
    if len(stakes) > 1:
        return [(1 / len(stakes), Attribution.EQUAL)] * len(stakes)
    if any(holding.role is Role.UNKNOWN or holding.declared for held in stakes for holding in held):
        return [(1.0, Attribution.DECLARED)]
    return [(1.0, Attribution.MIG if device.is_instance else Attribution.EXCLUSIVE)] * len(stakes)


def _weight(held: list[Holding], users: Mapping[object, int]) -> float | None:
    """Add up what one pod's holdings consume of the device; a share of a claim that two of its containers have counts once.

    What a claim consumes it does so once, however many pods have it: each of its `users` has an equal part of that.
    """
    grants = {_grant(h): h.weight for h in held}
    weights = [weight / users.get(grant, 1) for grant, weight in grants.items() if weight is not None]
    return min(1.0, sum(weights)) if weights and len(weights) == len(grants) else None


def _grant(holding: Holding) -> object:
    claim = holding.claim
    return (
        (claim.namespace, claim.uid, claim.name, claim.request, claim.share_id)
        if claim is not None
        else holding.container
    )


def _share(
    device: Device, held: list[Holding], fraction: float, attribution: Attribution, common: Mapping[str, str]
) -> Share:
    same: dict[str, str | None] = {**shared([holding_attributes(h, device) for h in held]), **common}
    return Share(device.uuid, fraction, attribution, _aligned(same, attribution), held[0].owner)


def rest_of(device: Device, fraction: float, common: Mapping[str, str]) -> Share:
    """Give what is nobody's of a device."""
    named = {**device_attributes(device.uuid, device), **common}
    return Share(device.uuid, fraction, Attribution.NONE, _aligned(named, Attribution.NONE))


def _aligned(attributes: Mapping[str, str | None], attribution: Attribution) -> tuple[str | None, ...]:
    """Align attributes with those of the owners' values."""
    return aligned(catalog.OWNER_TIME.keys, {**attributes, catalog.ATTRIBUTION.key: attribution.value})


def as_attributed(share: Share, attribution: Attribution) -> tuple[str | None, ...]:
    """Give a share's attributes, with the value known in another way than its time."""
    place = catalog.OWNER_TIME.keys.index(catalog.ATTRIBUTION.key)
    own: Owner | None = share.owner
    return (
        *share.attributes[:place],
        (attribution if own else share.attribution).value,
        *share.attributes[place + 1 :],
    )
