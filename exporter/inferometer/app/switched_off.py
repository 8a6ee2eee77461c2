# SPDX-License-Identifier: Apache-2.0
"""What the configuration switches off, what is lost by it, and which access of the agent's would bring it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from inferometer.app.finding import Finding
from inferometer.config import Config
from inferometer.sources.identity import pods

_STATUS = Path("/proc/self/status")
_SYS_ADMIN = 1 << 21  # linux/capability.h


def switched_off(config: Config, environ: Mapping[str, str], status: Path = _STATUS) -> tuple[Finding, ...]:
    """Name every source that nobody asks, though something of this node would want it.

    `status` is what the kernel tells of this process (proc_pid_status(5)).
    """
    return (*_devices(config, status), *_identity(config, environ))


def _devices(config: Config, status: Path) -> Iterator[Finding]:
    nvidia = config.devices.nvidia
    if not nvidia.enabled:
        yield Finding("nvidia", "off", "switched off", "Set devices.nvidia.enabled.")
        return
    if not _is_admin(status):
        yield Finding(
            "mig",
            "off",
            "no right to it: of a GPU in MIG mode its memory as a whole and its processes are not told; its instances are",
            "Give the agent the capability SYS_ADMIN, and NVIDIA_MIG_MONITOR_DEVICES=all: the chart's gpuAccess.migMonitor.",
        )
    if not config.devices.kernel_log.enabled:
        yield Finding(
            "kernel_log",
            "off",
            "switched off: XIDs that NVML does not tell, or no more when the driver hangs, and SXIDs are not counted",
            "Set devices.kernel_log.enabled, and mount /dev/kmsg into a privileged container: the chart's hostAccess.kernelLog.",
        )
    if nvidia.processes and not config.identity.processes.enabled:
        yield Finding(
            "cgroups",
            "off",
            "switched off: whose each process on a GPU is is not known, and what pods share is divided without it",
            "Set identity.processes.enabled, and hostPID on the agent's pod: the chart's hostAccess.processes.",
        )


def _is_admin(status: Path) -> bool:
    """Tell whether this process has CAP_SYS_ADMIN, as far as that is told."""
    try:
        told = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        return bool(int(told["CapEff"], 16) & _SYS_ADMIN)
    except (OSError, KeyError, ValueError):
        return True


def _identity(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    identity = config.identity
    if not identity.podresources.enabled:
        yield Finding(
            "podresources",
            "off",
            "switched off: nobody tells who holds which device",
            "Set identity.podresources.enabled.",
        )
    if not pods.wanted(identity.pods, environ):
        is_off = identity.pods.source == "off"
        reason = "switched off" if is_off else "there is no Pods socket of a kubelet, and no API server is given"
        yield Finding(
            "pods",
            "off",
            f"{reason}: owners are known by namespace and name only",
            "Run in a cluster with a service account that may list and watch pods (the chart's rbac.tier: node), or set "
            "identity.pods.server.",
        )
    if not identity.podresources.enabled:
        return  # no claim is heard of
    if identity.claims.source == "off":
        yield Finding(
            "claims",
            "off",
            "switched off: of a device that a claim brings, its holder's role is unknown: who only observes is not told "
            "from who owns",
            "Set identity.claims.source, and the right to get resourceclaims: the chart's rbac.tier: node+claims.",
        )
    if not identity.slices.enabled:
        yield Finding(
            "slices",
            "off",
            "switched off: what the devices of claims are is known of NVIDIA's driver only, by their names",
            "Set identity.slices.enabled, and the right to list resourceslices: the chart's rbac.tier: node+claims.",
        )
