# SPDX-License-Identifier: Apache-2.0
"""What gives a node its GPUs: NVIDIA's device plugin, and drivers of dynamic resource allocation.

The library of the GPU's driver is the one that the tests build (`fakenvml`): the device plugin and the agent read the
same eight GPUs.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.kube import wait
from e2e.node import NAME, Node
from fakenvml.build import build
from fakenvml.fakenvml import Gpu
from fakenvml.fakenvml import Node as Gpus
from integration.programs import find

RESOURCE = "nvidia.com/gpu"
GPUS = tuple(
    Gpu(
        f"GPU-{minor:08x}-0000-4000-8000-00000000e2e0",
        minor=minor,
        serial=f"700{minor}",
        pci=f"00000000:{0x10 + minor:02X}:00.0",
    )
    for minor in range(8)
)
REGISTERED = "/pluginregistration.Registration/NotifyRegistrationStatus"  # what the kubelet calls then
PROGRAMS = ("nvidia-device-plugin", "dra-example-kubeletplugin")


def write_gpus(folder: Path) -> dict[str, str]:
    """Build the library of the driver and describe its GPUs; gives the environment in which programs find both."""
    folder.mkdir(parents=True, exist_ok=True)
    build(folder)
    Gpus(GPUS).write(folder / "gpus.txt")
    return {"LD_LIBRARY_PATH": str(folder), "FAKENVML": str(folder / "gpus.txt")}


@contextmanager
def device_plugin(node: Node, gpus: Mapping[str, str], replicas: int = 1) -> Iterator[None]:
    """Run NVIDIA's device plugin until the node has no GPUs again; each GPU is time-sliced into so many replicas."""
    config: dict[str, Any] = {"version": "v1"}
    if replicas > 1:
        config["sharing"] = {"timeSlicing": {"resources": [{"name": RESOURCE, "replicas": replicas}]}}
    file = node.scratch / "device-plugin.json"
    file.write_text(json.dumps(config))
    plugin = node.run(
        "nvidia-device-plugin",
        (
            find("nvidia-device-plugin"),
            f"--config-file={file}",
            "--device-discovery-strategy=nvml",
            "--device-list-strategy=envvar",
            "--pass-device-specs=false",
            "--fail-on-init-error=true",
        ),
        gpus,
    )
    wait(f"{replicas} times {len(GPUS)} devices", lambda: allocatable(node) == str(replicas * len(GPUS)))
    try:
        yield
    finally:
        plugin.end()
        wait("no devices", lambda: allocatable(node) in {None, "0"})


@contextmanager
def claim_driver(node: Node, name: str, *options: str) -> Iterator[None]:
    """Run the example driver under a name until its devices are gone; its devices are `gpu-0` and on, as its options say."""
    log = node.namespaces.log_file(f"driver-{name}")
    began = log.stat().st_size if log.exists() else 0
    driver = node.run(
        log.stem,
        (
            find("dra-example-kubeletplugin"),
            f"--node-name={NAME}",
            f"--driver-name={name}",
            f"--pod-uid={uuid.uuid4()}",  # a socket of its own: the kubelet can miss one that is made again at once
            f"--kubeconfig={node.kubeconfig}",
            "--cdi-root=/var/run/cdi",
            "--v=6",  # from there on it says what it is called for
            *options,
        ),
        {"NODE_NAME": NAME},
    )
    wait(f"the kubelet to know {name}", lambda: REGISTERED in log.read_text()[began:])
    wait(f"the devices of {name}", lambda: devices(node, name))
    try:
        yield
    finally:
        driver.end()
        for found in node.api.list("ResourceSlice"):
            if found["spec"]["driver"] == name:
                node.api.delete("ResourceSlice", found["metadata"]["name"])


def devices(node: Node, driver: str) -> list[str]:
    """Give the names of the devices that a driver published."""
    slices = [found["spec"] for found in node.api.list("ResourceSlice") if found["spec"]["driver"] == driver]
    return [device["name"] for spec in slices for device in spec.get("devices") or []]


def allocatable(node: Node) -> str | None:
    """Give how many GPUs the kubelet says it can hand out."""
    told: str | None = node.api.get("Node", NAME)["status"]["allocatable"].get(RESOURCE)
    return told
