# SPDX-License-Identifier: Apache-2.0
"""Which metric is read with which NVML call: the rows of the reference page, made from the table of calls."""

from collections.abc import Iterator
from types import MappingProxyType

from inferometer.model import Binding
from inferometer.sources.devices import calls


def _bindings() -> Iterator[Binding]:
    for rows, mig in ((calls.GPU_ROWS, "gpu"), (calls.INSTANCE_ROWS, "instance")):
        for row in rows:
            for quantity in row.gives:
                for way in row.ways:
                    call = f"{way.call} ({way.field})" if way.field else way.call
                    where = "not while MIG is on" if row.without_mig else mig
                    yield Binding(
                        quantity.metric,
                        call,
                        "nvml",
                        MappingProxyType(dict(quantity.attributes)),
                        row.architecture,
                        where,
                    )
    for fact in (*calls.GPU_FACTS, *calls.DRIVER_FACTS):
        yield Binding("gpu.info", fact.call, "nvml", mig="gpu")
    for call in ("nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId", "nvmlGpuInstanceGetInfo"):
        yield Binding("gpu.mig.info", call, "nvml", architecture="ampere", mig="instance")
    for metric in ("gpu.xid.errors", "gpu.xid.events", "gpu.xid.last.time"):
        yield Binding(metric, "nvmlEventSetWait_v2 (nvmlEventTypeXidCriticalError)", "nvml", mig="gpu")
        yield Binding(metric, "NVRM: Xid", "kernel_log", mig="gpu")
    yield Binding("gpu.nvswitch.sxid.errors", "SXid", "kernel_log")
    yield Binding("gpu.devices", "nvmlDeviceGetCount_v2", "nvml", mig="gpu")
    yield from _users()
    yield Binding("inferometer.driver.calls", "every call", "nvml")
    yield Binding("inferometer.driver.call.time", "every call", "nvml")
    yield Binding("inferometer.driver.field.latency", f"{calls.FIELDS_CALL} (latencyUsec)", "nvml")


def _users() -> Iterator[Binding]:
    """Give the bindings of processes, by the kinds of their lists, and of vGPUs."""
    for kind, call in calls.LISTS:
        kinds = MappingProxyType({"gpu.process.type": kind})
        for metric in ("gpu.processes", "gpu.process.memory.usage"):
            yield Binding(metric, call, "nvml", kinds, mig="both")
    for call in calls.SHARES:
        yield Binding("gpu.process.utilization", call, "nvml", mig="not while MIG is on")
    for metric, bound in (
        ("gpu.vgpu.info", ("nvmlDeviceGetActiveVgpus", "nvmlVgpuInstanceGetUUID", "nvmlVgpuInstanceGetVmID")),
        ("gpu.vgpu.info", ("nvmlVgpuInstanceGetType", "nvmlVgpuTypeGetName")),
        ("gpu.vgpu.utilization", ("nvmlDeviceGetVgpuInstancesUtilizationInfo", "nvmlDeviceGetVgpuUtilization")),
        ("gpu.vgpu.memory.usage", ("nvmlVgpuInstanceGetFbUsage",)),
        ("gpu.vgpu.memory.limit", ("nvmlVgpuTypeGetFramebufferSize",)),
    ):
        for call in bound:
            yield Binding(metric, call, "nvml", mig="gpu")


BINDINGS: tuple[Binding, ...] = tuple(_bindings())
