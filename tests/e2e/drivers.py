# SPDX-License-Identifier: Apache-2.0
"""What gives a node its GPUs: NVIDIA's device plugin, and the example driver of dynamic resource allocation.

The library of the GPU's driver is the one that the tests build (`fakenvml`): the device plugin, NVIDIA's driver of claims
(`nvidia.py`) and the agent read the same eight GPUs.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.installed import install
from e2e.kube import wait
from e2e.node import NAME, Node
from e2e.runtime import write_runtime
from fakenvml.build import build
from fakenvml.fakenvml import Gpu
from fakenvml.fakenvml import Node as Gpus
from integration.programs import find

VENDOR = "nvidia.com/"  # of every resource of the device plugin
RESOURCE = f"{VENDOR}gpu"
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


def write_gpus(node: Node) -> dict[str, str]:
    """Build the library of the driver and describe its GPUs; gives the environment in which programs find both."""
    libraries = root_of(node) / "usr" / "lib64"
    libraries.mkdir(parents=True)
    named = libraries / f"libnvidia-ml.so.{Gpus.driver}"  # as NVIDIA's programs look for it
    build(libraries).rename(named)
    (libraries / "libnvidia-ml.so.1").symlink_to(named.name)
    Gpus(GPUS).write(text_of(node))
    install(root_of(node), node.driver_folder, range(len(GPUS)))
    environment = {"LD_LIBRARY_PATH": str(libraries), "FAKENVML": str(text_of(node))}
    write_runtime(node.scratch, root_of(node), environment)
    return environment


def root_of(node: Node) -> Path:
    """Give the folder below which the GPUs' driver is installed."""
    return node.scratch / "gpus"


def text_of(node: Node) -> Path:
    """Give where the GPUs are described."""
    return root_of(node) / "gpus.txt"


@contextmanager
def changed(node: Node, *gpus: Gpu) -> Iterator[None]:
    """Have other GPUs in the place of those of their minor numbers, and at the end what there was."""
    now = {gpu.minor: gpu for gpu in (*GPUS, *gpus)}
    Gpus(tuple(now.values())).write(text_of(node))
    try:
        yield
    finally:
        Gpus(GPUS).write(text_of(node))


@contextmanager
def device_plugin(
    node: Node, gpus: Mapping[str, str], replicas: int = 1, *, mig: str = "none", wanted: int = 0
) -> Iterator[None]:
    """Run NVIDIA's device plugin until the node has no GPUs again.

    Args:
        node: where it runs.
        gpus: the environment in which it finds the GPUs.
        replicas: each GPU is time-sliced into so many.
        mig: its strategy for instances.
        wanted: how many whole GPUs the node has then, where some are divided.
    """
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
            f"--mig-strategy={mig}",
            "--device-discovery-strategy=nvml",
            "--device-list-strategy=envvar",
            "--pass-device-specs=false",
            "--fail-on-init-error=true",
        ),
        gpus,
    )
    count = wanted or replicas * len(GPUS)
    wait(f"{count} devices", lambda: allocatable(node) == str(count))
    try:
        yield
    finally:
        plugin.end()
        wait("no devices", lambda: allocatable(node) in {None, "0"})


@contextmanager
def example_driver(node: Node, name: str, *options: str) -> Iterator[None]:
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
