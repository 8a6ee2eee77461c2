# SPDX-License-Identifier: Apache-2.0
"""Processes, vGPUs and the driver's costs on the points."""

from dataclasses import replace

from frames import CONTEXT, NOW, frame, gpu, instance
from inferometer.join import join
from inferometer.model import DeviceReport, Frames, Process, Snapshot, Vgpu

GPU, MIG = gpu(0, mig_enabled=True), instance(0, 0)
REPORT = DeviceReport(
    devices=(GPU, MIG, gpu(1)),
    readings=(),
    processes=(
        Process("MIG-0-0", 11, "compute", memory=1024, at=NOW - 7),
        Process("GPU-1", 12, "mps", memory=None, busy=0.5, at=NOW - 7),
        Process("GPU-gone", 13, "compute", memory=1),
    ),
    vgpus=(
        Vgpu("vgpu-1", "GPU-1", "NVIDIA A40-4Q", "vm", memory=1, memory_limit=2, busy={"general": 0.25}, at=NOW - 7),
        Vgpu("vgpu-2", "GPU-gone"),
    ),
    calls={"nvmlDeviceGetUUID": (7, 0.001)},
    fields={"NVML_FI_DEV_POWER_INSTANT": 3e-6},
)


def joined(*, process_series: bool) -> Snapshot:
    """Join a report."""
    frames = Frames(NOW, NOW, (), (frame("nvidia", REPORT),), ages={("nvidia", ""): 0.0})
    return join(frames, replace(CONTEXT, process_series=process_series))


def points(snapshot: Snapshot, root: str) -> dict[tuple[str, ...], float]:
    """Give the points of some metrics by name and attribute values."""
    return {
        (point.metric.name, *(value for value in point.attributes if value)): point.value
        for point in snapshot.points
        if point.metric.name.startswith(root) and isinstance(point.value, float)
    }


def test_single_processes_are_off_by_default() -> None:
    """Series of single processes are published where they are asked for, of devices that are there."""
    assert points(joined(process_series=False), "gpu.process.") == {}
    snapshot = joined(process_series=True)
    assert points(snapshot, "gpu.process.") == {
        ("gpu.process.memory.usage", "MIG-0-0", "0", "GPU-0", "1g.12gb", "compute", "11"): 1024.0,
        ("gpu.process.utilization", "GPU-1", "1", "mps", "12"): 0.5,
    }
    assert {p.at for p in snapshot.points if p.metric.name.startswith("gpu.process.")} == {NOW - 7}


def test_a_vgpu_is_a_thing_of_its_own() -> None:
    """A vGPU has its UUID as its identity and its GPU as its parent; one of a GPU that is gone is left out."""
    assert points(joined(process_series=False), "gpu.vgpu.") == {
        ("gpu.vgpu.info", "vgpu-1", "1", "GPU-1", "NVIDIA A40-4Q", "vm"): 1.0,
        ("gpu.vgpu.utilization", "vgpu-1", "1", "GPU-1", "general"): 0.25,
        ("gpu.vgpu.memory.usage", "vgpu-1", "1", "GPU-1"): 1.0,
        ("gpu.vgpu.memory.limit", "vgpu-1", "1", "GPU-1"): 2.0,
    }


def test_the_drivers_costs_are_published() -> None:
    """Calls and their time are counters by function, latencies are gauges by field."""
    assert points(joined(process_series=False), "inferometer.driver.") == {
        ("inferometer.driver.calls", "nvmlDeviceGetUUID"): 7.0,
        ("inferometer.driver.call.time", "nvmlDeviceGetUUID"): 0.001,
        ("inferometer.driver.field.latency", "NVML_FI_DEV_POWER_INSTANT"): 3e-6,
    }
