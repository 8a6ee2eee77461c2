# SPDX-License-Identifier: Apache-2.0
"""GPM: two samples kept from read to read, by instance and by GPU, never slept for, never left behind."""

import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pynvml  # noqa: TID251  # its structures only; no driver is called
import pytest

from fakenvml.driver import Driver, Open, wait_until
from fakenvml.fakenvml import Fault, Gpu, Instance, Node
from inferometer.model import DeviceReport
from inferometer.sources.devices import gpm
from inferometer.sources.devices.nvidia import Nvidia

PARENT = Gpu("GPU-a", mig=1, instances=(Instance("MIG-1", gi=7), Instance("MIG-2", gi=3, gpm={2: 80.0, 10: 12.5})))


def activity(report: DeviceReport, metric: str = "sm.activity") -> dict[str, float]:
    """Give who was how busy."""
    found = {r.subject: r.value for r in report.readings if r.metric.name in {f"gpu.{metric}", f"gpu.mig.{metric}"}}
    return {subject: value for subject, value in found.items() if isinstance(value, float)}


_APART = 0.11  # seconds: two samples are far enough apart


def read_after_a_while(source: Nvidia) -> DeviceReport:
    """Read when two samples are far enough apart."""
    time.sleep(_APART)
    return source.read()


def test_a_gpu_and_its_instances_are_measured_apart(driver: Driver, opened: Open) -> None:
    """A GPU in MIG mode and each of its instances have their own activity at once; the first read has only one sample."""
    driver.is_now(Node((PARENT,)))
    source = opened()

    assert activity(source.read()) == {}
    assert activity(read_after_a_while(source)) == {"GPU-a": 0.7625, "MIG-1": 0.38125, "MIG-2": 0.8}
    assert activity(read_after_a_while(source), "dram.activity")["MIG-2"] == 0.125


def test_reads_close_together_never_wait(driver: Driver, opened: Open) -> None:
    """A read that comes within 100 ms of the last sample takes none, and does not sleep until it could."""
    driver.is_now(Node((Gpu("GPU-a"),), trace=True))
    source = opened()
    source.read()

    def samples() -> int:
        return Counter(call for _, call, _ in driver.calls())["nvmlGpmSampleGet"]

    def two_reads() -> tuple[int, float]:
        """Give how many samples two reads took, of which the first may take one; and the seconds from first to last."""
        before, began = samples(), time.monotonic()
        read_after_a_while(source)
        source.read()
        return samples() - before, time.monotonic() - began - _APART

    # On a machine that stalls two reads may be further apart, and the second one right to take a sample.
    pairs = (two_reads() for _ in range(200))
    assert next(taken for taken, took in pairs if took < 0.1) == 1


def test_without_gpm_nothing_is_allocated(driver: Driver, opened: Open) -> None:
    """A GPU before Hopper is asked once whether it has GPM, and every metric of it is named as unsupported."""
    driver.is_now(Node((Gpu("GPU-a", gpm_supported=0),), trace=True))
    source = opened()

    reports = [source.read(), read_after_a_while(source)]

    assert [activity(report) for report in reports] == [{}, {}]
    assert {u.reason for u in reports[1].unsupported if u.metric == "gpu.sm.activity"} == {"not_supported"}
    asked = Counter(call for _, call, _ in driver.calls())
    assert (asked["nvmlGpmQueryDeviceSupport"], asked["nvmlGpmSampleAlloc"]) == (1, 0)


def test_metrics_that_a_driver_does_not_know_cost_no_others(driver: Driver, opened: Open) -> None:
    """A driver that refuses the ids of a later release still tells those that it has."""
    faults = tuple(Fault("error", "gpu0", f"gpm.{number}", 2) for number in (174, 248, 249))
    driver.is_now(Node((Gpu("GPU-a"),), faults=faults))
    source = opened()
    source.read()

    report = read_after_a_while(source)

    assert activity(report) == {"GPU-a": 0.7625}
    missing = {u.metric for u in report.unsupported if "GPM" in u.call}
    assert {"gpu.context_switch.activity", "gpu.sm.cycles.elapsed", "gpu.sm.cycles.active"} <= missing
    assert report.failed == ()


def test_a_sample_that_fails_begins_anew(driver: Driver, opened: Open) -> None:
    """After a sample that failed the next value is between two samples that were both taken later."""
    driver.is_now(Node((Gpu("GPU-a"),)))
    source = opened()
    source.read()
    assert activity(read_after_a_while(source)) == {"GPU-a": 0.7625}

    driver.is_now(Node((Gpu("GPU-a"),), faults=(Fault("error", "gpu0", "nvmlGpmSampleGet", 999),)))
    report = read_after_a_while(source)
    assert activity(report) == {}
    assert {u.reason for u in report.failed} == {"unknown"}

    driver.is_now(Node((Gpu("GPU-a"),)))
    assert activity(read_after_a_while(source)) == {}
    assert activity(read_after_a_while(source)) == {"GPU-a": 0.7625}


def test_a_call_that_fails_as_a_whole_is_made_again(driver: Driver, opened: Open) -> None:
    """INVALID_ARGUMENT for ids that every driver with GPM knows is no refusal: the metrics are back with the next value."""
    driver.is_now(Node((Gpu("GPU-a"),)))
    source = opened()
    source.read()

    driver.is_now(Node((Gpu("GPU-a"),), faults=(Fault("error", "gpu0", "nvmlGpmMetricsGet", 2),)))
    report = read_after_a_while(source)
    assert activity(report) == {}
    assert ("gpu.sm.activity", "invalid_argument") in {(told.metric, told.reason) for told in report.failed}

    driver.is_now(Node((Gpu("GPU-a"),)))
    assert activity(read_after_a_while(source)) == {"GPU-a": 0.7625}


def test_an_instance_that_takes_over_an_id_is_measured_from_its_own_samples(driver: Driver, opened: Open) -> None:
    """GPU instance ids are used again at once: the new instance's first value is not measured from the old one's sample."""
    driver.is_now(Node((PARENT,)))
    source = opened()
    source.read()
    assert set(activity(read_after_a_while(source))) == {"GPU-a", "MIG-1", "MIG-2"}

    driver.is_now(Node((replace(PARENT, instances=(Instance("MIG-9", gi=7, gpm={2: 10.0}),)),)))
    assert set(activity(read_after_a_while(source))) == {"GPU-a"}
    assert activity(read_after_a_while(source))["MIG-9"] == 0.1


@pytest.mark.parametrize("change", ["instances go", "mig goes", "nothing"])
def test_samples_are_freed(driver: Driver, opened: Open, change: str) -> None:
    """When NVML is shut down no GPM sample is left, whatever became of the devices that they were taken of."""
    driver.is_now(Node((PARENT,)))
    source = opened()
    source.read()
    if change == "instances go":
        driver.is_now(Node((replace(PARENT, instances=PARENT.instances[:1]),)))
    elif change == "mig goes":
        driver.is_now(Node((replace(PARENT, mig=0, instances=()),)))
    read_after_a_while(source)

    source.close()

    wait_until(lambda: any(call == "nvmlShutdown" for _, call, _ in driver.calls()))
    assert [subject for _, call, subject in driver.calls() if call == "gpm_samples_alive"] == []


def test_a_driver_that_writes_nothing_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The room of an answer is used again, for another device too: what was in it is not told as that one's."""
    written: list[float] = [0.5]

    def answer(question: pynvml.c_nvmlGpmMetricsGet_t) -> None:
        for value in written:
            question.metrics[0].nvmlReturn, question.metrics[0].value = 0, value

    monkeypatch.setattr(pynvml, "nvmlGpmQueryDeviceSupport", lambda _: SimpleNamespace(isSupportedDevice=1))
    monkeypatch.setattr(pynvml, "nvmlGpmSampleAlloc", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlGpmMetricsGet", answer)
    monkeypatch.setattr(gpm, "_SHORTEST", 0.0)
    told = []
    for values in ([0.5], []):
        device = gpm.Gpm(pynvml, lambda _: None, lambda _handle, _sample: None)
        device._older = device._newer = pynvml.c_nvmlGpmSample_t()
        written[:] = values
        device.read(None, ((2,),))
        told.append(device.read(None, ((2,),)))

    assert told == [{2: 0.5}, {2: "unknown"}]
