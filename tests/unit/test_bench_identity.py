# SPDX-License-Identifier: Apache-2.0
"""The bench of the identity side measures nodes that are as they should be."""

from bench import manypods
from bench.joining import multiplied
from frames import CONTEXT, frames, gpu, instance, memory
from inferometer.join import join
from inferometer.model import Allocation, Pod
from inferometer.sources.identity import claim_object, projection, slice_object
from inferometer.sources.identity.allocations import parse
from inferometer.sources.identity.wanted import claims_wanted
from kubelet.podresources import message


def test_a_node_that_is_denser_has_as_much_more_of_everything() -> None:
    """Copies of a node have names of their own: devices, owners and series are so many times as many, and none is said twice."""
    devices = [gpu(0), gpu(1, mig_enabled=True), instance(1, 0)]
    held = [Allocation("ns", name, "main", device) for name, device in (("a", "GPU-0"), ("b", "MIG-1-0"))]
    tick = frames(
        devices=devices,
        readings=[memory(device, 7.0) for device in devices],
        allocations=held,
        pods=[Pod(f"uid-{name}", "ns", name, "Running") for name in "ab"],
    )

    one, four = join(tick, CONTEXT), join(multiplied(tick, 4), CONTEXT)

    assert join(multiplied(tick, 1), CONTEXT).points == one.points
    assert (len(four.devices), len(four.holdings), len(four.shares)) == (12, 8, 4 * len(one.shares))
    assert {h.owner.uid for h in four.holdings} >= {"uid-a", "uid-b", "uid-a.3", "uid-b.3"}
    assert four.dropped["repeated"] == 0


def test_the_objects_of_many_pods_belong_together() -> None:
    """What the kubelet says, the pods and their claims name one another, and the devices are those that are published."""
    pods = [projection.project(manypods.pod(i)) for i in range(20)]
    claims = [claim_object.project(manypods.claim(i)) for i in range(20)]
    allocations = parse(message(manypods.allocations(range(20))))
    published = slice_object.pooled({"items": [manypods.SLICE]}, ("gpu.nvidia.com",)).devices

    assert len(allocations) == 4 * 20
    assert {(a.namespace, a.pod) for a in allocations} == {(pod.namespace, pod.name) for pod in pods}
    assert {want.key: want.uid for want in claims_wanted(allocations, pods)} == {
        (claim.namespace, claim.name): claim.uid for claim in claims
    }
    assert {grant.device for claim in claims for grant in claim.grants} <= {device.device for device in published}
    assert len({id_ for pod in pods for id_ in pod.container_ids}) == 2 * 20
