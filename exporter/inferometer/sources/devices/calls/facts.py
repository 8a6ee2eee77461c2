# SPDX-License-Identifier: Apache-2.0
"""What describes a GPU and its driver: the inventory, and the modes that an administrator may change."""

from collections.abc import Callable

from inferometer.sources.devices import codes
from inferometer.sources.devices.calls.links import fabric
from inferometer.sources.devices.calls.shapes import Fact, Handle, Nvml

ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
    13: "rubin",
}
_COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")
_VIRTUALIZATION_MODES = ("none", "passthrough", "vgpu", "host_vgpu", "host_vsga")
_SWITCH = ("disabled", "enabled")
_MOST_NODES = 16  # of the system that one GPU is called near to


def _text(attribute: str, function: str) -> Fact:
    return Fact(attribute, function, lambda nvml, handle: codes.text(getattr(nvml, function)(handle)))


def _named(attribute: str, function: str, names: tuple[str, ...]) -> Fact:
    """Give the fact of a mode that is a number."""

    def read(nvml: Nvml, handle: Handle) -> str:
        number = int(getattr(nvml, function)(handle))
        return names[number] if 0 <= number < len(names) else ""

    return Fact(attribute, function, read, changes=True)


def _pci_address(nvml: Nvml, handle: Handle) -> str:
    """Give `0000:3b:00.0` as the kernel writes it; NVML writes `00000000:3B:00.0`."""
    domain, rest = nvml.nvmlDeviceGetPciInfo(handle).busId.lower().split(":", 1)
    return f"{int(domain, 16):04x}:{rest}"


def _numa_node(nvml: Nvml, handle: Handle) -> str:
    """Give the lowest node of the set that NVML calls ideal for this GPU's memory (16 words of 64 nodes)."""
    words = nvml.nvmlDeviceGetMemoryAffinity(handle, 16, nvml.NVML_AFFINITY_SCOPE_NODE)
    if sum(word.bit_count() for word in words) > _MOST_NODES:
        raise ValueError("so many nodes are no choice")
    nodes = (64 * i + (word & -word).bit_length() - 1 for i, word in enumerate(words) if word)
    return str(next(nodes, ""))


def _architecture(nvml: Nvml, handle: Handle) -> str:
    return ARCHITECTURES.get(_below(1000, nvml.nvmlDeviceGetArchitecture(handle)), "")


def _compute_capability(nvml: Nvml, handle: Handle) -> str:
    return "{}.{}".format(*(_below(100, part) for part in nvml.nvmlDeviceGetCudaComputeCapability(handle)))


def _minor(nvml: Nvml, handle: Handle) -> str:
    return str(_below(1 << 20, nvml.nvmlDeviceGetMinorNumber(handle)))  # MINORBITS in `include/linux/kdev_t.h`


def _below(limit: int, number: int) -> int:
    if not 0 <= number < limit:
        raise ValueError(f"{number} is too much")
    return number


def _pending_mig(nvml: Nvml, handle: Handle) -> str:
    return _SWITCH[codes.switch(nvml.nvmlDeviceGetMigMode(handle)[1])]


def _ecc(nvml: Nvml, handle: Handle) -> str:
    return _SWITCH[codes.switch(nvml.nvmlDeviceGetEccMode(handle)[0])]


def _confidential(nvml: Nvml, _: Handle) -> str:
    return _SWITCH[codes.switch(nvml.nvmlSystemGetConfComputeState().ccFeature)]


def _cluster(nvml: Nvml, handle: Handle) -> str:
    """Give the cluster's UUID; all zeros is none."""
    digits = bytes(fabric(nvml, handle).clusterUuid).hex()
    if not int(digits, 16):
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _clique(nvml: Nvml, handle: Handle) -> str:
    info = fabric(nvml, handle)
    if int(info.state) != nvml.NVML_GPU_FABRIC_STATE_COMPLETED:
        raise codes.FieldError("not_ready")  # asked again
    return str(info.cliqueId)


GPU_FACTS: tuple[Fact, ...] = (
    _text("hw.model", "nvmlDeviceGetName"),
    _text("hw.serial_number", "nvmlDeviceGetSerial"),
    _text("hw.firmware_version", "nvmlDeviceGetVbiosVersion"),
    _text("gpu.board.part_number", "nvmlDeviceGetBoardPartNumber"),
    Fact("gpu.pci.address", "nvmlDeviceGetPciInfo_v3", _pci_address),
    Fact("gpu.minor", "nvmlDeviceGetMinorNumber", _minor),
    Fact("gpu.numa.node", "nvmlDeviceGetMemoryAffinity", _numa_node),
    Fact("gpu.architecture", "nvmlDeviceGetArchitecture", _architecture),
    Fact("gpu.compute_capability", "nvmlDeviceGetCudaComputeCapability", _compute_capability),
    Fact("gpu.mig.mode.pending", "nvmlDeviceGetMigMode", _pending_mig, changes=True),
    Fact("gpu.ecc.mode", "nvmlDeviceGetEccMode", _ecc, changes=True),
    _named("gpu.compute_mode", "nvmlDeviceGetComputeMode", _COMPUTE_MODES),
    _named("gpu.persistence_mode", "nvmlDeviceGetPersistenceMode", _SWITCH),
    _named("gpu.virtualization_mode", "nvmlDeviceGetVirtualizationMode", _VIRTUALIZATION_MODES),
    Fact("gpu.confidential_computing", "nvmlSystemGetConfComputeState", _confidential, changes=True),
    Fact("gpu.fabric.cluster.uuid", "nvmlDeviceGetGpuFabricInfoV", _cluster, changes=True),
    Fact("gpu.fabric.clique", "nvmlDeviceGetGpuFabricInfoV", _clique, changes=True),
)


def _cuda_version(nvml: Nvml, _: Handle) -> str:
    version = _below(1_000_000, nvml.nvmlSystemGetCudaDriverVersion_v2())  # 13010 is 13.1
    return f"{version // 1000}.{version % 1000 // 10}"


_DRIVER_VERSION: Callable[[Nvml, Handle], str] = lambda nvml, _: codes.text(nvml.nvmlSystemGetDriverVersion())  # noqa: E731  # as the other facts

# What describes the driver, and so stands on every GPU alike.
DRIVER_FACTS: tuple[Fact, ...] = (
    Fact("hw.driver_version", "nvmlSystemGetDriverVersion", _DRIVER_VERSION),
    Fact("gpu.cuda.version", "nvmlSystemGetCudaDriverVersion_v2", _cuda_version),
)
