# SPDX-License-Identifier: Apache-2.0
"""What containers held of claims when the kubelet last said so, while it leaves them bare."""

from collections import defaultdict
from dataclasses import replace

from inferometer.model import Allocation

Container = tuple[str, str, str]  # namespace, pod, container


class Kept:
    """Lets the last known answer of a container stand in, marked as `kept`, for at most `grace` seconds.

    The kubelet answers for a container with nothing when one of its claims is not in its cache (`GetDynamicResources` in
    `pkg/kubelet/cm/dra/manager.go`), as for a moment after its restart. A container that it does not list at all is gone.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._last: dict[Container, tuple[float, tuple[Allocation, ...]]] = {}
        self._answer: tuple[Allocation, ...] = ()
        self._said: dict[Container, tuple[Allocation, ...]] = {}  # of claims, in that answer

    def fill(
        self, allocations: tuple[Allocation, ...], bare: frozenset[Container], now: float
    ) -> tuple[Allocation, ...]:
        """Take an answer of `now`, monotonic; give what stands in for what it leaves bare."""
        if allocations is not self._answer:  # it is mostly the one before
            self._answer, self._said = allocations, _claimed(allocations)
        self._last = {
            container: (at, held)
            for container, (at, held) in self._last.items()
            if container in bare and now - at <= self._grace
        }
        missing = tuple(replace(each, kept=True) for _, held in self._last.values() for each in held)
        self._last |= {container: (now, held) for container, held in self._said.items()}
        return missing


def _claimed(allocations: tuple[Allocation, ...]) -> dict[Container, tuple[Allocation, ...]]:
    said: dict[Container, list[Allocation]] = defaultdict(list)
    for allocation in allocations:
        if allocation.claim is not None:
            said[allocation.namespace, allocation.pod, allocation.container].append(allocation)
    return {container: tuple(held) for container, held in said.items()}
