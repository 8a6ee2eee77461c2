# SPDX-License-Identifier: Apache-2.0
"""The bench of the devices' side compares like with like."""

from bench import densenode, devices
from bench.devices import PROCESSES


def test_each_gpus_processes_are_on_its_instances() -> None:
    """16 processes are spread over 7 instances, each process on one of them, and none is left out."""
    gpu = devices.used(densenode.driver().gpus[0], range(1000, 1000 + PROCESSES))
    counts = [len(instance.processes) for instance in gpu.instances if instance]

    assert sorted(p.pid for i in gpu.instances if i for p in i.processes) == list(range(1000, 1000 + PROCESSES))
    assert len(counts) == densenode.INSTANCES
    assert max(counts) - min(counts) == 1


def test_only_series_of_devices_that_have_a_value_count() -> None:
    """Neither a page's comments count, nor what it says of the host, nor a series that is not a number."""
    page = """# HELP gpu_power_usage_W GPU power usage (W).
gpu_power_usage_W{hostname="n",uuid="GPU-1"} 350.0
gpu_fan_speed_Percentage{hostname="n",uuid="GPU-1"} NaN
host_uptime_Second{hostname="n"} 12.5
"""

    assert devices.series(page, 'uuid="') == 1


def test_shares_are_by_process() -> None:
    """CPU seconds between two moments become percent of a core, for each process of each exporter."""
    shares = devices.shares({1: [1.0, 0.5], 5: [2.0]}, {1: [1.5, 0.75], 5: [2.0]}, took=10.0)

    assert shares == {1: [5.0, 2.5], 5: [0.0]}
