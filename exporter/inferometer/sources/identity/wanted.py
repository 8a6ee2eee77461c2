# SPDX-License-Identifier: Apache-2.0
"""Which claims are worth knowing: those that the kubelet's answer names and those that this node's pods name; pure."""

from collections.abc import Iterable
from typing import NamedTuple

from inferometer.model import Allocation, Pod

ENDED = ("Succeeded", "Failed")


class Wanted(NamedTuple):
    """A claim to know of: its UID as far as the node knows it, the UIDs of the pods that name it, the devices that it shows.

    A device is its driver, its pool and its name.
    """

    namespace: str
    name: str
    uid: str | None = None
    users: frozenset[str] = frozenset()
    devices: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def key(self) -> tuple[str, str]:
        """What the API server calls it."""
        return self.namespace, self.name


def claims_wanted(allocations: Iterable[Allocation], pods: Iterable[Pod]) -> frozenset[Wanted]:
    """Gather the claims of both.

    Devices without node operations (KEP-5945) and claims of PodGroups (KEP-5729) may stand in the pods alone. A claim that the
    kubelet shows under two UIDs, the old one's pod still ending, has none here: the API server's is then right.
    """
    uids: dict[tuple[str, str], set[str]] = {}
    users: dict[tuple[str, str], set[str]] = {}
    devices: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
    for allocation in allocations:
        if (claim := allocation.claim) is not None:
            key = claim.namespace, claim.name
            uids.setdefault(key, set()).update({claim.uid} if claim.uid else ())
            devices.setdefault(key, set()).add((claim.driver, claim.pool, claim.device))
    for pod in pods:
        if pod.phase in ENDED:
            continue
        for name in (*pod.claims.values(), pod.extended_claim):
            if name:
                users.setdefault((pod.namespace, name), set()).add(pod.uid)
    return frozenset(
        Wanted(
            *key,
            uid=next(iter(found)) if len(found := uids.get(key, set())) == 1 else None,
            users=frozenset(users.get(key, ())),
            # Of two UIDs' devices nobody knows whose they are.
            devices=frozenset(devices.get(key, ()) if len(found) < 2 else ()),
        )
        for key in uids.keys() | users.keys()
    )
