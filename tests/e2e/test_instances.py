# SPDX-License-Identifier: Apache-2.0
"""MIG instances (cases 2 and 9 of the identity matrix): NVIDIA's device plugin, and its driver of claims.

The instances are of the library that the tests build; that driver can make and destroy them as on a GPU.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from e2e.agent import Agent
from e2e.drivers import GPUS, changed, device_plugin, devices, text_of
from e2e.kube import wait
from e2e.node import Node
from e2e.nvidia import GPU_CLASS, MIG_CLASS, NVIDIA, claim_driver
from e2e.pods import container, device_class, pod, request, template
from e2e.scenes import Space, agreed
from fakenvml.fakenvml import GIB, Instance
from whole.pages import values

MIG = "mig.nvidia.com"
SMALL = "nvidia.com/mig-1g.10gb"  # as the device plugin names instances of that profile
INSTANCES = (
    Instance("MIG-00000000-0000-4000-8000-0000000e2e00", gi=7, placement=0),
    Instance("MIG-00000000-0000-4000-8000-0000000e2e01", gi=8, placement=1),
    None,  # an index that is not in use
    Instance(
        "MIG-00000000-0000-4000-8000-0000000e2e02",
        name="NVIDIA H100 80GB HBM3 MIG 3g.40gb",
        gi=2,
        profile_id=9,
        placement=4,
        placement_size=4,
        slices=3,
        compute_slices=3,
        memory_total=40 * GIB,
        memory_mb=40448,
        sms=60,
    ),
)
UUIDS = {instance.uuid for instance in INSTANCES if instance}


@pytest.fixture
def _divided(node: Node) -> Iterator[None]:
    """The last GPU has three instances."""
    with changed(node, replace(GPUS[7], mig=1, instances=INSTANCES)):
        yield


@pytest.fixture
def _classes(node: Node) -> Iterator[None]:
    node.api.create(device_class(NVIDIA, GPU_CLASS))
    node.api.create(device_class(MIG, MIG_CLASS))
    yield
    node.api.delete("DeviceClass", NVIDIA)
    node.api.delete("DeviceClass", MIG)


def profile(name: str) -> list[object]:
    """Give what selects instances of a profile."""
    return [{"cel": {"expression": f"device.attributes['{NVIDIA}'].profile == '{name}'"}}]


def timed(agent: Agent) -> Mapping[tuple[str | None, ...], float]:
    """Give the time for which owners have held devices."""
    return values(agent.page(), "gpu_owner_time_seconds_total", "hw_id", "k8s_pod_uid", "attribution")


@pytest.mark.usefixtures("_divided", "_classes")
def test_instances_are_held_by_claims(node: Node, gpus: dict[str, str], agent: Agent, space: Space) -> None:
    """Two small instances, the large one and a whole GPU, each of its pod: the UUID is the one that the slice has."""
    with claim_driver(node, gpus), space:
        wait("instances and whole GPUs", lambda: len(devices(node, NVIDIA)) == 7 + len(UUIDS))
        space.make(
            template("small", request("i", MIG, selectors=profile("1g.10gb"))),
            template("large", request("i", MIG, selectors=profile("3g.40gb"))),
            template("whole", request("gpu", NVIDIA)),
        )
        wanted = {"one": "small", "two": "small", "big": "large", "gpu": "whole"}
        uids = space.start(*(pod(n, container(claims=[{"name": "g"}]), templates={"g": t}) for n, t in wanted.items()))

        held = {h.pod: h for h in agreed(node, agent, 4)}
        assert {held[name].device for name in ("one", "two", "big")} == UUIDS
        assert held["gpu"].device in {gpu.uuid for gpu in GPUS[:7]}
        owned = {(held[name].device, uids[name], "mig") for name in ("one", "two", "big")}
        wait("the owners' time", lambda: owned <= {*timed(agent)})


@pytest.mark.usefixtures("_divided")
def test_instances_are_held_by_resources(node: Node, gpus: dict[str, str], agent: Agent, space: Space) -> None:
    """The device plugin gives instances by profile: each is of the pod that asked for one."""
    with device_plugin(node, gpus, mig="mixed", wanted=7), space:
        space.start(
            pod("one", container(resources={SMALL: 1})),
            pod("two", container(resources={SMALL: 1})),
            pod("big", container(resources={"nvidia.com/mig-3g.40gb": 1})),
        )

        held = {h.pod: h.device for h in agreed(node, agent, 3)}
        assert {*held.values()} == UUIDS
        assert held["big"] == "MIG-00000000-0000-4000-8000-0000000e2e02"


@pytest.mark.usefixtures("_classes")
def test_instances_that_claims_make_are_held_by_their_pods(
    node: Node, gpus: dict[str, str], agent: Agent, space: Space
) -> None:
    """The claim names what is to be made: the holding is of the instance that there is now, and ends with it."""
    with changed(node), claim_driver(node, gpus, gates=("DynamicMIG",)), space:
        space.make(template("made", request("i", MIG, selectors=profile("2g.20gb"))))
        seen: set[str | None] = set()
        for _ in range(2):
            space.start(*(pod(n, container(claims=[{"name": "g"}]), templates={"g": "made"}) for n in ("a", "b")))

            held = agreed(node, agent, 2)
            instances = {h.device for h in held}
            assert len(instances) == 2
            assert all(instance and instance.startswith("MIG-") for instance in instances)
            assert not instances & seen
            seen |= instances
            space.stop("a", "b")
            wait("the instances to be gone", lambda: "MIG-" not in text_of(node).read_text())
            agreed(node, agent, 0)
