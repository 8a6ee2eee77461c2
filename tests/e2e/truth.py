# SPDX-License-Identifier: Apache-2.0
"""Who holds which GPU, by what the API server says, and the kubelet where the API server does not know.

Written from the Kubernetes API and not from the agent: a claim's devices from its status, their UUIDs from the
ResourceSlices, the request of a container from its pod, admin access from the claim. Only a device plugin's ids are known
to the kubelet alone, and the UUID of an instance that a claim made to the GPU's driver alone.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grpc  # noqa: TID251  # as a client of the kubelet, beside the agent

from e2e.drivers import VENDOR, text_of
from e2e.node import Node
from e2e.nvidia import NVIDIA
from inferometer.proto import podresources_pb2
from whole.pages import HOLDING, Page, values

# The name of an instance that a claim is to make: GPU's minor number, profile, profile's number, placement.
_TO_BE_MADE = re.compile(r"gpu-(\d+)-mig-.+-(\d+)-(\d+)")


class Held(NamedTuple):
    """A holding, as `gpu_owner_info` tells it."""

    device: str | None
    namespace: str | None
    pod: str | None
    uid: str | None
    container: str | None
    claim: str | None = None
    claim_uid: str | None = None
    request: str | None = None
    role: str | None = "owner"


def told(page: Page) -> set[Held]:
    """What the agent says."""
    return {Held(*labels) for labels in values(page, "gpu_owner_info", *(*HOLDING, "role"))}


def true(node: Node) -> set[Held]:
    """What is so: of the device plugin's GPUs and of the devices of claims. Raises LookupError while a slice is missing."""
    pods = [pod for pod in node.api.list("Pod") if pod["status"].get("phase") not in {"Succeeded", "Failed"}]
    uids = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod["metadata"]["uid"] for pod in pods}
    by_plugin = {
        Held(device, namespace, pod, uids.get((namespace, pod)), container)
        for namespace, pod, container, device in plugin_devices(node)
    }
    published = _published(node)
    return by_plugin | {held for pod in pods for held in _by_claims(node, pod, published)}


def plugin_devices(node: Node) -> set[tuple[str, str, str, str]]:
    """Ask the kubelet for namespace, pod, container and GPU of what the device plugin gave."""
    return {
        (pod.namespace, pod.name, container.name, device.partition("::")[0])
        for pod in listed(node).pod_resources
        for container in pod.containers
        for devices in container.devices
        if devices.resource_name.startswith(VENDOR)
        for device in devices.device_ids
    }


def listed(node: Node) -> podresources_pb2.ListPodResourcesResponse:
    """Ask the kubelet's PodResources API. Raises ConnectionError where it does not answer."""
    socket = node.kubelet_folder / "pod-resources" / "kubelet.sock"
    with grpc.insecure_channel(f"unix:{socket}", options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        ask = channel.unary_unary(
            "/v1.PodResourcesLister/List",
            request_serializer=podresources_pb2.ListPodResourcesRequest.SerializeToString,
            response_deserializer=podresources_pb2.ListPodResourcesResponse.FromString,
        )
        try:
            answer: podresources_pb2.ListPodResourcesResponse = ask(
                podresources_pb2.ListPodResourcesRequest(), timeout=30
            )
        except grpc.RpcError as error:
            raise ConnectionError(f"the kubelet does not answer: {error}") from None
        return answer


def _published(node: Node) -> dict[str, str]:
    """Give the UUIDs of the devices that NVIDIA's driver published, by their names."""
    slices = [found["spec"] for found in node.api.list("ResourceSlice") if found["spec"]["driver"] == NVIDIA]
    devices = [device for spec in slices for device in spec.get("devices") or ()]
    return {d["name"]: d["attributes"]["uuid"]["string"] for d in devices if "uuid" in d["attributes"]}


def _by_claims(node: Node, pod: Any, published: Mapping[str, str]) -> Iterable[Held]:
    """Give what a pod holds by its claims: for each container the devices of the requests that it names."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
    at = (metadata["namespace"], metadata["name"], metadata["uid"])
    claims = {c["name"]: c.get("resourceClaimName") for c in spec.get("resourceClaims", ())}
    claims |= {c["name"]: c.get("resourceClaimName") for c in status.get("resourceClaimStatuses", ())}
    for container in spec["containers"]:
        for use in container.get("resources", {}).get("claims", ()):
            if name := claims.get(use["name"]):
                yield from _devices(node, at, container["name"], name, {use.get("request")}, published)
    # What a container asked for by the name of a resource is a claim that the scheduler made.
    if made := status.get("extendedResourceClaimStatus"):
        for mapping in made["requestMappings"]:
            asked = {mapping["requestName"]}
            yield from _devices(node, at, mapping["containerName"], made["resourceClaimName"], asked, published)


def _devices(
    node: Node,
    at: tuple[str, str, str],
    container: str,
    claim: str,
    requests: set[str | None],
    published: Mapping[str, str],
) -> Iterable[Held]:
    found = node.api.get("ResourceClaim", claim, at[0])
    for result in found["status"].get("allocation", {}).get("devices", {}).get("results", ()):
        asked = result["request"].partition("/")[0]  # `main/sub` of alternatives is asked for as `main`
        if result["driver"] == NVIDIA and requests & {None, asked}:
            device = published.get(result["device"]) or _made(text_of(node), result["device"])
            role = "admin" if result.get("adminAccess") else "owner"
            uid = found["metadata"]["uid"]
            yield Held(device, *at, container, claim, uid, result["request"], role)


def _made(text: Path, name: str) -> str | None:
    """Give the UUID of an instance that was made for a claim. Raises LookupError for what is no such device's name."""
    wanted = _TO_BE_MADE.fullmatch(name)
    if wanted is None:
        raise LookupError(f"{name} is in no slice")
    subjects: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for line in text.read_text().splitlines():
        subject, _, rest = line.partition(" ")
        key, _, value = rest.partition(" ")
        subjects[subject][key] = value
    minor, profile, placement = wanted.groups()
    for subject, said in subjects.items():
        parent = subjects[subject.partition(".mig")[0]]
        if (parent.get("minor"), said.get("profile_id"), said.get("placement")) == (minor, profile, placement):
            return said.get("uuid")
    return None
