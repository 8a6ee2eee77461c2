# SPDX-License-Identifier: Apache-2.0
"""Properties of the identity sources over any input: they answer, or refuse by name, and depend on no order."""

import contextlib
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inferometer.proto import podresources_pb2
from inferometer.sources.identity.allocations import parse
from inferometer.sources.identity.projection import project

IDS = st.one_of(st.sampled_from(["GPU-a", "GPU-a::1", "MIG-b", "MIG-b::0", "mlx5_0", ""]), st.text(max_size=8))
NAMES = st.sampled_from(["a", "b", "gpu-0", "gpu-1", "gpu-10"])
CLAIMED = st.fixed_dictionaries(
    {
        "driver_name": st.sampled_from(["gpu.nvidia.com", "compute-domain.nvidia.com"]),
        "pool_name": NAMES,
        "device_name": NAMES,
        "cdi_devices": st.lists(st.fixed_dictionaries({"name": st.text(max_size=60)}), max_size=3),
    }
)
CONTAINERS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "devices": st.lists(
            st.fixed_dictionaries({"resource_name": NAMES, "device_ids": st.lists(IDS, max_size=4)}), max_size=3
        ),
        "dynamic_resources": st.lists(
            st.fixed_dictionaries(
                {"claim_name": NAMES, "claim_namespace": NAMES, "claim_resources": st.lists(CLAIMED, max_size=4)}
            ),
            max_size=2,
        ),
    }
)
PODS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "namespace": NAMES, "containers": st.lists(CONTAINERS, max_size=3)}),
    max_size=4,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "status", "uid", "name", "namespace", "labels", "containers", "ports"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def serialized(pods: Any) -> bytes:
    return podresources_pb2.ListPodResourcesResponse(pod_resources=pods).SerializeToString()


@given(PODS, st.randoms(use_true_random=False))
def test_allocations(pods: Any, shuffle: random.Random) -> None:
    """Each holding is there once, only GPUs are, and neither order nor repetition matters."""
    held = parse(serialized(pods))
    assert len(set(held)) == len(held)
    for each in held:
        assert each.claim is not None or each.device.startswith(("GPU-", "MIG-"))
        assert each.claim is None or each.claim.driver == "gpu.nvidia.com"
        assert "::" not in each.device
    twice = [*pods, *pods]
    shuffle.shuffle(twice)
    assert parse(serialized(twice)) == held


@given(st.binary(max_size=300))
def test_any_bytes(answer: bytes) -> None:
    """Any bytes are allocations or a ValueError."""
    with contextlib.suppress(ValueError):
        parse(answer)


@given(JSON)
def test_any_json(raw: Any) -> None:
    """Any JSON is a pod with UID, namespace and name, or a ValueError."""
    try:
        pod = project(raw)
    except ValueError:
        return
    assert pod.uid
    assert pod.namespace
    assert pod.name
