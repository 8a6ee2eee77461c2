# SPDX-License-Identifier: Apache-2.0
"""Which processes use a GPU: from the driver's lists to the report, whatever the lists say."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakenvml.build import build
from fakenvml.driver import Driver, Tuned, read_until
from fakenvml.fakenvml import GIB, Fault, Gpu, Instance, Node
from fakenvml.fakenvml import Process as Running
from inferometer.config import Seconds
from inferometer.model import DeviceReport, Process
from inferometer.sources.devices import calls, processes

BUSY = (Running("compute", 4242, 3 * GIB, sm=61), Running("graphics", 4343, None), Running("mps", 4444, 1 * GIB, sm=9))
ONE = Gpu("GPU-aaaa", processes=BUSY)
OTHER = Gpu("GPU-bbbb", processes=(Running("compute", 77, 1 * GIB),))
MIG = Gpu(
    "GPU-cccc",
    mig=1,
    instances=(
        Instance("MIG-1", gi=7, processes=(Running("compute", 11, 2 * GIB), Running("compute", 12, 1 * GIB))),
        None,
        Instance("MIG-2", gi=8),
    ),
)
COMPUTE = "nvmlDeviceGetComputeRunningProcesses_v3"
GRAPHICS = "nvmlDeviceGetGraphicsRunningProcesses_v3"
MPS = "nvmlDeviceGetMPSComputeRunningProcesses_v3"


def counts(report: DeviceReport) -> dict[tuple[str, str], float]:
    """Give how many processes there are, by device and type."""
    found = {}
    for reading in report.readings:
        if reading.metric.name == "gpu.processes":
            assert reading.at is not None
            assert isinstance(reading.value, float)
            found[reading.subject, reading.attributes[0][1]] = reading.value
    return found


def of(uuid: str, report: DeviceReport) -> dict[int, Process]:
    """Give a device's processes, each once."""
    found = [process for process in report.processes if process.device == uuid]
    assert len({process.pid for process in found}) == len(found)
    return {process.pid: replace(process, at=None) for process in found}


def test_processes_are_told_with_their_memory_and_counted_by_type(driver: Driver, tuned: Tuned) -> None:
    """Each process has its kind and memory, where the driver tells it; a type without processes counts 0."""
    driver.is_now(Node((ONE, OTHER)))

    report = tuned().read()

    assert of("GPU-aaaa", report) == {
        4242: Process("GPU-aaaa", 4242, "compute", memory=3 * GIB),
        4343: Process("GPU-aaaa", 4343, "graphics"),
        4444: Process("GPU-aaaa", 4444, "mps", memory=1 * GIB),
    }
    assert counts(report) == {
        **{("GPU-aaaa", kind): 1.0 for kind in ("mps", "compute", "graphics")},
        ("GPU-bbbb", "mps"): 0.0,
        ("GPU-bbbb", "compute"): 1.0,
        ("GPU-bbbb", "graphics"): 0.0,
    }
    assert report.failed == ()


def test_a_process_has_its_share_of_the_sms_since_the_read_before(driver: Driver, tuned: Tuned) -> None:
    """The first read tells no share, since its samples may be of any age; the next ones do, and idle is 0."""
    driver.is_now(Node((ONE,)))
    source = tuned()
    assert {process.busy for process in source.read().processes} == {None}

    driver.is_now(Node((ONE,)))
    assert {pid: process.busy for pid, process in of("GPU-aaaa", source.read()).items()} == {
        4242: 0.61,
        4343: 0.0,
        4444: 0.09,
    }

    idle = replace(ONE, processes=tuple(replace(running, sm=0) for running in BUSY))
    driver.is_now(Node((idle,)))
    report = source.read()
    assert {process.busy for process in report.processes} == {0.0}
    assert report.failed == ()


@pytest.mark.parametrize("percent", [101, 200, 0xFFFF_FFFF])
def test_what_is_no_share_is_absent(driver: Driver, tuned: Tuned, percent: int) -> None:
    """More than all of the SMs, and all bits set, are no values; other processes keep theirs."""
    odd = replace(ONE, processes=(replace(BUSY[0], sm=percent), BUSY[2]))
    driver.is_now(Node((odd,)))
    source = tuned()
    source.read()
    driver.is_now(Node((odd,)))

    assert {pid: process.busy for pid, process in of("GPU-aaaa", source.read()).items()} == {4242: None, 4444: 0.09}


def test_an_older_driver_tells_the_shares_by_its_older_call(driver: Driver, tuned: Tuned, tmp_path: Path) -> None:
    """Where the call of driver 550 is missing, the one before it is made; nothing is said to be absent."""
    old = build(tmp_path, without=("nvmlDeviceGetProcessesUtilizationInfo",))
    driver.is_now(Node((ONE,)))
    source = tuned(library=str(old))
    source.read()
    driver.is_now(Node((ONE,)))

    report = source.read()

    assert of("GPU-aaaa", report)[4242].busy == 0.61
    assert not [told for told in report.unsupported if told.metric == "gpu.process.utilization"]


def test_a_process_in_two_lists_is_one(driver: Driver, tuned: Tuned) -> None:
    """A client of MPS is in the list of compute processes too, and what draws may compute: each counts once."""
    twice = (
        Running("compute", 5, 2 * GIB),
        Running("mps", 5, None),
        Running("graphics", 6, 1 * GIB),
        Running("compute", 6, 1 * GIB),
    )
    driver.is_now(Node((replace(ONE, processes=twice),)))

    report = tuned().read()

    assert of("GPU-aaaa", report) == {
        5: Process("GPU-aaaa", 5, "mps", memory=2 * GIB),
        6: Process("GPU-aaaa", 6, "compute", memory=1 * GIB),
    }
    assert counts(report) == {("GPU-aaaa", "mps"): 1.0, ("GPU-aaaa", "compute"): 1.0, ("GPU-aaaa", "graphics"): 0.0}


def test_with_mig_the_instances_have_the_processes(driver: Driver, tuned: Tuned) -> None:
    """In MIG mode each instance is asked and the GPU is not; shares are not asked for at all, and that is said."""
    driver.is_now(Node((MIG,), trace=True))

    report = tuned().read()

    assert set(of("MIG-1", report)) == {11, 12}
    assert {process.busy for process in report.processes} == {None}
    assert counts(report) == {
        (uuid, kind): 2.0 if (uuid, kind) == ("MIG-1", "compute") else 0.0
        for uuid in ("MIG-1", "MIG-2")
        for kind in ("mps", "compute", "graphics")
    }
    assert [(u.device, u.reason) for u in report.unsupported if u.metric == "gpu.process.utilization"] == [
        ("GPU-cccc", "not_while_mig_is_enabled")
    ]
    asked = {(call, subject) for _, call, subject in driver.calls()}
    assert (COMPUTE, "gpu0") not in asked
    assert not {call for call, _ in asked} & {
        "nvmlDeviceGetProcessesUtilizationInfo",
        "nvmlDeviceGetProcessUtilization",
    }


def test_an_instance_that_is_new_is_asked_at_once(driver: Driver, tuned: Tuned) -> None:
    """However long the slow period is, an instance that comes has its processes in the report that shows it first."""
    alone = replace(MIG, instances=MIG.instances[:1])
    driver.is_now(Node((alone,)))
    source = tuned(slow_period=Seconds(600))
    assert {uuid for uuid, _ in counts(source.read())} == {"MIG-1"}

    driver.is_now(Node((MIG,)))
    assert {uuid for uuid, _ in counts(source.read())} == {"MIG-1", "MIG-2"}

    driver.is_now(Node((alone,)))
    assert {uuid for uuid, _ in counts(source.read())} == {"MIG-1"}


def test_processes_come_and_go(driver: Driver, tuned: Tuned) -> None:
    """Each report has the processes of the newest read and no other, however many have been there before."""
    source = None
    for generation in range(5):
        here = tuple(Running("compute", 1000 + 100 * generation + i, GIB, sm=1) for i in range(20))
        driver.is_now(Node((replace(ONE, processes=here),)))
        source = source or tuned()
        report = source.read()
        assert set(of("GPU-aaaa", report)) == {running.pid for running in here}
        assert counts(report)["GPU-aaaa", "compute"] == 20.0


def test_a_list_that_is_refused_is_asked_once(driver: Driver, tuned: Tuned) -> None:
    """A GPU without one of the lists is named, and asked for the others alone."""
    fault = Fault("error", "gpu0", GRAPHICS, 3)
    driver.is_now(Node((ONE, OTHER), faults=(fault,), trace=True))
    source = tuned()

    reports = [source.read() for _ in range(3)]

    for report in reports:
        assert [(u.device, u.call, u.reason) for u in report.unsupported if u.metric == "gpu.processes"] == [
            ("GPU-aaaa", GRAPHICS, "not_supported")
        ]
        assert counts(report)["GPU-aaaa", "compute"] == 1.0
        assert ("GPU-aaaa", "graphics") not in counts(report)
        assert report.failed == ()
    asked = Counter((call, subject) for _, call, subject in driver.calls())
    assert asked[GRAPHICS, "gpu0"] == 1
    assert asked[GRAPHICS, "gpu1"] == 3


def test_a_list_that_fails_costs_what_may_be_in_it(driver: Driver, tuned: Tuned) -> None:
    """Without the list of MPS its clients would count as compute processes: better no number. The other GPU has its own."""
    driver.is_now(Node((ONE, OTHER), faults=(Fault("error", "gpu0", MPS, 999),)))
    source = tuned()

    report = source.read()
    assert {uuid for uuid, _ in counts(report)} == {"GPU-bbbb"}
    assert [(u.device, u.metric, u.call, u.reason) for u in report.failed] == [
        ("GPU-aaaa", "gpu.processes", MPS, "unknown")
    ]

    driver.is_now(Node((ONE, OTHER)))
    report = source.read()
    assert counts(report)["GPU-aaaa", "compute"] == 1.0
    assert report.failed == ()


@pytest.mark.parametrize("call", [COMPUTE, GRAPHICS, MPS, "nvmlDeviceGetProcessesUtilizationInfo"])
@pytest.mark.parametrize("pattern", [0, 1, 2])
def test_garbage_is_no_process(driver: Driver, tuned: Tuned, call: str, pattern: int) -> None:
    """A list that makes no sense makes no process, no share and no number; the other GPU has its own."""
    driver.is_now(Node((ONE, OTHER), faults=(Fault("absurd", "gpu0", call, pattern),)))
    source = tuned()
    source.read()
    driver.is_now(Node((ONE, OTHER), faults=(Fault("absurd", "gpu0", call, pattern),)))

    report = source.read()

    assert set(of("GPU-aaaa", report)) <= {4242, 4343, 4444}
    assert all(process.memory in (None, GIB, 3 * GIB) for process in report.processes)
    # Not even 0: whose share the garbage would have been nobody knows.
    assert all(process.busy is None for process in of("GPU-aaaa", report).values()) or call not in calls.SHARES
    assert all(process.busy in (None, 0.0, 0.61, 0.09) for process in report.processes)
    assert all(number == 1.0 for (uuid, _), number in counts(report).items() if uuid == "GPU-aaaa")
    assert of("GPU-bbbb", report) == {77: Process("GPU-bbbb", 77, "compute", memory=GIB, busy=0.0)}

    driver.is_now(Node((ONE, OTHER)))
    assert counts(source.read())["GPU-aaaa", "compute"] == 1.0


@pytest.mark.parametrize(("kind", "call"), [("compute", COMPUTE), ("graphics", GRAPHICS)])
def test_a_process_with_the_id_0_is_left_out_alone(driver: Driver, tuned: Tuned, kind: str, call: str) -> None:
    """It cannot be seen from here: the rest of the list stands, with its shares, and that one was left out is told."""
    unseen = replace(ONE, processes=(Running(kind, 0, GIB, sm=5), *BUSY))
    driver.is_now(Node((unseen, OTHER)))
    source = tuned()
    source.read()
    driver.is_now(Node((unseen, OTHER)))

    report = source.read()

    assert {pid: process.busy for pid, process in of("GPU-aaaa", report).items()} == {4242: 0.61, 4343: 0.0, 4444: 0.09}
    assert counts(report)["GPU-aaaa", kind] == 1.0
    assert [(u.device, u.metric, u.call, u.reason) for u in report.failed] == [
        ("GPU-aaaa", "gpu.processes", call, "process_id_0")
    ]


def test_a_list_that_hangs_costs_only_the_processes_of_its_gpu(driver: Driver, tuned: Tuned) -> None:
    """While a list hangs its GPU is read on, and the others' lists too; when it ends the processes are back."""
    driver.is_now(Node((ONE, OTHER)))
    source = tuned(deadline=Seconds(0.6))
    read_until(source, lambda report: len(counts(report)) == 6)

    hanging = Node(
        (replace(ONE, utilization=55), replace(OTHER, processes=())), faults=(Fault("hang", "gpu0", COMPUTE),)
    )
    driver.is_now(hanging)

    def costs_only_the_list(report: DeviceReport) -> bool:
        used = {r.value for r in report.readings if r.subject == "GPU-aaaa" and r.metric.name == "hw.gpu.utilization"}
        late = ("GPU-aaaa", "gpu.processes", COMPUTE, "timeout")
        told = {(u.device, u.metric, u.call, u.reason) for u in report.failed}
        return not report.unresponsive and not of("GPU-bbbb", report) and 0.55 in used and late in told

    read_until(source, costs_only_the_list)

    driver.is_now(Node((replace(ONE, processes=BUSY[:1]), OTHER)))
    read_until(source, lambda report: set(of("GPU-aaaa", report)) == {4242} and not report.failed)


def test_a_list_that_hangs_for_long_is_spared(driver: Driver, tuned: Tuned) -> None:
    """A sampler that is stuck in a list is replaced by one that reads the GPU and leaves the list alone for a while."""
    driver.is_now(Node((ONE, OTHER), faults=(Fault("hang", "gpu0", COMPUTE),)))
    source = tuned(deadline=Seconds(0.3), kill_after=Seconds(0.5))

    def is_spared(report: DeviceReport) -> bool:
        paused = "paused_after_hang_or_crash" in {u.reason for u in report.failed}
        return paused and {d.uuid for d in report.devices} == {"GPU-aaaa", "GPU-bbbb"}

    read_until(source, is_spared)
    read_until(source, lambda report: not report.unresponsive and bool(of("GPU-bbbb", report)))
    driver.is_now(Node((ONE, OTHER)))
    read_until(source, lambda report: set(of("GPU-aaaa", report)) == {4242, 4343, 4444} and not report.failed)


def test_a_list_that_crashes_the_sampler_is_spared(driver: Driver, tuned: Tuned) -> None:
    """After a crash in a list the next sampler reads all GPUs, and that list is left alone for a while."""
    driver.is_now(Node((ONE, OTHER), faults=(Fault("crash", "gpu0", COMPUTE),)))
    source = tuned(kill_after=Seconds(1))

    def is_spared(report: DeviceReport) -> bool:
        paused = ("GPU-aaaa", COMPUTE, "paused_after_hang_or_crash")
        told = {(u.device, u.call, u.reason) for u in report.failed}
        read = {r.subject for r in report.readings} == {"GPU-aaaa", "GPU-bbbb"}
        return paused in told and read and bool(of("GPU-bbbb", report))

    read_until(source, is_spared)


def test_processes_can_be_left_alone(driver: Driver, tuned: Tuned) -> None:
    """Where they are switched off no list is asked for at all."""
    driver.is_now(Node((ONE, MIG), trace=True))

    report = tuned(processes=False).read()

    assert (report.processes, counts(report)) == ((), {})
    assert not {call for _, call, _ in driver.calls()} & {COMPUTE, GRAPHICS, MPS}


def test_more_processes_than_can_be_are_not_taken() -> None:
    """A list without end is refused as a whole, and said so."""
    listed = [SimpleNamespace(pid=i + 1, usedGpuMemory=0) for i in range(processes.MOST + 1)]
    nvml = SimpleNamespace(
        NVMLError=Exception, **{COMPUTE: lambda _: listed, MPS: lambda _: [], GRAPHICS: lambda _: listed[:3]}
    )
    failed: list[tuple[str, str, str, str]] = []

    (told,) = processes.Processes(nvml, lambda _: None, "GPU-0", mig=True).read([("GPU-0", None)], failed)

    assert told == {"device": "GPU-0", "kinds": ["mps"], "processes": []}
    assert failed == [("GPU-0", "gpu.processes", COMPUTE, "more than 4096 processes")]


def test_processes_of_another_shape_are_gone(driver: Driver, tuned: Tuned) -> None:
    """When MIG is switched on, and when a GPU goes, what was told of it before is told no more, and nothing twice."""
    driver.is_now(Node((OTHER, ONE)))
    source = tuned(slow_period=Seconds(600))
    assert {uuid for uuid, _ in counts(source.read())} == {"GPU-aaaa", "GPU-bbbb"}

    driver.is_now(Node((ONE,)))
    report = read_until(source, lambda report: len(report.devices) == 1)
    assert len(of("GPU-aaaa", report)) == 3

    driver.is_now(Node((replace(ONE, mig=1),)))
    report = source.read()
    assert (report.processes, counts(report)) == ((), {})
