# SPDX-License-Identifier: Apache-2.0
"""Captures in tests: a story that the tests' NVML library plays, and the source on a recording or a replay.

`python tests/captures.py DIR` records the story into a directory: the derived fixtures were made so.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fakenvml.build import build
from fakenvml.fakenvml import Fault, Gpu, Instance, Node, Process, Xid
from inferometer.config import Nvidia as Settings
from inferometer.config import Seconds
from inferometer.model import DeviceReport
from inferometer.sources.devices.captures import files
from inferometer.sources.devices.nvidia import Nvidia

# As real ones look, and nobody's.
WHOLE = "GPU-1aa1b2c3-1d2e-4f3a-8b4c-0d5e6f708192"
SPLIT = "GPU-2bb1b2c3-1d2e-4f3a-8b4c-0d5e6f708192"
FIRST = "MIG-3cc1b2c3-1d2e-5f3a-8b4c-0d5e6f708192"
SECOND = "MIG-4dd1b2c3-1d2e-5f3a-8b4c-0d5e6f708192"
SERIALS = ("1650522000123", "1650522000456")
PIDS = (1_234_567, 7_654)
_UNKNOWN = 999
APART = 0.12  # seconds between two rounds: GPM takes no samples that are closer


def story() -> Iterator[Node]:
    """Tell what the driver answers, round by round: a whole GPU and one in MIG mode, XIDs, calls that fail and work again."""
    processes = (Process("compute", PIDS[0], 4 << 30, sm=40, mem=20), Process("compute", PIDS[1], 1 << 30, sm=3))
    whole = Gpu(WHOLE, serial=SERIALS[0], energy=1_000_000, processes=processes)
    split = Gpu(SPLIT, serial=SERIALS[1], pci="00000000:5B:00.0", minor=1, mig=1)
    first = Instance(FIRST, gi=7, memory_used=2 << 30, processes=processes[1:])
    second = Instance(SECOND, gi=9, name="NVIDIA H100 80GB HBM3 MIG 2g.20gb", profile_id=14, placement=2, slices=2)
    both = replace(split, instances=(None, first, second))
    yield Node((whole, both))
    yield Node((replace(whole, energy=1_350_000, utilization=90), both))
    failing = (
        Fault("error", "gpu0", "nvmlDeviceGetTotalEnergyConsumption", _UNKNOWN),
        Fault("error", "gpu0.mig1", "nvmlDeviceGetMemoryInfo_v2", _UNKNOWN),
        Fault("error", "gpu1", "nvmlDeviceGetEnforcedPowerLimit", _UNKNOWN),
    )
    xids = (Xid(0, 31, 1), Xid(0, 31, 2), Xid(1, 43, 1, (9, 0)))
    yield Node((replace(whole, energy=1_700_000), both), failing, xids)
    yield Node((replace(whole, energy=2_050_000), replace(split, instances=(None, None, second))), xids=xids)
    yield Node((replace(whole, energy=2_400_000, temperature=64), replace(split, instances=(None, None, second))))


def recording(directory: Path, library: Path, deadline: float = 10.0) -> Nvidia:
    """Open a source that records."""
    files.prepare(directory)
    argument = {
        "path": str(directory / files.PART),
        "began": time.monotonic(),
        "key": os.urandom(32).hex(),
        "limit": 1 << 26,
        "binding": "pynvml",
    }
    settings = Settings(library=str(library), deadline=Seconds(deadline))
    return Nvidia(settings, 1.0, nvml="inferometer.sources.devices.recording", nvml_argument=json.dumps(argument))


def replaying(directory: Path, *, each: bool = True) -> Nvidia:
    """Open a source that replays, a sample a round."""
    argument = {"directory": str(directory), "began": time.monotonic(), "each": each, "binding": "pynvml"}
    settings = Settings(deadline=Seconds(10))
    return Nvidia(settings, 1.0, nvml="inferometer.sources.devices.replaying", nvml_argument=json.dumps(argument))


def record(directory: Path, library: Path, text: Path) -> list[DeviceReport]:
    """Record the story into a directory; give what the source reported in each round."""
    reports = []
    with closing(recording(directory, library)) as source:
        for node in story():
            node.write(text)
            reports.append(source.read())
            time.sleep(APART)
    facts = {"tool": "tests", "date": "2026-01-01", "gpus": ["NVIDIA H100 80GB HBM3"] * 2, "period": 1.0}
    files.finish(directory, {**facts, "driver": "575.57.08", "cuda": "12.9"})
    return reports


def main() -> None:
    """Record the story."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ.update(FAKENVML=str(work / "node.txt"), FAKENVML_LOG=str(work / "calls.log"))
        record(Path(sys.argv[1]), build(work), work / "node.txt")


if __name__ == "__main__":
    main()
