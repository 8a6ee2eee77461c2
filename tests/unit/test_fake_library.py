# SPDX-License-Identifier: Apache-2.0
"""The tests' own libnvidia-ml.so.1, asked through the real nvidia-ml-py: every call, its values by number, its faults."""

import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakenvml.asking import ask
from fakenvml.build import build, linked
from fakenvml.defaults import ALL_LINKS
from fakenvml.fakenvml import GIB, Fault, Gpu, Instance, Node, Process, SystemEvent, Xid
from fakenvml.models import a100, blackwell, every, t4

GPU = every("GPU-0")
SPLIT = Gpu(
    "GPU-1", minor=1, mig=1, mig_pending=0, instances=(None, Instance("MIG-1", processes=(Process("compute", 77, 5),)))
)
NODE = Node((GPU, SPLIT), conf_compute=(2, 1, 0, 1), excluded=(("00000000:5E:00.0", "GPU-excluded"),), trace=True)

D = "n.nvmlDeviceGetHandleByIndex(0)"
P = "n.nvmlDeviceGetHandleByIndex(1)"
M = f"n.nvmlDeviceGetMigDeviceHandleByIndex({P}, 1)"
V = "3251634000"

# What is asked, and what is answered: of the GPU that has everything, of a GPU in MIG mode, of its instance.
ANSWERS: dict[str, Any] = {
    # the system
    "n.nvmlSystemGetDriverVersion()": "575.57.08",
    "n.nvmlSystemGetNVMLVersion()": "575.57.08",
    "n.nvmlSystemGetCudaDriverVersion_v2()": 12090,
    "n.nvmlSystemGetCudaDriverVersion()": 12090,
    "n.nvmlDeviceGetCount()": 2,
    "n.nvmlSystemGetConfComputeState()": [2, 1, 0],
    "into(n.nvmlSystemGetConfComputeSettings, n.c_nvmlSystemConfComputeSettings_v1_t())": [0x1000014, 2, 1, 0, 1],
    "n.nvmlGetExcludedDeviceCount()": 1,
    "n.nvmlGetExcludedDeviceInfoByIndex(0)": [["", 0, 0x5E, 0, 0, 0, "00000000:5E:00.0"], "GPU-excluded"],
    "n.nvmlGetExcludedDeviceInfoByIndex(1)": "error 2",
    # inventory and modes
    f"n.nvmlDeviceGetUUID({D})": "GPU-0",
    f"n.nvmlDeviceGetName({D})": "NVIDIA GB200",
    f"n.nvmlDeviceGetSerial({D})": "1650522000001",
    f"n.nvmlDeviceGetVbiosVersion({D})": "97.00.B9.00.10",
    f"n.nvmlDeviceGetIndex({P})": 1,
    f"n.nvmlDeviceGetMinorNumber({P})": 1,
    f"n.nvmlDeviceGetArchitecture({D})": 10,
    f"n.nvmlDeviceGetCudaComputeCapability({D})": [10, 0],
    f"n.nvmlDeviceGetMemoryAffinity({D}, 1, 0)": [1],
    f"n.nvmlDeviceGetPciInfo({D})": ["", 0, 0x3B, 0, 0, 0, "00000000:3B:00.0"],
    f"n.nvmlDeviceGetBoardPartNumber({D})": "692-2G548-0200-000",
    f"n.nvmlDeviceGetBoardId({D})": 0x3B00,
    f"n.nvmlDeviceGetBrand({D})": 14,
    f"n.nvmlDeviceGetNumaNodeId({D})": 2,
    f"n.nvmlDeviceGetComputeMode({M})": 0,
    f"n.nvmlDeviceGetPersistenceMode({D})": 1,
    f"n.nvmlDeviceGetVirtualizationMode({D})": 3,
    f"into(n.nvmlDeviceGetPlatformInfo, n.c_nvmlPlatformInfo_v2_t(), {D})": [
        0x200002C, "0123456789abcdef", "1820325191233", "\x0c", "\x04", "\x01", "\x01", "\x02",
    ],
    # memory
    f"n.nvmlDeviceGetMemoryInfo({D})": [186 * GIB, 186 * GIB - 20 * GIB - (512 << 20), 20 * GIB + (512 << 20)],
    f"n.nvmlDeviceGetMemoryInfo({M}, n.nvmlMemory_v2)": [0x2000028, 10 * GIB, 16 << 20, 9 * GIB - (16 << 20), 1 * GIB],
    f"n.nvmlDeviceGetBAR1MemoryInfo({D})": [128 * GIB, 128 * GIB - (2 << 20), 2 << 20],
    f"n.nvmlDeviceGetBAR1MemoryInfo({M})": [16 * GIB, 16 * GIB - (1 << 20), 1 << 20],
    f"n.nvmlDeviceGetConfComputeProtectedMemoryUsage({D})": [8 * GIB, 7 * GIB, 1 * GIB],
    f"n.nvmlDeviceGetEccMode({D})": [1, 1],
    f"n.nvmlDeviceGetMemoryErrorCounter({D}, 0, 1, 2)": 20,
    f"n.nvmlDeviceGetMemoryErrorCounter({M}, 1, 1, 7)": 0,
    f"n.nvmlDeviceGetMemoryErrorCounter({D}, 0, 1, 4)": "error 3",
    f"n.nvmlDeviceGetTotalEccErrors({D}, 0, 1)": 30,
    f"into(n.nvmlDeviceGetSramEccErrorStatus, n.c_nvmlEccSramErrorStatus_v1_t(), {D})": [0x1000068, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    f"n.nvmlDeviceGetRetiredPages({D}, 0)": [0x1234, 0x5678],
    f"[p['address'] for p in n.nvmlDeviceGetRetiredPages_v2({D}, 1)]": [0x9ABC],
    f"n.nvmlDeviceGetRetiredPagesPendingStatus({D})": 1,
    f"n.nvmlDeviceGetRemappedRows({D})": [1, 0, 0, 0],
    f"n.nvmlDeviceGetRemappedRows({P})": "error 3",
    f"into(n.nvmlDeviceGetRemappedRows_v2, n.c_nvmlRemappedRowsInfo_v2_t(), {D})": [1, 0, 0, 0, 0, 0],
    f"n.nvmlDeviceGetRowRemapperHistogram({D})": [639, 1, 0, 0, 0],
    # work, power, heat, clocks
    f"n.nvmlDeviceGetUtilizationRates({D})": [87, 42],
    f"n.nvmlDeviceGetUtilizationRates({P})": "error 3",
    f"n.nvmlDeviceGetEncoderUtilization({D})": [3, 167000],
    f"n.nvmlDeviceGetDecoderUtilization({D})": [5, 167000],
    f"n.nvmlDeviceGetJpgUtilization({D})": [7, 167000],
    f"n.nvmlDeviceGetOfaUtilization({D})": [9, 167000],
    f"n.nvmlDeviceGetOfaUtilization({P})": "error 3",
    f"n.nvmlDeviceGetPowerUsage({D})": 345_600,
    f"n.nvmlDeviceGetEnforcedPowerLimit({D})": 1_200_000,
    f"n.nvmlDeviceGetPowerManagementLimit({D})": 1_200_000,
    f"n.nvmlDeviceGetPowerManagementDefaultLimit({D})": 1_200_000,
    f"n.nvmlDeviceGetPowerManagementLimitConstraints({D})": [200_000, 1_200_000],
    f"n.nvmlDeviceGetTotalEnergyConsumption({D})": 123_456_789,
    f"n.nvmlDeviceGetViolationStatus({D}, 1).violationTime": 1_000_000_000,
    f"n.nvmlDeviceGetTemperature({D}, 0)": 61,
    f"n.nvmlDeviceGetTemperatureV({D}, 0)": 61,
    f"n.nvmlDeviceGetMarginTemperature({D})": 26,
    f"n.nvmlDeviceGetTemperatureThreshold({D}, 1)": 92,
    f"n.nvmlDeviceGetNumFans({D})": 2,
    f"n.nvmlDeviceGetFanSpeed({D})": 40,
    f"n.nvmlDeviceGetFanSpeed_v2({D}, 1)": 45,
    f"[n.nvmlDeviceGetClockInfo({D}, i) for i in range(4)]": [1980, 1965, 2619, 1545],
    f"[n.nvmlDeviceGetMaxClockInfo({D}, i) for i in range(4)]": [1985, 1985, 2625, 1605],
    f"n.nvmlDeviceGetPerformanceState({D})": 0,
    f"n.nvmlDeviceGetCurrentClocksEventReasons({D})": 4,
    f"n.nvmlDeviceGetCurrentClocksThrottleReasons({D})": 4,
    # fields: another property, unsigned, signed, of a link, of all links, known but not given, unknown
    f"fields({D}, 186, 82, 83)": [[0, 1, 351_234], [0, 1, 71], [0, 3, 123_456_789]],
    f"fields({D}, 74, 193, (202, 5), (138, {ALL_LINKS}), 164, 308, 0)": [
        [0, 3, 5_000_000_000], [0, 5, -8], [0, 3, 5_000_005], [0, 3, 18_153 << 20], 3, 2, 2,
    ],
    f"n.nvmlDeviceGetFieldValues({D}, [186])[0].latencyUsec": 3,
    # recent samples
    f"[s.sampleValue.uiVal for s in n.nvmlDeviceGetSamples({D}, 0, 0)[1]]": [10, 20],
    f"n.nvmlDeviceGetSamples({P}, 1, 0)": "error 3",
    f"[s.sampleValue.uiVal for s in n.nvmlDeviceGetSamples({P}, 0, 0)[1]]": [345_000, 401_000, 350_000],
    f"n.nvmlDeviceGetSamples({D}, 0, int(1e18))": "error 6",
    # links
    f"n.nvmlDeviceGetCurrPcieLinkGeneration({D})": 5,
    f"n.nvmlDeviceGetMaxPcieLinkGeneration({D})": 5,
    f"n.nvmlDeviceGetGpuMaxPcieLinkGeneration({D})": 5,
    f"n.nvmlDeviceGetCurrPcieLinkWidth({D})": 16,
    f"n.nvmlDeviceGetMaxPcieLinkWidth({D})": 16,
    f"n.nvmlDeviceGetPcieReplayCounter({D})": 4,
    f"[n.nvmlDeviceGetPcieThroughput({D}, i) for i in (0, 1)]": [1_000, 2_000],
    f"[n.nvmlDeviceGetNvLinkState({D}, i) for i in (2, 3)]": [1, 0],
    f"n.nvmlDeviceGetNvLinkState({D}, 18)": "error 2",
    f"n.nvmlDeviceGetNvLinkVersion({D}, 0)": 7,
    f"[n.nvmlDeviceGetNvLinkErrorCounter({D}, i, 0) for i in (4, 5)]": [17, 0],
    f"n.nvmlDeviceGetC2cModeInfoV({D})": [1],
    f"into(n.nvmlDeviceGetGpuFabricInfoV, n.c_nvmlGpuFabricInfo_v2_t(), {D})": [0x2000024, list(range(1, 17)), 0, 17, 3, 170],
    f"into(n.nvmlDeviceGetGpuFabricInfoV, n.c_nvmlGpuFabricInfo_v3_t(), {D})": [0x3000028, list(range(1, 17)), 0, 17, 3, 170, 1],
    # processes: PID, bytes, GPU instance, compute instance
    f"n.nvmlDeviceGetComputeRunningProcesses_v3({D})": [[4242, 3 * GIB, 2**32 - 1, 2**32 - 1]],
    f"n.nvmlDeviceGetGraphicsRunningProcesses_v3({D})": [[4343, None, 2**32 - 1, 2**32 - 1]],
    f"n.nvmlDeviceGetMPSComputeRunningProcesses_v3({D})": [[4444, GIB, 2**32 - 1, 2**32 - 1]],
    f"n.nvmlDeviceGetComputeRunningProcesses_v3({M})": [[77, 5, 7, 0]],
    f"n.nvmlDeviceGetComputeRunningProcesses_v3({P})": "error 4",
    f"[[p.pid, p.smUtil, p.memUtil, p.encUtil, p.decUtil] for p in n.nvmlDeviceGetProcessUtilization({D}, 0)]": [
        [4242, 61, 21, 1, 2], [4343, 7, 0, 0, 0], [4444, 9, 0, 0, 0],
    ],
    f"[plain(p)[1:] for p in n.nvmlDeviceGetProcessesUtilizationInfo({D}, 0)][0]": [4242, 61, 21, 1, 2, 3, 4],
    f"n.nvmlDeviceGetProcessUtilization({D}, int(1e18))": "error 6",
    f"n.nvmlDeviceGetProcessesUtilizationInfo({P}, 0)": "error 3",
    # MIG
    f"n.nvmlDeviceGetMigMode({D})": [0, 0],
    f"n.nvmlDeviceGetMigMode({P})": [1, 0],
    f"n.nvmlDeviceGetMaxMigDeviceCount({D})": 7,
    f"n.nvmlDeviceGetMigDeviceHandleByIndex({P}, 0)": "error 6",
    f"n.nvmlDeviceIsMigDeviceHandle({M}).value": 1,
    f"n.nvmlDeviceGetGpuInstanceId({M})": 7,
    f"n.nvmlDeviceGetComputeInstanceId({M})": 0,
    f"n.nvmlDeviceGetUUID(n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle({M}))": "GPU-1",
    f"n.nvmlGpuInstanceGetInfo(n.nvmlDeviceGetGpuInstanceById({P}, 7)).profileId": 19,
    f"n.nvmlDeviceGetAttributes_v2({M})": [16, 1, 1, 0, 1, 0, 1, 1, 9984],
    # events
    f"n.nvmlDeviceGetSupportedEventTypes({D})": 8,
    f"n.nvmlDeviceRegisterEvents({D}, 8, globals().setdefault('events', n.nvmlEventSetCreate()))": None,
    "n.nvmlEventSetWait_v2(events, 0)": "error 10",
    "n.nvmlEventSetFree(events)": None,
    "type(globals().setdefault('set_', n.nvmlSystemEventSetCreate(n.nvmlSystemEventSetCreateRequest_v1))).__name__": (
        "LP_struct_c_nvmlSystemEventSet_t"
    ),
    "n.nvmlSystemRegisterEvents(n.nvmlSystemRegisterEventRequest_v1, 3, set_)": None,
    "n.nvmlSystemEventSetWait(n.nvmlSystemEventSetWaitRequest_v1, set_, 1, (n.c_nvmlSystemEventData_v1_t * 2)(), 2)": [],
    "n.nvmlSystemEventSetFree(n.nvmlSystemEventSetFreeRequest_v1, set_)": None,
    # virtual GPUs
    f"n.nvmlDeviceGetActiveVgpus({D})": [3251634000],
    f"n.nvmlDeviceGetActiveVgpus({P})": "error 3",
    f"[v.smUtil.uiVal for v in n.nvmlDeviceGetVgpuUtilization({D}, 0)]": [11],
    f"[v.ofaUtil.uiVal for v in n.nvmlDeviceGetVgpuInstancesUtilizationInfo({D}, 0)]": [16],
    f"n.nvmlVgpuInstanceGetUUID({V})": "vgpu-uuid-1",
    f"n.nvmlVgpuInstanceGetVmID({V})": ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 1],
    f"n.nvmlVgpuInstanceGetType({V})": 1105,
    f"n.nvmlVgpuInstanceGetFbUsage({V})": 0,  # pynvml keeps 32 of its 64 bits
    "n.nvmlVgpuInstanceGetUUID(5)": "error 2",
    "n.nvmlVgpuTypeGetName(1105)": "NVIDIA A40-4Q",
    "n.nvmlVgpuTypeGetFramebufferSize(1105)": 4 * GIB,
    # GPM
    f"n.nvmlGpmQueryDeviceSupport({D}).isSupportedDevice": 1,
    "type(globals().setdefault('one', n.nvmlGpmSampleAlloc())).__name__": "LP_struct_c_nvmlGpmSample_t",
    "type(globals().setdefault('two', n.nvmlGpmSampleAlloc())).__name__": "LP_struct_c_nvmlGpmSample_t",
    f"(n.nvmlGpmSampleGet({D}, one), time.sleep(0.11), n.nvmlGpmSampleGet({D}, two)) and metrics(one, two, 2, 5, 100, 477)": [
        76.25, 55.5, -3, -2,
    ],
    "metrics(one, one, 2)": "error 2",
    "metrics(two, one, 2)": "error 2",
    f"n.nvmlGpmSampleGet({D}, one) and metrics(two, one, 2)": "error 2",  # too soon after it
    f"n.nvmlGpmMigSampleGet({P}, 3, one)": "error 6",
    f"(time.sleep(0.11), n.nvmlGpmMigSampleGet({P}, 7, one)) and metrics(two, one, 2)": "error 2",  # of another
    f"(time.sleep(0.11), n.nvmlGpmMigSampleGet({P}, 7, two)) and metrics(one, two, 2, 5)": [38.125, 27.75],
    "n.nvmlGpmSampleFree(one)": None,
    "n.nvmlGpmSampleFree(one)#": "error 2",
}  # fmt: skip

# The one asks no device, the other is nvmlInitWithFlags; the others are for NVIDIA's device plugin. What divides a GPU is
# asked by test_fake_division.py.
_UNASKED = {
    *("nvmlErrorString", "nvmlInit_v2", "nvmlDeviceGetHandleByUUID"),
    *("nvmlDeviceGetTopologyCommonAncestor", "nvmlDeviceGetNvLinkRemotePciInfo_v2"),
    *("nvmlDeviceGetGpuInstanceProfileInfo", "nvmlDeviceGetGpuInstancePossiblePlacements_v2", "nvmlDeviceSetMigMode"),
    *("nvmlDeviceCreateGpuInstanceWithPlacement", "nvmlGpuInstanceDestroy", "nvmlGpuInstanceCreateComputeInstance"),
    *("nvmlGpuInstanceGetComputeInstanceById", "nvmlGpuInstanceGetComputeInstanceProfileInfo"),
    *("nvmlComputeInstanceGetInfo_v2", "nvmlComputeInstanceDestroy"),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library once."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, library: Path) -> tuple[dict[str, Any], Path]:
    """Ask everything, once; give the answers and the log."""
    directory = tmp_path_factory.mktemp("asked")
    answers = ask(directory, library, NODE, list(ANSWERS))
    return dict(zip(ANSWERS, answers, strict=True)), directory / "calls.log"


def of(gpu: Gpu, *expressions: str) -> tuple[Node, list[str]]:
    """Give a node of one GPU, and what is asked of it."""
    return Node((gpu,)), [e.replace("DEVICE", D) for e in expressions]


@pytest.mark.parametrize("expression", ANSWERS)
def test_a_call_answers_what_the_text_says(asked: tuple[dict[str, Any], Path], expression: str) -> None:
    """Each call gives, through nvidia-ml-py's own structures, the numbers that the node has."""
    assert asked[0][expression] == ANSWERS[expression]


def test_every_symbol_is_asked(asked: tuple[dict[str, Any], Path], library: Path) -> None:
    """The table above makes every call that the library exports, by the name under which nvidia-ml-py looks it up."""
    listing = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True)
    exported = {line.split()[-1].split("@")[0] for line in listing.stdout.splitlines() if " T " in line}
    logged = {line.split()[1] for line in asked[1].read_text().splitlines()}

    assert exported - logged == _UNASKED


def test_samples_that_nobody_freed_are_logged(asked: tuple[dict[str, Any], Path]) -> None:
    """The end of NVML tells how many GPM samples are left: `two` was not freed."""
    assert [line.split()[1:] for line in asked[1].read_text().splitlines() if "alive" in line] == [
        ["gpm_samples_alive", "1"]
    ]


@pytest.mark.parametrize("pattern", [0, 1, 2])
def test_garbage_is_given_and_nothing_is_overrun(tmp_path: Path, library: Path, pattern: int) -> None:
    """Whatever is asked answers with success or a Python error while every call gives garbage: nothing crashes."""
    handles = {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetMigDeviceHandleByIndex", "nvmlInitWithFlags"}
    every_call = {e[2:].split("(")[0] for e in ANSWERS if e.startswith("n.")} | {
        "nvmlDeviceGetFieldValues",
        "nvmlGpmMetricsGet",
    }
    faults = tuple(Fault("absurd", "*", call, pattern) for call in sorted(every_call - handles))

    answers = dict(zip(ANSWERS, ask(tmp_path, library, replace(NODE, faults=faults), list(ANSWERS)), strict=True))

    word = (0xFFFFFFFF, 0x80000001, 0x7FF80000)[pattern]
    assert answers[f"n.nvmlDeviceGetPowerUsage({D})"] == word
    assert answers[f"n.nvmlDeviceGetTotalEnergyConsumption({D})"] == word << 32 | word
    assert answers[f"n.nvmlDeviceGetBAR1MemoryInfo({D})"] == [word << 32 | word] * 3
    assert answers[f"n.nvmlDeviceGetMarginTemperature({D})"] == (-1, -(2**31) + 1, 0x7FF80000)[pattern]
    assert answers[f"n.nvmlDeviceGetName({D})"] == ("UnicodeDecodeError", "", "UnicodeDecodeError")[pattern]
    assert answers[f"n.nvmlDeviceGetMigDeviceHandleByIndex({P}, 0)"] == "error 6"


@pytest.mark.parametrize(("pattern", "field"), [(0, [0, 3, 2**64 - 1]), (1, [0, 0, -1e300]), (2, [0, 0, math.nan])])
def test_garbage_in_one_value_of_a_batch(tmp_path: Path, library: Path, pattern: int, field: list[float]) -> None:
    """One field, or one metric, is garbage or an error; the others of the same call are not."""
    faults = (
        Fault("absurd", "gpu0", "field.83", pattern),
        Fault("error", "gpu0", "field.82", 999),
        Fault("absurd", "gpu0", "gpm.2", pattern),
        Fault("error", "gpu0", "gpm.5", 15),
    )
    node, expressions = of(
        Gpu("GPU-0"),
        "fields(DEVICE, 186, 83, 82)",
        "globals().update(one=n.nvmlGpmSampleGet(DEVICE, n.nvmlGpmSampleAlloc()))",
        "(time.sleep(0.11), globals().update(two=n.nvmlGpmSampleGet(DEVICE, n.nvmlGpmSampleAlloc())))",
        "metrics(one, two, 2, 5, 10)",
    )

    fields, *_, metrics = ask(tmp_path, library, replace(node, faults=faults), expressions)

    assert fields[0] == [0, 1, 351_234]
    assert fields[1] == pytest.approx(field, nan_ok=True)
    assert fields[2] == 999
    assert metrics[0] == -1e300 if pattern == 1 else math.isnan(metrics[0])
    assert metrics[1:] == [-15, 63.5]


def test_what_is_new_is_told_once(tmp_path: Path, library: Path) -> None:
    """Samples, uses of processes, XIDs and events of the system that came with the newer text are told, and once."""
    before = Node((Gpu("GPU-0", processes=(Process("compute", 1, sm=5),)),))
    later = replace(before, xids=(Xid(0, 79, 1),), system_events=(SystemEvent(1, 0x3B00, 1),))
    wait = "n.nvmlSystemEventSetWait(n.nvmlSystemEventSetWaitRequest_v1, set_, 20, (n.c_nvmlSystemEventData_v1_t * 2)(), 2)"
    _, expressions = of(
        Gpu("GPU-0"),
        "globals().update(d=DEVICE, e=n.nvmlEventSetCreate(), set_=n.nvmlSystemEventSetCreate(n.nvmlSystemEventSetCreateRequest_v1))",
        "n.nvmlDeviceRegisterEvents(d, 8, e) or n.nvmlSystemRegisterEvents(n.nvmlSystemRegisterEventRequest_v1, 3, set_)",
        "globals().update(seen=n.nvmlDeviceGetSamples(d, 1, 0)[1][-1].timeStamp)",
        "n.nvmlDeviceGetSamples(d, 1, seen)",
        "change()",
        "[s.sampleValue.uiVal for s in n.nvmlDeviceGetSamples(d, 1, seen)[1]]",
        "[p.pid for p in n.nvmlDeviceGetProcessUtilization(d, seen)]",
        "n.nvmlEventSetWait_v2(e, 0).eventData",
        "n.nvmlEventSetWait_v2(e, 0)",
        f"[list(x.values()) for x in {wait}]",
        wait,
    )

    assert ask(tmp_path, library, before, expressions, later)[3:] == [
        "error 6", None, [80, 99, 87], [1], 79, "error 10", [[1, 0x3B00]], [],
    ]  # fmt: skip


def test_a_wait_ends_early_with_an_event(tmp_path: Path, library: Path) -> None:
    """A wait for an event of the system ends when the event comes, long before its time is over."""
    wait = "n.nvmlSystemEventSetWait(n.nvmlSystemEventSetWaitRequest_v1, set_, 50000, (n.c_nvmlSystemEventData_v1_t * 2)(), 2)"
    expressions = [
        "globals().update(set_=n.nvmlSystemEventSetCreate(n.nvmlSystemEventSetCreateRequest_v1))",
        "n.nvmlSystemRegisterEvents(n.nvmlSystemRegisterEventRequest_v1, 2, set_)",
        "__import__('threading').Timer(0.05, change).start()",
        f"[list(x.values()) for x in {wait}]",
    ]
    later = Node(system_events=(SystemEvent(1, 1, 1), SystemEvent(2, 9, 2)))

    assert ask(tmp_path, library, Node(), expressions, later)[-1] == [[2, 9]]  # the other kind was not registered for


def test_a_gpu_that_is_lost_and_comes_back(tmp_path: Path, library: Path) -> None:
    """A lost GPU answers so to everything; the others, and itself later, as ever."""
    lost = Node((Gpu("GPU-0", lost=1), Gpu("GPU-1")))
    back = Node((Gpu("GPU-0"), Gpu("GPU-1")))
    expressions = [
        f"n.nvmlDeviceGetUUID({P})",
        f"n.nvmlDeviceGetUUID({D})",
        "change()",
        f"n.nvmlDeviceGetPowerUsage({D})",
    ]

    assert ask(tmp_path, library, lost, expressions, back) == ["GPU-1", "error 15", None, 345_600]


def test_a_privileged_caller_sees_the_processes_of_a_whole_gpu(tmp_path: Path, library: Path) -> None:
    """In MIG mode the list of the GPU is its instances', each with its ids, where the text permits it."""
    node, expressions = of(replace(SPLIT, parent_processes=1), "n.nvmlDeviceGetComputeRunningProcesses_v3(DEVICE)")

    assert ask(tmp_path, library, node, expressions) == [[[77, 5, 7, 0]]]


@pytest.mark.parametrize(
    ("gpu", "answers"),
    [
        (a100("GPU-0"), [0, "error 3", [1, 0, 0, 0], "error 3", 1, [[0, 3, 1000 << 20], 3], [1, 4]]),
        (blackwell("GPU-0"), [1, None, [1, 0, 0, 0], "error 3", 1, [3, [0, 3, 5_000_000]], [1, 7]]),
        (t4("GPU-0"), [0, "error 3", "error 3", [0x1234, 0x5678], "error 3", [3, 3], "error 3"]),
    ],
    ids=["a100", "blackwell", "t4"],
)
def test_models_differ_in_what_they_have(tmp_path: Path, library: Path, gpu: Gpu, answers: list[Any]) -> None:
    """GPM, remapped rows, retired pages, NVLink and its fields are there where the architecture has them."""
    node, expressions = of(
        gpu,
        "n.nvmlGpmQueryDeviceSupport(DEVICE).isSupportedDevice",
        "n.nvmlGpmSampleGet(DEVICE, n.nvmlGpmSampleAlloc()) and None",
        "n.nvmlDeviceGetRemappedRows(DEVICE)",
        "n.nvmlDeviceGetRetiredPages(DEVICE, 0)",
        "n.nvmlDeviceGetNvLinkState(DEVICE, 0)",
        "fields(DEVICE, (138, 0), (202, 0))",
        "[n.nvmlDeviceGetNvLinkState(DEVICE, 11), n.nvmlDeviceGetNvLinkVersion(DEVICE, 0)]",
    )

    assert ask(tmp_path, library, node, expressions) == answers


def test_a_symbol_can_be_missing_and_nothing_is_compiled_for_it(tmp_path: Path, library: Path) -> None:
    """A library without a symbol is the same but for its name, and nvidia-ml-py says that the function is not there."""
    library_before = linked()
    node, expressions = of(Gpu("GPU-0"), "n.nvmlDeviceGetPerformanceState(DEVICE)", "n.nvmlDeviceGetPowerUsage(DEVICE)")
    less = build(tmp_path, without=("nvmlDeviceGetPerformanceState",))

    assert ask(tmp_path, less, node, expressions) == ["error 13", 345_600]
    assert ask(tmp_path, library, node, expressions) == [0, 345_600]
    assert linked() is library_before
