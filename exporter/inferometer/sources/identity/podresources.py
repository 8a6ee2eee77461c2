# SPDX-License-Identifier: Apache-2.0
"""Which container holds which device, from the kubelet's PodResources API (v1, KEP-606 and KEP-3695)."""

import time
from collections.abc import Iterable

from inferometer import config
from inferometer.model import Allocation, Binding, Reason, Trouble
from inferometer.sources.identity import allocations
from inferometer.sources.identity.allocations import Listing
from inferometer.sources.identity.kept import Kept
from inferometer.sources.identity.kubelet import KubeletSocket, Remedies

LIST = "/v1.PodResourcesLister/List"
CALL = "PodResourcesLister.List"
REMEDIES = Remedies(
    key="identity.podresources.socket",
    missing="mount the directory of the kubelet's socket; without Kubernetes, disable identity.podresources",
    too_large="raise identity.podresources.max_message",
    unsupported="upgrade to a kubelet that serves PodResources v1 (1.20 or newer)",
)

BINDINGS = (
    Binding("gpu.owner.info", f"{CALL} containers[].devices[].device_ids", "podresources"),
    Binding("gpu.owner.info", f"{CALL} containers[].dynamic_resources[].claim_resources[]", "podresources"),
)


class PodResources:
    """The kubelet's answer as allocations, sorted, each once: a `model.Source[tuple[Allocation, ...]]`.

    What a claim gave a container stands in, marked, for two periods when the kubelet leaves it out. `blanked` is how many
    containers the newest answer left so.

    Args:
        config: where the socket is.
        period: seconds between two reads.
        drivers: DRA drivers whose devices count.
        resources: resources of device plugins whose ids count, whatever they look like.
    """

    name = "podresources"
    instance = ""

    def __init__(
        self,
        config: config.PodResources,
        period: float,
        drivers: Iterable[str] = config.Identity().drivers,
        resources: Iterable[str] = (),
    ) -> None:
        self.period = period
        self.deadline = float(config.deadline)
        self._socket = KubeletSocket(config.socket, int(config.max_message), REMEDIES)
        self.blanked = 0
        self._drivers = tuple(drivers)
        self._resources = tuple(resources)
        self._kept = Kept(2 * period)
        self._known: tuple[bytes, Listing] | None = None

    def read(self) -> tuple[Allocation, ...]:
        """Ask once. An answer equal to the one before is not parsed again.

        Raises:
            Trouble: MISSING, PERMISSION, TIMEOUT, REFUSED, REJECTED, UNSUPPORTED, TOO_LARGE or MALFORMED.
        """
        answer = self._socket.ask(LIST, self.deadline)
        if self._known is None or answer != self._known[0]:
            try:
                rules = allocations.Rules.of(self._drivers, self._resources)
                self._known = answer, allocations.read_listing(answer, rules)
            except ValueError as error:
                remedy = "see whether the socket is the kubelet's"
                raise Trouble(Reason.MALFORMED, f"{self._socket.path}: {error}", remedy) from None
        listing = self._known[1]
        kept = self._kept.fill(listing.allocations, listing.bare, time.monotonic())
        self.blanked = len({(each.namespace, each.pod, each.container) for each in kept})
        if not kept:
            return listing.allocations
        return tuple(sorted((*listing.allocations, *kept), key=allocations.order))

    def close(self) -> None:
        """Close the channel; a call under way ends."""
        self._socket.close()
