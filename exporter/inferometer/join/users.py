# SPDX-License-Identifier: Apache-2.0
"""Who uses the GPUs, on the points: processes, where they are asked for, and vGPUs."""

from collections.abc import Mapping

from inferometer import catalog
from inferometer.join.attributes import device_attributes
from inferometer.join.draft import Draft
from inferometer.model import DeviceReport


def put_processes(draft: Draft, report: DeviceReport) -> None:
    """Put what each process uses; how many there are is the source's reading."""
    devices = {device.uuid: device for device in report.devices}
    for process in report.processes:
        if process.device not in devices:
            continue
        attributes = {
            **device_attributes(process.device, devices[process.device]),
            catalog.PROCESS_TYPE.key: process.kind,
            catalog.PROCESS_ID.key: str(process.pid),
        }
        if process.memory is not None:
            draft.put(catalog.PROCESS_MEMORY_USAGE, attributes, float(process.memory), at=process.at)
        if process.busy is not None:
            draft.put(catalog.PROCESS_UTILIZATION, attributes, process.busy, at=process.at)


def put_vgpus(draft: Draft, report: DeviceReport) -> None:
    """Put what each vGPU is and uses, with the GPU that carries it as its parent."""
    gpus = {device.uuid: device for device in report.devices if not device.is_instance}
    for vgpu in report.vgpus:
        if vgpu.parent not in gpus:
            continue
        attributes: Mapping[str, str | None] = {
            catalog.HW_ID.key: vgpu.uuid,
            catalog.GPU_INDEX.key: str(gpus[vgpu.parent].index),
            catalog.HW_PARENT.key: vgpu.parent,
        }
        described = {**attributes, catalog.VGPU_TYPE.key: vgpu.type, catalog.VGPU_VM.key: vgpu.vm}
        draft.put(catalog.VGPU_INFO, described, 1.0, at=vgpu.at)
        if vgpu.memory is not None:
            draft.put(catalog.VGPU_MEMORY_USAGE, attributes, float(vgpu.memory), at=vgpu.at)
        if vgpu.memory_limit is not None:
            draft.put(catalog.VGPU_MEMORY_LIMIT, attributes, float(vgpu.memory_limit), at=vgpu.at)
        for task, share in vgpu.busy.items():
            draft.put(catalog.VGPU_UTILIZATION, {**attributes, catalog.HW_GPU_TASK.key: task}, share, at=vgpu.at)
