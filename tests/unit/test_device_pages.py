# SPDX-License-Identifier: Apache-2.0
"""From the compiled library to the page: what uses a GPU, what is left out, and what the reading costs."""

from dataclasses import replace
from pathlib import Path

import pytest

from fakenvml.build import build
from fakenvml.driver import Driver
from fakenvml.fakenvml import GIB, Gpu, Instance, Node, Process, Vgpu
from inferometer.app import Pipeline
from inferometer.config import Config, load
from inferometer.views.prometheus import Exposition

SHARED = Gpu("GPU-0", minor=0, mig=1, instances=(Instance("MIG-1", processes=(Process("compute", 11, 2 * GIB),)),))
HOST = Gpu(
    "GPU-1",
    minor=1,
    pci="00000000:5E:00.0",
    virtualization=3,
    processes=(Process("mps", 21, None, sm=30), Process("compute", 22, 5 * GIB, sm=20)),
    vgpus=(Vgpu(101, "vgpu-1", memory=1 * GIB, sm=11),),
    vgpu_type={(1105, "name"): "NVIDIA A40-8Q", (1105, "memory"): 8 * GIB},
)
LEFT_OUT = Gpu("GPU-2", minor=2, pci="00000000:9E:00.0")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A driver with a GPU in MIG mode, a vGPU host, and a GPU that is to be left alone."""
    driver = Driver(tmp_path, build(tmp_path))
    monkeypatch.setenv("FAKENVML", str(driver.text))
    driver.is_now(Node((SHARED, HOST, LEFT_OUT)))
    return driver


def config(driver: Driver) -> Config:
    """Read these GPUs and nothing else."""
    return load(
        None,
        {
            "INFEROMETER_DEVICES__NVIDIA__LIBRARY": str(driver.library),
            "INFEROMETER_DEVICES__NVIDIA__DEADLINE": "30s",
            "INFEROMETER_DEVICES__NVIDIA__EXCLUDE": "['0000:9e:00.0']",
            "INFEROMETER_DEVICES__NVIDIA__PROCESS_SERIES": "true",
            "INFEROMETER_DEVICES__NVIDIA__SLOW_PERIOD": "100ms",
            "INFEROMETER_DEVICES__KERNEL_LOG__ENABLED": "false",
            "INFEROMETER_IDENTITY__PODRESOURCES__ENABLED": "false",
            "INFEROMETER_ENGINES__ENABLED": "false",
            "INFEROMETER_PERIOD": "5s",
        },
    )


def page(pipeline: Pipeline) -> list[str]:
    """Give the lines of the next page."""
    return Exposition().render(pipeline.step(patience=60), openmetrics=True).decode().splitlines()


def test_who_uses_a_gpu_is_on_the_page(driver: Driver) -> None:
    """Processes of GPUs and instances, vGPUs, excluded GPUs and the driver's costs come out as they went in, once each."""
    pipeline = Pipeline(config(driver), {})
    try:
        lines = page(pipeline)
    finally:
        pipeline.close()

    instance = 'hw_id="MIG-1",gpu_index="0",hw_parent="GPU-0",gpu_mig_profile="1g.10gb"'
    host = 'hw_id="GPU-1",gpu_index="1"'
    vgpu = 'hw_id="vgpu-1",gpu_index="1",hw_parent="GPU-1"'
    for line in (
        f'gpu_processes{{{instance},gpu_process_type="compute"}} 1.0',
        f'gpu_processes{{{instance},gpu_process_type="graphics"}} 0.0',
        f'gpu_processes{{{host},gpu_process_type="mps"}} 1.0',
        f'gpu_processes{{{host},gpu_process_type="compute"}} 1.0',
        f'gpu_process_memory_usage_bytes{{{instance},gpu_process_type="compute",process_pid="11"}} {2.0 * GIB}',
        f'gpu_process_memory_usage_bytes{{{host},gpu_process_type="compute",process_pid="22"}} {5.0 * GIB}',
        f"gpu_vgpu_memory_usage_bytes{{{vgpu}}} {1.0 * GIB}",
        f"gpu_vgpu_memory_limit_bytes{{{vgpu}}} {8.0 * GIB}",
        'gpu_devices{hw_model="NVIDIA H100 80GB HBM3",gpu_state="excluded"} 1.0',
        'inferometer_driver_calls_total{inferometer_driver_call="nvmlDeviceGetActiveVgpus"} 1.0',
    ):
        assert lines.count(line) == 1, line
    told = "\n".join(lines)
    assert 'gpu_vgpu_type="NVIDIA A40-8Q"' in told
    assert 'inferometer_driver_call_time_seconds_total{inferometer_driver_call="nvmlDeviceGetActiveVgpus"}' in told
    assert 'inferometer_driver_field_latency_seconds{inferometer_driver_field="NVML_FI_DEV_POWER_INSTANT"}' in told
    assert "GPU-2" not in told


def test_single_processes_are_not_on_the_page_by_default(driver: Driver) -> None:
    """Without being asked for, processes are counted, and have no series of their own."""
    asked = config(driver)
    nvidia = replace(asked.devices.nvidia, process_series=False)
    pipeline = Pipeline(replace(asked, devices=replace(asked.devices, nvidia=nvidia)), {})
    try:
        lines = page(pipeline)
    finally:
        pipeline.close()

    assert not [line for line in lines if line.startswith("gpu_process_")]
    assert len([line for line in lines if line.startswith("gpu_processes{")]) == 6
