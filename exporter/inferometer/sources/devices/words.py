# SPDX-License-Identifier: Apache-2.0
"""How a vendor's driver is spoken of, and what its sampler means that gives up."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.model import Reason, Trouble
from inferometer.sources.devices import library


class Words(NamedTuple):
    """The words of one vendor.

    `first` is the call that a GPU of which nothing is known has refused; `fatal` has what a sampler says that gives up, what
    that is, and the remedy; `see` is where to look for what is not in there.
    """

    source: str
    vendor: str
    api: str
    first: str
    fatal: Mapping[str, tuple[Reason, str, str]]
    install: str
    see: str

    def gave_up(self, reason: str) -> Trouble:
        """Say what a sampler means that gives up: a reason, and what may follow it after a colon."""
        known = reason.split(":", 1)[0]
        if known in self.fatal:
            why, message, remedy = self.fatal[known]
            return Trouble(why, message + reason.removeprefix(known), remedy)
        return Trouble(Reason.REJECTED, f"{self.api} cannot be opened: {reason}", self.see)


_INSTALL = "Without NVIDIA GPUs this is normal. Else install the driver, or set devices.nvidia.library to the path of libnvidia-ml.so.1."
NVIDIA = Words(
    source="nvidia",
    vendor="NVIDIA",
    api="NVML",
    first="nvmlDeviceGetHandleByIndex_v2",
    fatal={
        "library_not_found": (Reason.MISSING, f"{library.NAME} was not found", _INSTALL),
        "driver_not_loaded": (Reason.MISSING, "the NVIDIA kernel driver is not loaded", _INSTALL),
        "uninitialized": (Reason.REJECTED, "NVML was shut down under the sampler", "It is opened anew."),
        "lib_rm_version_mismatch": (
            Reason.REJECTED,
            "the NVIDIA kernel driver and its library differ in version",
            "Finish the driver upgrade: reload the kernel modules or restart the node.",
        ),
        "no_permission": (Reason.PERMISSION, "NVML refuses to be opened", "Give the agent access to /dev/nvidiactl."),
        "operating_system": (
            Reason.PERMISSION,
            "the system blocks the NVIDIA devices",
            "Allow /dev/nvidia* in the container's device cgroup.",
        ),
    },
    install=_INSTALL,
    see="See the driver's log: dmesg | grep NVRM.",
)

_INSTALL_AMD = "Without AMD GPUs switch devices.amd off. Else install ROCm's amd-smi-lib, or set devices.amd.rocm to where ROCm is installed."
AMD = Words(
    source="amd",
    vendor="AMD",
    api="AMD SMI",
    first="amdsmi_get_gpu_device_uuid",
    fatal={
        "binding_not_found": (
            Reason.MISSING,
            "the Python package amdsmi is not installed",
            "Install inferometer[amd], or the package that came with ROCm.",
        ),
        "library_not_found": (Reason.MISSING, "libamd_smi.so was not found", _INSTALL_AMD),
        "driver_not_loaded": (Reason.MISSING, "the amdgpu kernel driver is not loaded", _INSTALL_AMD),
        "uninitialized": (Reason.REJECTED, "AMD SMI was shut down under the sampler", "It is opened anew."),
        "lib_rm_version_mismatch": (
            Reason.REJECTED,
            "the Python package amdsmi and libamd_smi.so differ in version",
            "Install the release of the package that fits the ROCm on the node.",
        ),
        "no_permission": (
            Reason.PERMISSION,
            "AMD SMI refuses to be opened",
            "Give the agent access to /dev/kfd and /dev/dri.",
        ),
    },
    install=_INSTALL_AMD,
    see="See the driver's log: dmesg | grep amdgpu.",
)
