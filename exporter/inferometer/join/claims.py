# SPDX-License-Identifier: Apache-2.0
"""What is known of the claims that local pods use: the request that a device answers, admin access, the share."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from inferometer.model import AllocatedClaim, Allocation, Claim, Grant, Pod, PooledDevice, Role

# The capacity that a share is measured in, where a device has several: memory is what two cannot have at once.
_MEASURES = ("memory", "shares")

# As NVIDIA's driver is told (api/nvidia.com/resource/v1beta1), in the words of the attribute.
_STRATEGIES = {"TimeSlicing": "time_slicing", "MPS": "mps"}


class Told(NamedTuple):
    """What is known of one device of one claim. `weight` is the share of the device that was granted, 0 to 1."""

    claim: Claim
    role: Role
    requests: frozenset[str] = frozenset()
    weight: float | None = None


class Claims:
    """The claims that the API server, or the node's own files, told of."""

    def __init__(self, claims: Iterable[AllocatedClaim] | None) -> None:
        self._claims = {(c.namespace, c.name): c for c in claims or ()}

    def skipped(self, namespace: str, name: str) -> Iterator[tuple[Claim, Grant]]:
        """Give the devices of a claim that the kubelet does not prepare."""
        read = self._claims.get((namespace, name))
        for grant in read.grants if read else ():
            if read and grant.skipped:
                yield (
                    Claim(
                        namespace, name, grant.driver, grant.pool, grant.device, uid=read.uid, share_id=grant.share_id
                    ),
                    grant,
                )

    def is_replaced(self, claim: Claim) -> bool:
        """Tell whether there is another claim of that name now."""
        read = self._claims.get((claim.namespace, claim.name))
        return read is not None and claim.uid is not None and claim.uid != read.uid

    def complete(self, claim: Claim, published: PooledDevice | None = None, pod: Pod | None = None) -> Told:
        """Add the request that the device answers and what the claim says of it; tell ownership from admin access (KEP-5018).

        A claim with another UID than the node's is a later one of that name: it says nothing about this one.
        """
        read = self._claims.get((claim.namespace, claim.name))
        if read is None or self.is_replaced(claim):
            return Told(claim, Role.UNKNOWN)
        place = (claim.driver, claim.pool, claim.device)
        grants = [g for g in read.grants if (g.driver, g.pool, g.device) == place]
        if claim.share_id:
            grants = [g for g in grants if g.share_id in (None, claim.share_id)]
        if not grants:
            return Told(claim, Role.UNKNOWN)
        owning = [g for g in grants if not g.admin]
        requests = frozenset(g.request for g in owning or grants)
        request = next(iter(requests)) if len(requests) == 1 else None
        share = next((g.share_id for g in owning if g.share_id), claim.share_id)
        role = (Role.OWNER if read.complete else Role.UNKNOWN) if owning else Role.ADMIN
        strategies = {g.sharing for g in owning or grants}
        full = replace(
            claim,
            uid=read.uid,
            request=request,
            share_id=share,
            sharing=_STRATEGIES.get(strategies.pop()) if len(strategies) == 1 else None,
            group=_group(read, pod),
        )
        return Told(full, role, requests, _weight(owning, published))


def unprepared(pods: Iterable[Pod], claims: "Claims", drivers: Collection[str]) -> Iterator[Allocation]:
    """Give the devices that pods have by their claims alone: the kubelet prepares nothing for them and lists none (KEP-5945).

    Only those of `drivers`: a claim may be for a network card as well.
    """
    for pod in pods:
        for name in sorted({*pod.claims.values(), pod.extended_claim} - {""}):
            for claim, grant in claims.skipped(pod.namespace, name):
                if claim.driver not in drivers:
                    continue
                for container in pod.containers:
                    told = Told(claim, Role.OWNER, frozenset({grant.request}))
                    refers = any(c == container and pod.claims.get(ref) == name for c, ref, _ in pod.claim_requests)
                    if (refers or pod.extended_claim == name) and names_request(pod, container, told):
                        yield Allocation(pod.namespace, pod.name, container, grant.device, claim=claim)


def names_request(pod: Pod | None, container: str, told: Told) -> bool:
    """Tell whether a container names the device's request.

    The kubelet shows a claim's devices in every container that names the claim, whatever request it names (its
    `GetDynamicResources`); only the pod's spec tells. Without that, or without the requests, the kubelet is believed: its
    own file has no request of a device whose driver names none, which then answers all of them.
    """
    if pod is None or not told.requests or "" in told.requests:
        return True
    claim = told.claim.name
    if pod.extended_claim == claim:
        wanted = {request for name, request in pod.extended_requests if name == container}
    else:
        wanted = {r for name, ref, r in pod.claim_requests if name == container and pod.claims.get(ref) == claim}
    if not wanted or "" in wanted:
        return True
    # A request of a prioritized list answers as `<main>/<sub>` (KEP-4816); containers name the main one.
    return any(request in wanted or request.partition("/")[0] in wanted for request in told.requests)


def _group(claim: AllocatedClaim, pod: Pod | None) -> str | None:
    """Name the PodGroup that a claim is reserved for (KEP-5729): the pod's own, or the only one where the pod is not read."""
    if pod is not None:
        return pod.group if pod.group in claim.groups else None
    return claim.groups[0] if len(claim.groups) == 1 else None


def _weight(grants: Iterable[Grant], published: PooledDevice | None) -> float | None:
    """Give the share of the device that grants consume of its capacity (KEP-5075)."""
    if published is None or not published.shared:
        return None
    weights = [_fraction(grant.consumed, published.capacity) for grant in grants]
    known = [weight for weight in weights if weight is not None]
    return min(1.0, sum(known)) if known and len(known) == len(weights) else None


def _fraction(consumed: Mapping[str, float], capacity: Mapping[str, float]) -> float | None:
    measures = [m for m in consumed if capacity.get(m, 0) > 0]
    measure = next((m for wanted in _MEASURES for m in measures if m == wanted), min(measures, default=None))
    return None if measure is None else max(0.0, consumed[measure]) / capacity[measure]
