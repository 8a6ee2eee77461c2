# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's own driver of dynamic resource allocation, on the library that the tests build."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from e2e.drivers import REGISTERED, devices, root_of
from e2e.installed import proc_devices
from e2e.kube import wait
from e2e.node import NAME, Node
from e2e.pods import device_class
from integration.programs import find

PROGRAM = "gpu-kubelet-plugin"
NVIDIA = "gpu.nvidia.com"  # the driver's name, and that of its class of whole GPUs
# The classes of its chart.
GPU_CLASS, MIG_CLASS = (
    f"device.driver == '{NVIDIA}' && device.attributes['{NVIDIA}'].type == '{kind}'" for kind in ("gpu", "mig")
)
_NUMBERS = itertools.count(1)  # of the times that the driver was started


@contextmanager
def claim_driver(node: Node, gpus: Mapping[str, str], *options: str, gates: tuple[str, ...] = ()) -> Iterator[None]:
    """Run the driver until its devices are gone; `gates` are features of its own that shall be on."""
    root = root_of(node)
    log = node.namespaces.log_file(PROGRAM)
    began = log.stat().st_size if log.exists() else 0
    driver = node.run(
        PROGRAM,
        (
            find(PROGRAM),
            f"--node-name={NAME}",
            "--image-name=none",
            f"--nvidia-driver-root={root}",
            f"--container-driver-root={root}",
            f"--nvidia-cdi-hook-path={find('nvidia-cdi-hook')}",
            "--cdi-root=/var/run/cdi",
            # Its own each time: it keeps there which claims it has prepared.
            f"--kubelet-plugins-directory-path=/var/lib/kubelet/plugins/{next(_NUMBERS)}",
            f"--kubeconfig={node.kubeconfig}",
            f"--feature-gates={','.join(f'{gate}=true' for gate in gates)}",
            "--v=6",  # from there on it says what it is called for
            *options,
        ),
        {**gpus, "ALT_PROC_DEVICES_PATH": str(proc_devices(root))},
    )

    def is_known() -> bool:
        said = log.read_text()[began:]
        assert not driver.has_ended, f"the driver has ended:\n{said[-3000:]}"
        return REGISTERED in said

    try:
        wait(f"the kubelet to know {NVIDIA}", is_known)
        wait(f"the devices of {NVIDIA}", lambda: devices(node, NVIDIA))
        yield
    finally:
        driver.end()
        for found in node.api.list("ResourceSlice"):
            if found["spec"]["driver"] == NVIDIA:
                node.api.delete("ResourceSlice", found["metadata"]["name"])


@contextmanager
def a_class(node: Node, resource: str = "") -> Iterator[None]:
    """Have the class of whole GPUs, as the driver's chart would make it; `resource` is another name for it."""
    node.api.create(device_class(NVIDIA, GPU_CLASS, resource))
    try:
        yield
    finally:
        node.api.delete("DeviceClass", NVIDIA)
