# SPDX-License-Identifier: Apache-2.0
"""The chart's switches that give the agent access to something: what each costs, what it buys, and what is missing without."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Values = Mapping[str, Any]

_NO_GPUS: Values = {"gpuAccess.mode": "none", "config.devices.nvidia.enabled": False}
_CONTROL = "`/run/inferometer`, read-only"  # where a file has the agent let go of the driver


class Switch(NamedTuple):
    """One access of the agent's.

    `on` and `off` are the chart's values with it and without it, by their keys, each over `beside`; `costs` is what a render
    of the one has and the other has not. `metrics` are names of the catalogue, or their beginning and `*`; `sources` name
    those who read metrics, by their bindings.
    """

    value: str
    on: Values
    off: Values
    costs: tuple[str, ...]
    buys: str
    without: str
    metrics: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    beside: Values = MappingProxyType({})


DEFAULTS = (
    Switch(
        value="gpuAccess.mode: runtimeClass",
        on={},
        off=_NO_GPUS,
        costs=("the runtime class `nvidia`", _CONTROL),
        buys="NVIDIA GPUs and MIG instances",
        without="zero devices; ownership and engines go on",
        sources=("nvml",),
    ),
    Switch(
        value="config.identity.podresources.enabled: true",
        on={},
        off={"config.identity.podresources.enabled": False},
        beside={"rbac.tier": "node"},
        costs=("`/var/lib/kubelet/pod-resources`, read-only",),
        buys="who holds which device; user 0, because the socket is root's",
        without="nobody owns anything: a device's series are all there is",
        metrics=("gpu.owner.*",),
    ),
    Switch(
        value="config.identity.pods.source: auto",
        on={},
        off={"config.identity.pods.source": "off"},
        beside={"rbac.tier": "local"},
        costs=("`/var/lib/kubelet/pods-api`, read-only",),
        buys="from Kubernetes 1.37 on, this node's pods without the API server: UID, workload, team, and the engines in them",
        without="the API server tells, or nobody: then an owner has a namespace and a name, and engines are those of "
        "`config.engines.targets`",
        metrics=("inference.*", "gen_ai.server.*"),
    ),
    Switch(
        value="rbac.tier: node",
        on={"rbac.tier": "node"},
        off={"rbac.tier": "local"},
        costs=("`list` and `watch` on pods", "a token of the service account"),
        buys="the same from the API server, before 1.37 too",
        without="the kubelet's Pods socket tells, where there is one",
        metrics=("inference.*", "gen_ai.server.*"),
    ),
    Switch(
        value="rbac.tier: node+claims",
        on={},
        off={"rbac.tier": "node"},
        costs=("`get` on resourceclaims", "`list` on resourceslices"),
        buys="of devices that come by a claim: `role`, which tells who observes from who owns, request, share and capacity, and "
        "what another driver's devices are",
        without="such holders have the role `unknown`; only NVIDIA's devices are known, by their names",
        metrics=("gpu.owner.*",),
    ),
)

OFF = (
    Switch(
        value="gpuAccess.mode: dra",
        on={"gpuAccess.mode": "dra"},
        off=_NO_GPUS,
        costs=("a claim with admin access to every `gpu.nvidia.com` of the node", _CONTROL),
        buys="what the runtime class buys, by NVIDIA's DRA driver",
        without="the runtime class brings the driver",
        sources=("nvml",),
    ),
    Switch(
        value="gpuAccess.mode: hostPath",
        on={"gpuAccess.mode": "hostPath"},
        off=_NO_GPUS,
        costs=("a privileged container", "`/dev`, read-only", "`/run/nvidia/driver`, read-only", _CONTROL),
        buys="the same on nodes without NVIDIA's runtime, and what `gpuAccess.migMonitor` buys",
        without="the runtime class brings the driver",
        sources=("nvml",),
    ),
    Switch(
        value="gpuAccess.migMonitor: true",
        on={"gpuAccess.migMonitor": True},
        off={},
        costs=("the capability SYS_ADMIN",),
        buys="of a GPU in MIG mode, what the driver tells privileged users only: its memory as a whole, its processes",
        without="of such a GPU these are absent; its instances are read",
        metrics=("hw.gpu.memory.usage", "gpu.processes", "gpu.sram.errors.lifetime"),
    ),
    Switch(
        value="gpuAccess.amd: true",
        on={"gpuAccess.amd": True},
        off={},
        costs=("a privileged container", "`/dev/dri`, read-only", "`/dev/kfd`, read-only", "`/opt/rocm`, read-only"),
        buys="AMD's GPUs",
        without="NVIDIA's only",
        sources=("amdsmi",),
    ),
    Switch(
        value="hostAccess.kernelLog: true",
        on={"hostAccess.kernelLog": True},
        off={},
        costs=("a privileged container", "`/dev/kmsg`, read-only"),
        buys="SXIDs, and XIDs that NVML does not tell, or no more when the driver hangs",
        without="XIDs by NVML's events alone",
        sources=("kernel_log",),
    ),
    Switch(
        value="hostAccess.processes: true",
        on={"hostAccess.processes": True},
        off={},
        costs=("the node's processes (hostPID)",),
        buys='whose each process on a GPU is: `attribution="process"` for devices that pods share, and processes that nothing '
        "gave the device to",
        without="what pods share is divided equally, and says so",
        metrics=("gpu.owner.memory.usage", "gpu.owner.utilization", "gpu.owner.sm.activity", "gpu.owner.unallocated"),
    ),
    Switch(
        value="persistence.hostPath: /var/lib/inferometer",
        on={"persistence.hostPath": "/var/lib/inferometer"},
        off={},
        beside={"config.otlp.endpoint": "http://collector:4318"},
        costs=("`/var/lib/inferometer`, written to",),
        buys="the agent's own counters, what waits to be pushed, and how far the kernel's log was read, outlive the pod",
        without="counters that begin at 0 with each pod; a spool in memory, which ends with the process; XIDs of the time between two pods are not counted",
        metrics=("gpu.owner.time", "gpu.owner.energy", "gpu.owner.xid.errors", "inferometer.spool.*", "gpu.xid.errors"),
    ),
    Switch(
        value="config.devices.nvidia.release.annotation",
        on={"config.devices.nvidia.release.annotation": "example.com/release-gpus"},
        off={},
        costs=("`get` and `watch` on nodes",),
        buys="an annotation of its node has the agent let go of the driver",
        without="a file does",
    ),
    Switch(
        value="config.server.auth.token_review: true",
        on={"config.server.auth.token_review": True},
        off={},
        costs=("`create` on subjectaccessreviews", "`create` on tokenreviews"),
        buys="`/metrics` asks the API server whose the token is that it is shown",
        without="certificates and passwords, or whoever reaches the port",
    ),
    Switch(
        value="config.identity.pods.source: kubelet_http",
        on={"config.identity.pods.source": "kubelet_http"},
        off={},
        costs=("`get` on nodes/pods",),
        buys="this node's pods by the kubelet's HTTPS port, in the place of the right to pods",
        without="the socket or the API server tells",
    ),
    Switch(
        value="openshift.enabled: true",
        on={"openshift.enabled": True},
        off={},
        costs=("`use` on securitycontextconstraints", "the SELinux type `spc_t`"),
        buys="on OpenShift, that the pods are admitted at all",
        without="the pods are refused there",
    ),
)
