# SPDX-License-Identifier: Apache-2.0
"""What the source reports: the parts of which nothing has changed are the very same from one report to the next."""

from fakenvml.driver import Driver, Open, Tuned
from fakenvml.fakenvml import Fault, Gpu, Instance, Node

STABLE = (
    "devices",
    "unsupported",
    "unresponsive",
    "details",
    "failed",
    "excluded",
    "calls",
    "fields",
    "restarts",
    "linked",
)


def test_what_a_gpu_is_is_told_when_it_changes(driver: Driver, opened: Open) -> None:
    """Reads that tell nothing new leave the devices as they are; a mode that is switched, and a new instance, are seen."""
    driver.is_now(Node((Gpu("GPU-0"),)))
    source = opened()
    first, second = source.read(), source.read()
    driver.is_now(Node((Gpu("GPU-0", mig=1, instances=(Instance("MIG-1"),)),)))
    third = source.read()

    assert first.devices[0] is second.devices[0]
    assert first.unsupported == second.unsupported
    assert [device.uuid for device in third.devices] == ["GPU-0", "MIG-1"]
    assert third.devices[0].mig_enabled


def test_what_does_not_change_is_the_very_same(driver: Driver, opened: Open) -> None:
    """Two reports of GPUs of which nothing but numbers moves share all their other parts, and the readings that stand."""
    driver.is_now(Node((Gpu("GPU-0"), Gpu("GPU-1", mig=1, instances=(Instance("MIG-1"),)))))
    source = opened()
    source.read()
    first, second = source.read(), source.read()

    for part in (*STABLE, "processes", "vgpus", "events"):
        assert getattr(first, part) is getattr(second, part), part
    stand = {id(reading) for reading in first.readings} & {id(reading) for reading in second.readings}
    assert len(stand) > len(first.readings) / 2


def test_a_call_that_fails_for_a_while_is_told_while_it_fails(driver: Driver, tuned: Tuned) -> None:
    """What failed is told when that changes, and is in every report between."""
    sound = Node((Gpu("GPU-0"),))
    driver.is_now(Node(sound.gpus, faults=(Fault("error", "gpu0", "nvmlDeviceGetTotalEnergyConsumption", 999),)))
    source = tuned()
    failing = [{u.metric for u in source.read().failed} for _ in range(3)]
    driver.is_now(sound)

    assert failing == [{"hw.energy"}] * 3
    assert [source.read().failed for _ in range(2)] == [(), ()]
