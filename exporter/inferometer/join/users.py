# SPDX-License-Identifier: Apache-2.0
"""Who uses the GPUs, on the points: processes, where they are asked for, and vGPUs."""

from collections.abc import Mapping, Sequence

from inferometer import catalog
from inferometer.join.attributes import device_attributes
from inferometer.join.sheet import Sheet
from inferometer.model import Device, Process, Vgpu


def put_processes(sheet: Sheet, listed: Sequence[Device], processes: Sequence[Process]) -> None:
    """Put what each process uses; how many there are is the source's reading."""
    devices = {device.uuid: device for device in listed}
    for process in processes:
        if process.device not in devices:
            continue
        attributes = {
            **device_attributes(process.device, devices[process.device]),
            catalog.PROCESS_TYPE.key: process.kind,
            catalog.PROCESS_ID.key: str(process.pid),
        }
        if process.memory is not None:
            sheet.put(catalog.PROCESS_MEMORY_USAGE, attributes, float(process.memory), at=process.at)
        if process.busy is not None:
            sheet.put(catalog.PROCESS_UTILIZATION, attributes, process.busy, at=process.at)


def put_vgpus(sheet: Sheet, listed: Sequence[Device], vgpus: Sequence[Vgpu]) -> None:
    """Put what each vGPU is and uses, with the GPU that carries it as its parent."""
    gpus = {device.uuid: device for device in listed if not device.is_instance}
    for vgpu in vgpus:
        if vgpu.parent not in gpus:
            continue
        attributes: Mapping[str, str | None] = {
            catalog.HW_ID.key: vgpu.uuid,
            catalog.GPU_INDEX.key: str(gpus[vgpu.parent].index),
            catalog.HW_PARENT.key: vgpu.parent,
        }
        described = {**attributes, catalog.VGPU_TYPE.key: vgpu.type, catalog.VGPU_VM.key: vgpu.vm}
        sheet.put(catalog.VGPU_INFO, described, 1.0, at=vgpu.at)
        if vgpu.memory is not None:
            sheet.put(catalog.VGPU_MEMORY_USAGE, attributes, float(vgpu.memory), at=vgpu.at)
        if vgpu.memory_limit is not None:
            sheet.put(catalog.VGPU_MEMORY_LIMIT, attributes, float(vgpu.memory_limit), at=vgpu.at)
        for task, share in vgpu.busy.items():
            sheet.put(catalog.VGPU_UTILIZATION, {**attributes, catalog.HW_GPU_TASK.key: task}, share, at=vgpu.at)
