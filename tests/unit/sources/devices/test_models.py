# SPDX-License-Identifier: Apache-2.0
"""Every value of GPUs of four generations, as a person has looked at it: from the compiled library to readings.

`INFEROMETER_UPDATE_GOLDENS=1` writes the goldens anew.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fakenvml import models
from fakenvml.driver import Driver, Open
from fakenvml.fakenvml import Gpu, Instance, Node
from inferometer.model import DeviceReport

GOLDENS = Path(__file__).parents[3] / "golden" / "devices"

H100 = Gpu("GPU-h100")
MIG = replace(
    H100,
    uuid="GPU-mig",
    mig=1,
    instances=(
        Instance("MIG-1", gi=7, ecc={(1, 0, 7): 2}),
        None,
        Instance("MIG-2", name="NVIDIA H100 80GB HBM3 MIG 3g.40gb", gi=2),
    ),
)
NODES = {
    "h100": (H100,),
    "h100_mig": (MIG,),
    "a100": (models.a100("GPU-a100"),),
    "a100_mig": (
        models.a100("GPU-a100", (Instance("MIG-1", name="NVIDIA A100-SXM4-80GB MIG 1g.10gb", gpm={}),), mig=1),
    ),
    "gb200": (models.blackwell("GPU-gb200"),),
    "t4": (models.t4("GPU-t4"),),
}


def shown(report: DeviceReport) -> str:
    """Give what a report says, line by line: values, what describes, what is unsupported."""
    lines = []
    for device in report.devices:
        facts = {**device.details, "profile": device.profile, "sms": device.multiprocessors}
        lines += [f"{device.uuid} is {key} {value}" for key, value in sorted(facts.items()) if value is not None]
    for reading in report.readings:
        attributes = ",".join(f"{key}={value}" for key, value in reading.attributes)
        lines.append(f"{reading.subject} {reading.metric.name}{{{attributes}}} {reading.value!r}")
    lines += sorted({f"{u.device} has no {u.metric}: {u.call}: {u.reason}" for u in report.unsupported})
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", NODES)
def test_every_value_of_a_gpu_is_as_reviewed(driver: Driver, opened: Open, name: str) -> None:
    """The readings of each model, what it does not support and why, are those that a person has looked at."""
    node = Node(NODES[name])
    driver.is_now(node)
    source = opened()
    source.read()
    newer: dict[int, tuple[int, ...]] = {0: (301_000, 455_000), 1: (55, 97)}
    driver.is_now(replace(node, gpus=tuple(replace(gpu, samples={**gpu.samples, **newer}) for gpu in node.gpus)))

    time.sleep(0.15)  # two GPM samples are at least 0.1 s apart
    report = source.read()

    assert report.failed == ()
    golden = GOLDENS / f"{name}.golden"
    if os.environ.get("INFEROMETER_UPDATE_GOLDENS"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(shown(report))
    assert shown(report) == golden.read_text()
