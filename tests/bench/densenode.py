# SPDX-License-Identifier: Apache-2.0
"""The dense node as the agent meets it: what NVML, the kubelet and the API server say of it, and the agent's configuration."""

from pathlib import Path
from typing import Any, NamedTuple

from fakenvml.fakenvml import Gpu, Instance, Node

GPUS, INSTANCES, HOLDERS, ENGINES = 8, 7, 60, 16
NODE_NAME = "gpu-7"


class Places(NamedTuple):
    """Where the surroundings are: paths, URLs, and the port of all engines' pages and of the OTLP receiver."""

    kubelet: str
    api: str
    ca: str
    token: str
    library: str
    driver: str
    port: int


def driver() -> Node:
    """Give the driver's answers: every GPU in MIG mode, with as many instances as it can have."""
    return Node(gpus=tuple(_gpu(i) for i in range(GPUS)))


def _gpu(i: int) -> Gpu:
    instances = tuple(Instance(uuid=_instance(INSTANCES * i + j), gi=7 + j, placement=j) for j in range(INSTANCES))
    pci = f"00000000:{0x1B + 16 * i:02X}:00.0"
    return Gpu(uuid=f"GPU-5c0f7a2e-93b1-4d6f-8a57-{i:012d}", instances=instances, minor=i, pci=pci, mig=1)


def _instance(i: int) -> str:
    return f"MIG-7d1c2b3a-4e5f-5a6b-9c7d-{i:012d}"


def pods(engines: int, port: int) -> tuple[Any, ...]:
    """Give the pods' JSON; the first `engines` of them serve a page, at a path of their own on one port."""
    return tuple(_pod(i, port if i < engines else None) for i in range(max(HOLDERS, engines)))


def _pod(i: int, port: int | None) -> dict[str, Any]:
    serving = {"inferometer/port": str(port), "inferometer/path": f"/engines/{i}/metrics"}
    controller = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"chat-{i}-6f9c7d5b8", "controller": True}
    return {
        "metadata": {
            "name": _name(i),
            "namespace": _namespace(i),
            "uid": f"0b6f1d3e-2a4c-4e5d-8f70-{i:012d}",
            "labels": {
                "app.kubernetes.io/name": f"chat-{i}",
                "team": f"team-{i % 6}",
                "pod-template-hash": "6f9c7d5b8",
            },
            "annotations": serving if port else {},
            "ownerReferences": [controller],
        },
        "spec": {
            "nodeName": NODE_NAME,
            "containers": [{"name": "server", "image": "vllm/vllm-openai:v0.32.0"}],
        },
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }


def _name(i: int) -> str:
    return f"chat-{i}-6f9c7d5b8-x2x{i:02d}"


def _namespace(i: int) -> str:
    return f"serving-{i % 6}"


def allocations() -> dict[str, Any]:
    """Give the kubelet's answer: a replica of an instance for every holder, so that a few instances are shared."""
    return {
        "pod_resources": [
            {
                "name": _name(i),
                "namespace": _namespace(i),
                "containers": [{"name": "server", "devices": [_device(i)]}],
            }
            for i in range(HOLDERS)
        ]
    }


def _device(i: int) -> dict[str, Any]:
    count = GPUS * INSTANCES
    return {"resource_name": "nvidia.com/mig-1g.10gb", "device_ids": [f"{_instance(i % count)}::{i // count}"]}


def configuration(places: Places, period: int, engines: int) -> dict[str, Any]:
    """Give the agent's configuration: both outputs on, each at every period."""
    return {
        "period": f"{period}s",
        "server": {"listen": "127.0.0.1:0"},
        "node": {"name": NODE_NAME},
        "devices": {"nvidia": {"library": places.library}},
        "identity": {
            "podresources": {"socket": places.kubelet},
            "pods": {"source": "api", "server": places.api, "ca_file": places.ca, "token_file": places.token},
        },
        "engines": {"max_targets": engines},
        "otlp": {"endpoint": f"http://127.0.0.1:{places.port}", "interval": f"{period}s"},
    }


def missing(page: str, engines: int) -> list[str]:
    """Name what a complete page of the dense node has and this one lacks."""
    expected = {
        "gpu_info{": GPUS,
        "gpu_mig_info{": GPUS * INSTANCES,
        "gpu_mig_memory_usage_bytes{": GPUS * INSTANCES,
        "gpu_owner_info{": HOLDERS,
        "inference_engine_info{": engines,
        "gen_ai_server_time_to_first_token_seconds_count{": engines,
    }
    lines = page.splitlines()
    found = {start: sum(line.startswith(start) for line in lines) for start in expected}
    return [
        f"{found[start]} of {count} {start.rstrip('{')}" for start, count in expected.items() if found[start] < count
    ]


def library(folder: Path) -> tuple[Path, Path]:
    """Build the driver's library and write what it answers; give both files."""
    from fakenvml.build import build

    text = folder / "driver.txt"
    driver().write(text)
    return build(folder), text
