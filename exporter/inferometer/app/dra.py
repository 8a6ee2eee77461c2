# SPDX-License-Identifier: Apache-2.0
"""What is read of dynamic resource allocation, from the moment that a pod of this node uses a claim."""

from typing import Any

from inferometer.board import Poller
from inferometer.config import Config
from inferometer.model import AllocatedClaim, Allocation, DeviceReport, Frames, Pod
from inferometer.sources.identity.claims import Claims
from inferometer.sources.identity.slices import Named, Slices
from inferometer.sources.identity.traffic import Traffic
from inferometer.sources.identity.wanted import Wanted, claims_wanted


class Dra:
    """Adds the sources of claims and of devices to a poller, and tells them what to ask for.

    A node without claims needs no right to read any, and asks nobody. `reachable` is whether there is an API server.
    """

    def __init__(self, config: Config, poller: Poller, node: str, *, reachable: bool, traffic: Traffic) -> None:
        identity, period = config.identity, config.period
        self._poller = poller
        self._claims: Claims | None = None
        self._slices: Slices | None = None
        if identity.claims.source in {"api", "node"} or (
            identity.claims.source == "auto" and identity.podresources.enabled
        ):
            insists = identity.claims.source == "api"
            self._claims = Claims(identity.claims, identity.pods if reachable or insists else None, period, traffic)
        if identity.slices.enabled and reachable:
            self._slices = Slices(identity.pods, identity.drivers, node, period, traffic)
        self._drivers = frozenset(identity.drivers)
        self._polled: set[str] = set()
        self._pods: tuple[Pod, ...] = ()
        self._looked_at: tuple[tuple[Allocation, ...], tuple[Pod, ...], frozenset[Wanted]] = ((), (), frozenset())

    def follow(self, seen: Frames) -> bool:
        """Take what the sources say now; gives whether there is something new to be read at once.

        While the kubelet, or whoever tells of pods, does not answer, what they said stays: nothing need be asked again when
        they do.
        """
        allocations: tuple[Allocation, ...] | None = _newest(seen, "podresources")
        pods: tuple[Pod, ...] | None = _newest(seen, "pods")
        self._pods = self._pods if pods is None else pods
        if allocations is None:
            return False
        new = False
        wanted = self._look(allocations)
        if self._claims is not None and (wanted or "claims" in self._polled):
            new |= self._poll(self._claims, needed=self._claims.aim(wanted))
        claims: tuple[AllocatedClaim, ...] = _newest(seen, "claims") or ()
        named = _named(allocations, claims) if wanted else frozenset[Named]()
        if self._slices is not None and (
            any(each.driver in self._drivers for each in named) or "slices" in self._polled
        ):
            new |= self._poll(self._slices, needed=self._slices.aim(named, _hardware(seen)))
        return new

    def _look(self, allocations: tuple[Allocation, ...]) -> frozenset[Wanted]:
        """Give the claims that are worth knowing; the very same pods and allocations want the same."""
        looked, pods, _ = self._looked_at
        if looked is not allocations or pods is not self._pods:
            self._looked_at = allocations, self._pods, claims_wanted(allocations, self._pods)
        return self._looked_at[2]

    def _poll(self, source: Claims | Slices, *, needed: bool) -> bool:
        if source.name not in self._polled:
            self._polled.add(source.name)
            self._poller.add(source)
            return True
        if needed:
            self._poller.hurry((source.name, source.instance))
        return needed


def _named(allocations: tuple[Allocation, ...], claims: tuple[AllocatedClaim, ...]) -> frozenset[Named]:
    """Give the devices that claims name, to the kubelet's knowledge or only to the claim's, and of which they have a share."""
    held = {
        Named(claim.driver, claim.pool, claim.device, shared=bool(claim.share_id))
        for allocation in allocations
        if (claim := allocation.claim) is not None
    }
    granted = {
        Named(grant.driver, grant.pool, grant.device, shared=bool(grant.share_id or grant.consumed))
        for claim in claims
        for grant in claim.grants
    }
    return frozenset(held | granted)


def _hardware(seen: Frames) -> frozenset[str] | None:
    """Give the UUIDs of all GPUs and instances that drivers show now; None where none answers."""
    reports = [frame.value for frame in seen.good if isinstance(frame.value, DeviceReport)]
    return frozenset(device.uuid for report in reports for device in report.devices) if reports else None


def _newest(frames: Frames, source: str) -> Any:
    return next((frame.value for frame in frames.good if frame.source == source), None)
