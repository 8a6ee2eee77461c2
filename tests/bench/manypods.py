# SPDX-License-Identifier: Apache-2.0
"""A node with many pods that hold devices by claims, of a real API server's objects: what it lists, watches and gives."""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[1] / "fixtures/kubelet"
_ITEMS = json.loads((_FOLDER / "api_dra_1.36.json").read_text())["items"]
_POD, _CLAIM = (
    next(item for item in _ITEMS if item["kind"] == kind and item["metadata"]["name"].startswith("two"))
    for kind in ("Pod", "ResourceClaim")
)
SLICE = next(item for item in _ITEMS if item["kind"] == "ResourceSlice")
NODE = "n1"
DEVICES = len(SLICE["spec"]["devices"])

Json = dict[str, Any]


def pod(i: int) -> Json:
    """Give a recorded pod of two containers, under a name of its own, with a claim of its own."""
    made: Json = copy.deepcopy(_POD)
    made["metadata"] |= {
        "name": f"chat-{i}",
        "uid": _uid(1, i),
        "labels": {"app": f"chat-{i}", "team": f"team-{i % 6}", "pod-template-hash": "6f9c7d5b8"},
    }
    made["status"]["resourceClaimStatuses"] = [{"name": "g", "resourceClaimName": _claim_name(i)}]
    for number, status in enumerate(made["status"].get("containerStatuses", ())):
        status["containerID"] = f"containerd://{i:060x}{number:04x}"
    return made


def claim(i: int) -> Json:
    """Give that pod's claim: two devices, as recorded."""
    made: Json = copy.deepcopy(_CLAIM)
    owner = {"apiVersion": "v1", "controller": True, "kind": "Pod", "name": f"chat-{i}", "uid": _uid(1, i)}
    made["metadata"] |= {"name": _claim_name(i), "uid": _uid(2, i), "ownerReferences": [owner]}
    made["status"]["reservedFor"] = [{"name": f"chat-{i}", "resource": "pods", "uid": _uid(1, i)}]
    for number, result in enumerate(made["status"]["allocation"]["devices"]["results"]):
        result["device"] = _device(i, number)
    return made


def allocations(pods: Iterable[int]) -> Json:
    """Give the kubelet's answer."""
    return {
        "pod_resources": [
            {
                "name": f"chat-{i}",
                "namespace": "default",
                "containers": [{"name": name, "dynamic_resources": [_claimed(i)]} for name in ("c1", "c2")],
            }
            for i in pods
        ]
    }


def _claimed(i: int) -> Json:
    names = [_device(i, number) for number in range(2)]
    ids = [{"name": f"k8s.gpu.nvidia.com/claim={_uid(2, i)}-{name}"} for name in names]
    return {
        "claim_name": _claim_name(i),
        "claim_namespace": "default",
        "claim_resources": [
            {
                "cdi_devices": ids[: number + 1],  # they pile up
                "driver_name": "gpu.nvidia.com",
                "pool_name": NODE,
                "device_name": name,
            }
            for number, name in enumerate(names)
        ],
    }


def _device(i: int, number: int) -> str:
    return f"gpu-{(2 * i + number) % DEVICES}"


def _claim_name(i: int) -> str:
    return f"chat-{i}-g-x2x{i:02d}"


def _uid(kind: int, i: int) -> str:
    return f"{kind:08d}-2a4c-4e5d-8f70-{i:012d}"
