# SPDX-License-Identifier: Apache-2.0
"""Who has what of a cluster's devices, by its objects alone: the oracle. It knows nothing of kubelets and of the agent."""

from collections.abc import Iterator
from typing import NamedTuple

from churn.cluster import CONSUMED, MEMORY, Cluster, Json, uuid


class Held(NamedTuple):
    """One container's hold on one device. `claim` is a UID; `part` is what is consumed of the device, 0 to 1, if that is told."""

    device: str
    pod: str
    container: str
    claim: str = ""
    request: str = ""
    role: str = "owner"
    part: float | None = None


class Share(NamedTuple):
    """What part of a device's time one pod has, and how that is known."""

    fraction: float
    attribution: str


def true(cluster: Cluster) -> set[Held]:
    """Give every hold of the pods that have not ended."""
    return {held for pod in cluster.alive() for held in (*_by_plugin(cluster, pod), *_by_claims(cluster, pod))}


def divided(held: set[Held]) -> dict[str, dict[str, Share]]:
    """Give each pod's part of each device that has owners: what it consumes, all of it, or one of equal parts."""
    parts: dict[str, dict[str, set[tuple[str, float | None]]]] = {}
    for each in held:
        if each.role == "owner":
            parts.setdefault(each.device, {}).setdefault(each.pod, set()).add((each.claim, each.part))
    return {
        device: {pod: _share(device, consumed, len(pods)) for pod, consumed in pods.items()}
        for device, pods in parts.items()
    }


def _share(device: str, consumed: set[tuple[str, float | None]], pods: int) -> Share:
    if device == uuid(CONSUMED):
        return Share(sum(part or 0.0 for _, part in consumed), "capacity")
    if pods > 1:
        return Share(1 / pods, "equal")
    return Share(1.0, "mig" if device.startswith("MIG-") else "exclusive")


def _by_plugin(cluster: Cluster, pod: Json) -> Iterator[Held]:
    uid = pod["metadata"]["uid"]
    for container, ids in cluster.plugin[uid].items():
        for device in ids:
            yield Held(device.partition("::")[0], uid, container)


def _by_claims(cluster: Cluster, pod: Json) -> Iterator[Held]:
    """Give what a pod has by claims: for each container the devices of the requests that it names, or of all."""
    status = pod["status"]
    claims = {use["name"]: use["resourceClaimName"] for use in status["resourceClaimStatuses"]}
    for container in pod["spec"]["containers"]:
        for use in container["resources"]["claims"]:
            yield from _results(cluster, pod, container["name"], claims[use["name"]], use.get("request"))
    if extended := status.get("extendedResourceClaimStatus"):
        for each in extended["requestMappings"]:
            yield from _results(cluster, pod, each["containerName"], extended["resourceClaimName"], each["requestName"])


def _results(cluster: Cluster, pod: Json, container: str, name: str, request: str | None) -> Iterator[Held]:
    claim = cluster.claims[name]
    for result in claim["status"]["allocation"]["devices"]["results"]:
        if request in (None, result["request"], result["request"].partition("/")[0]):
            consumed = result.get("consumedCapacity")
            yield Held(
                _device(cluster, result["device"]),
                pod["metadata"]["uid"],
                container,
                claim["metadata"]["uid"],
                result["request"],
                "admin" if result.get("adminAccess") else "owner",
                int(consumed["memory"]) / MEMORY if consumed else None,
            )


def _device(cluster: Cluster, name: str) -> str:
    """Give the UUID of what the driver calls `gpu-3`, or `gpu-6-mig-1g12gb-19-2`: an instance in slot 2."""
    words = name.split("-")
    return cluster.instances[int(words[1]), int(words[-1])] if len(words) > 2 else uuid(int(words[1]))
