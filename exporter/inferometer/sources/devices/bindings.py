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
    yield Binding("gpu.xid.errors", "nvmlEventSetWait_v2 (nvmlEventTypeXidCriticalError)", "nvml", mig="gpu")
    yield Binding("gpu.devices", "nvmlDeviceGetCount_v2", "nvml", mig="gpu")


BINDINGS: tuple[Binding, ...] = tuple(_bindings())
