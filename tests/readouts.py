# SPDX-License-Identifier: Apache-2.0
"""Two GPUs, whole and divided, and what a report says of devices: for the tests of the GPUs' sources."""

from pathlib import Path

from fakenvml.fakenvml import GIB, Gpu, Instance
from inferometer.model import DeviceReport

WHOLE = Gpu("GPU-aaaa", minor=3)
SHARED = Gpu(
    "GPU-bbbb",
    minor=1,
    pci="00000001:5E:00.0",
    mig=1,
    utilization=None,
    instances=(
        Instance("MIG-1111", gi=7, placement=0, memory_used=2 * GIB),
        None,
        Instance(
            "MIG-2222",
            name="NVIDIA H100 80GB HBM3 MIG 3g.40gb",
            gi=2,
            ci=0,
            profile_id=9,
            placement=4,
            memory_total=40 * GIB,
            memory_used=33 * GIB,
            memory_reserved=64 << 20,
        ),
    ),
)


# What an H100 does not support, as `test_models` shows it.
USUAL = {
    tuple(line.removeprefix("GPU-h100 has no ").split(": "))
    for line in (Path(__file__).parent / "golden/devices/h100.golden").read_text().splitlines()
    if " has no " in line
}


NO_PROCESSES = {f"gpu.processes/{kind}": 0.0 for kind in ("compute", "graphics", "mps")}


def refused(report: DeviceReport, *devices: str) -> set[tuple[str, ...]]:
    """Give what devices do not support beyond what is usual: metric, call and reason."""
    found: set[tuple[str, ...]] = {
        (u.metric, u.call, u.reason) for u in report.unsupported if not devices or u.device in devices
    }
    return found - USUAL


def values(report: DeviceReport, uuid: str) -> dict[str, float]:
    """Give a device's readings by metric and attribute values."""
    found = {}
    for reading in report.readings:
        if reading.subject == uuid:
            key = "/".join([reading.metric.name, *(value for _, value in reading.attributes)])
            assert key not in found
            assert isinstance(reading.value, float)
            found[key] = reading.value
    return found
