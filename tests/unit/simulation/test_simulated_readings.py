# SPDX-License-Identifier: Apache-2.0
"""What the stand-in for pynvml reads of simulated GPUs at work, and of faults, is what the node's books say."""

from ctypes import byref
from types import ModuleType
from typing import Any

import pytest

from inferometer.simulation import scenario
from inferometer.simulation.activity import PARTS
from inferometer.simulation.ledger import DeviceLedger, Ledger
from inferometer.simulation.node import SimulatedNode
from inferometer.simulation.readout import read_out
from inferometer.simulation.registers import SIZE
from inferometer.simulation.world import World


def gpu_of(ledger: Ledger, index: int) -> DeviceLedger:
    return next(d for d in ledger.devices if d.index == index and d.parent is None)


def ask(library: ModuleType, older: Any, newer: Any, *ids: int) -> dict[int, float | None]:
    """Query GPM between two samples; None for a metric that is refused."""
    query = library.c_nvmlGpmMetricsGet_t()
    query.version, query.numMetrics = library.NVML_GPM_METRICS_GET_VERSION, len(ids)
    query.sample1, query.sample2 = older, newer
    for i, number in enumerate(ids):
        query.metrics[i].metricId = number
    library.nvmlGpmMetricsGet(query)
    return {m.metricId: None if m.nvmlReturn else m.value for m in (query.metrics[i] for i in range(len(ids)))}


def field(library: ModuleType, gpu: int, number: int, scope: int = 0) -> int | None:
    (answer,) = library.nvmlDeviceGetFieldValues(library.nvmlDeviceGetHandleByIndex(gpu), [(number, scope)])
    return None if answer.nvmlReturn else int(answer.value.ullVal)


@pytest.mark.parametrize("seconds", [0.1, 3.0, 17.3])
def test_gpm_is_the_exact_mean_between_two_samples(node: SimulatedNode, library: ModuleType, seconds: float) -> None:
    """Of each GPU and each instance, over any interval: what the books have more of, by the time; and again while it stands."""
    before = node.ledger()
    taken = []
    for entry in before.devices:
        handle = library.nvmlDeviceGetHandleByUUID(entry.parent or entry.uuid)
        group = (
            library.nvmlDeviceGetGpuInstanceId(library.nvmlDeviceGetHandleByUUID(entry.uuid)) if entry.parent else None
        )
        pair = library.nvmlGpmSampleAlloc(), library.nvmlGpmSampleAlloc(), library.nvmlGpmSampleAlloc()
        taken.append((entry, handle, group, pair))

    def sample(which: int) -> None:
        for _, handle, group, pair in taken:
            if group is None:
                library.nvmlGpmSampleGet(handle, pair[which])
            else:
                library.nvmlGpmMigSampleGet(handle, group, pair[which])

    sample(0)
    node.advance(seconds)
    sample(1)
    sample(2)
    after = node.ledger()
    for entry, _, _, (first, second, third) in taken:
        later = after.device(entry.uuid)
        expected = {
            number: pytest.approx(100 * (later.worked[part] - entry.worked[part]) / (after.at - before.at), abs=1e-6)
            for part, number in PARTS.items()
        }
        assert ask(library, first, second, *PARTS.values()) == expected
        assert ask(library, second, third, *PARTS.values()) == expected
        library.nvmlGpmSampleFree(first)
    assert any(d.worked["tensor"] > 0 for d in after.devices)


def test_instances_add_up_to_their_gpu(node: SimulatedNode) -> None:
    """A partitioned GPU worked as its instances did, by their part of the multiprocessors and of the memory."""
    node.advance(20.0)
    ledger = node.ledger()
    gpu = gpu_of(ledger, 2)
    instances = [d for d in ledger.devices if d.parent == gpu.uuid]
    for part, sizes, whole in (("sm", (60, 32, 16), 132), ("dram", (4, 2, 1), 8)):
        parts = sum(i.worked[part] * size for i, size in zip(instances, sizes, strict=True)) / whole
        assert gpu.worked[part] == pytest.approx(parts, rel=1e-4)
        assert parts > 0


def test_gpm_refuses_what_a_driver_refuses(node: SimulatedNode, library: ModuleType) -> None:
    """Links of an instance, chip-to-chip links, samples of different things, and metrics of a newer driver."""
    gpu = library.nvmlDeviceGetHandleByIndex(2)
    whole, part, empty = (library.nvmlGpmSampleAlloc() for _ in range(3))
    library.nvmlGpmSampleGet(gpu, whole)
    library.nvmlGpmMigSampleGet(gpu, 2, part)
    assert ask(library, part, part, 20, 60, 2)[20] is None
    assert ask(library, whole, whole, 100, 101) == {100: None, 101: None}
    for older, newer, number in ((whole, part, 2), (empty, whole, 2), (whole, whole, 248)):
        with pytest.raises(library.NVMLError_InvalidArgument):
            ask(library, older, newer, number)
    with pytest.raises(library.NVMLError_NotFound):
        library.nvmlGpmMigSampleGet(gpu, 6, part)
    assert library.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 1


def test_prompts_work_the_tensor_cores_and_decoding_the_memory() -> None:
    """The more of its time an engine computes prompts, the busier the tensor cores are by its memory."""
    world = World(1, 100)
    for key in ("chat", "guard", "code"):
        world.start(key, 0.0)
    shares = {}
    for _ in range(600):
        world.advance()
    ledger = world.ledger()
    for pod in ledger.pods:
        (device, *_) = ledger.held_by(pod.uid)
        worked = ledger.device(device.device).worked
        shares[pod.key] = worked["tensor"] / worked["dram"]
        assert worked["graphics"] >= worked["sm"] >= worked["tensor"] >= worked["hmma"] > 0
    assert shares["guard"] > shares["chat"]  # short answers to long questions


def test_only_tensor_parallel_gpus_talk_over_nvlink(node: SimulatedNode, library: ModuleType) -> None:
    """All links of the GPUs that share an engine count the same, GPM the same in all; the other GPUs' count nothing."""
    start = node.ledger()
    handle = library.nvmlDeviceGetHandleByIndex(0)
    samples = library.nvmlGpmSampleAlloc(), library.nvmlGpmSampleAlloc()
    library.nvmlGpmSampleGet(handle, samples[0])
    node.advance(10.0)
    library.nvmlGpmSampleGet(handle, samples[1])
    ledger = node.ledger()
    for index in range(8):
        gpu = gpu_of(ledger, index)
        links = tuple((field(library, index, 139, link) or 0) * 1024 for link in range(18))
        assert links == gpu.link_bytes
        assert (sum(links) > 0) == (index in {0, 1})
        assert field(library, index, 91) == 18
        assert (field(library, index, 198), field(library, index, 197)) == gpu.pcie_bytes
    moved = sum(gpu_of(ledger, 0).link_bytes) - sum(gpu_of(start, 0).link_bytes)
    assert ask(library, *samples, 60)[60] == pytest.approx(moved / 10 / (1 << 20), rel=1e-4)


def test_a_link_that_is_down_counts_nothing(node: SimulatedNode, library: ModuleType) -> None:
    """Its state is 0, its counters are refused and the fabric is degraded; the other links carry what it would; it can come back."""

    def fabric() -> Any:
        info = library.c_nvmlGpuFabricInfo_v2_t()
        library.nvmlDeviceGetGpuFabricInfoV(library.nvmlDeviceGetHandleByIndex(0), byref(info))
        return info

    assert (fabric().state, fabric().healthMask & 3) == (3, 2)
    node.nvlink(0, 7)
    node.advance(2.0)
    assert [field(library, 0, 165, link) for link in (6, 7)] == [1, 0]
    assert [field(library, 0, number, 7) for number in (139, 161, 164)] == [None] * 3
    assert gpu_of(node.ledger(), 0).links_down == {7}
    assert fabric().healthMask & 3 == 1
    node.nvlink(0, 7, up=True)
    assert field(library, 0, 139, 7) is not None
    with pytest.raises(ValueError, match="no NVLink 18"):
        node.nvlink(0, 18)


def test_throttling_is_counted_while_its_reason_stands(node: SimulatedNode, library: ModuleType) -> None:
    """A GPU at its limit counts nanoseconds of power capping at a lowered clock; one that idles is idle all the time."""
    capped = library.nvmlDeviceGetHandleByIndex(6)
    limit = library.nvmlDeviceGetEnforcedPowerLimit(capped)
    assert limit < library.nvmlDeviceGetPowerManagementDefaultLimit(capped) == 700_000
    for _ in range(900):
        before = field(library, 6, 74) or 0
        node.advance(0.1)
        mask = library.nvmlDeviceGetCurrentClocksEventReasons(capped)
        spent = (field(library, 6, 74) or 0) - before
        assert spent == (100_000_000 if mask & 4 else 0)
        assert (field(library, 6, 186) == limit) >= bool(mask & 4)
    entry = gpu_of(node.ledger(), 6)
    assert (field(library, 6, 74) or 0) / 1e9 == entry.throttled["sw_power_cap"] > 0
    idle = gpu_of(node.ledger(), 7)
    assert idle.reasons == ("idle",)
    assert idle.throttled == {"low_utilization": pytest.approx(node.ledger().at)}


def test_the_driver_s_samples_are_the_steps(node: SimulatedNode, library: ModuleType) -> None:
    """Those that are newer than asked, in order, none when time stands still; power's mean over ten is the power."""
    gpu = library.nvmlDeviceGetHandleByIndex(0)
    _, seen = library.nvmlDeviceGetSamples(gpu, library.NVML_TOTAL_POWER_SAMPLES, 0)
    newest = seen[-1].timeStamp
    with pytest.raises(library.NVMLError_NotFound):
        library.nvmlDeviceGetSamples(gpu, library.NVML_TOTAL_POWER_SAMPLES, newest)
    node.advance(1.0)
    _, later = library.nvmlDeviceGetSamples(gpu, library.NVML_TOTAL_POWER_SAMPLES, newest)
    assert [s.timeStamp - newest for s in later] == [100_000 * i for i in range(1, 11)]
    assert sum(s.sampleValue.uiVal for s in later) // 10 == library.nvmlDeviceGetPowerUsage(gpu)
    node.advance(60.0)
    _, all_of_them = library.nvmlDeviceGetSamples(gpu, library.NVML_GPU_UTILIZATION_SAMPLES, newest)
    assert len(all_of_them) == 64
    assert all(0 <= s.sampleValue.uiVal <= 100 for s in all_of_them)
    with pytest.raises(library.NVMLError_NotSupported):
        library.nvmlDeviceGetSamples(
            library.nvmlDeviceGetHandleByIndex(2), library.NVML_GPU_UTILIZATION_SAMPLES, newest
        )


def test_processes_are_the_pods(node: SimulatedNode, library: ModuleType) -> None:
    """Each device has one process of each of its pods, with its memory, and an id that Linux could give; a new pod has another."""
    ledger = node.ledger()
    pids = {pod.uid: pod.pid for pod in ledger.pods}
    for device in ledger.devices:
        handle = library.nvmlDeviceGetHandleByUUID(device.uuid)
        processes = library.nvmlDeviceGetComputeRunningProcesses_v3(handle)
        own = {device.uuid, *(d.uuid for d in ledger.devices if d.parent == device.uuid)}
        assert sorted(p.pid for p in processes) == sorted(
            pids[u] for u in {h.pod_uid for h in ledger.holdings if h.device in own}
        )
        assert sum(p.usedGpuMemory for p in processes) == device.memory_used
        assert library.nvmlDeviceGetGraphicsRunningProcesses_v3(handle) == []
    assert all(0 < pid < 1 << 22 for pid in pids.values())
    assert len(set(pids.values())) == len(pids)
    node.pod_dies("chat")
    assert library.nvmlDeviceGetComputeRunningProcesses_v3(library.nvmlDeviceGetHandleByIndex(0)) == []
    node.pod_starts("chat")
    assert node.ledger().pod("chat").pid not in pids.values()


def test_processes_tell_their_share_once_and_not_with_mig(node: SimulatedNode, library: ModuleType) -> None:
    """Those that worked since; Not Found when none did, or time stands still."""
    gpu = library.nvmlDeviceGetHandleByIndex(3)
    node.advance(3.0)
    samples = library.nvmlDeviceGetProcessesUtilizationInfo(gpu, 0)
    assert {s.pid for s in samples} <= {p.pid for p in library.nvmlDeviceGetComputeRunningProcesses_v3(gpu)}
    assert all(0 < s.smUtil <= 100 for s in samples)
    for index, since in ((3, samples[0].timeStamp), (5, 0)):
        with pytest.raises(library.NVMLError_NotFound):
            library.nvmlDeviceGetProcessUtilization(library.nvmlDeviceGetHandleByIndex(index), since)
    with pytest.raises(library.NVMLError_NotSupported):
        library.nvmlDeviceGetProcessUtilization(library.nvmlDeviceGetHandleByIndex(2), 0)


def test_faults_are_told_where_they_are(node: SimulatedNode, library: ModuleType) -> None:
    """ECC errors by type and place, rows that wait to be remapped, and what the driver says is to be done; of that GPU only."""
    node.ecc_error(4, "corrected", "dram", count=3)
    node.ecc_error(4, "uncorrected", "sram")
    node.remap_row(4)
    node.recovery_action(4, "gpu_reset")

    def told(index: int) -> tuple[object, ...]:
        handle = library.nvmlDeviceGetHandleByIndex(index)
        errors = tuple(
            library.nvmlDeviceGetMemoryErrorCounter(handle, kind, counter, place)
            for counter in (library.NVML_VOLATILE_ECC, library.NVML_AGGREGATE_ECC)
            for kind in (library.NVML_MEMORY_ERROR_TYPE_CORRECTED, library.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
            for place in (library.NVML_MEMORY_LOCATION_DRAM, library.NVML_MEMORY_LOCATION_SRAM)
        )
        sram = library.c_nvmlEccSramErrorStatus_v1_t()
        library.nvmlDeviceGetSramEccErrorStatus(handle, byref(sram))
        rows = library.nvmlDeviceGetRemappedRows(handle)
        assert rows == tuple(field(library, index, number) for number in range(142, 146))
        banks = library.nvmlDeviceGetRowRemapperHistogram(handle)
        return errors, sram.aggregateUncBucketSm, rows, (banks.max, banks.high), field(library, index, 230)

    assert told(4) == ((3, 0, 0, 1) * 2, 1, (0, 1, 1, 0), (2559, 1), 1)
    assert told(5) == ((0,) * 8, 0, (0, 0, 0, 0), (2560, 0), 0)
    entry = gpu_of(node.ledger(), 4)
    assert (entry.errors, entry.remap_pending, entry.recovery_action) == (
        {("corrected", "dram"): 3, ("uncorrected", "sram"): 1},
        True,
        "gpu_reset",
    )
    node.reset_gpu(4)
    assert told(4) == ((3, 0, 0, 1) * 2, 1, (0, 1, 0, 0), (2559, 1), 0)


def test_faults_that_no_gpu_has_are_refused(node: SimulatedNode) -> None:
    """A test that asks for one is told what there is."""
    with pytest.raises(ValueError, match="no ECC error is corrected in l2"):
        node.ecc_error(4, "corrected", "l2")
    with pytest.raises(ValueError, match="no row is remapped"):
        node.remap_row(4, "any")
    with pytest.raises(ValueError, match="no recovery action 'shake': none, gpu_reset"):
        node.recovery_action(4, "shake")


def test_mig_refuses_the_errors_that_a_real_one_refuses(library: ModuleType) -> None:
    """Volatile errors are an instance's, outside DRAM and uncorrected; what the GPU was made with stays the GPU's."""
    gpu = library.nvmlDeviceGetHandleByIndex(2)
    instance = library.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    assert library.nvmlDeviceGetMemoryErrorCounter(instance, 1, library.NVML_VOLATILE_ECC, 7) == 0
    assert library.nvmlDeviceGetMemoryErrorCounter(gpu, 1, library.NVML_AGGREGATE_ECC, 2) == 0
    for handle, kind, counter, place in ((gpu, 1, 0, 7), (instance, 0, 0, 7), (instance, 1, 0, 2), (instance, 1, 1, 7)):
        with pytest.raises(library.NVMLError_NotSupported):
            library.nvmlDeviceGetMemoryErrorCounter(handle, kind, counter, place)


def test_what_an_h100_has_not_is_refused(library: ModuleType) -> None:
    """Fans, retired pages, virtual GPUs, NVLink 5's counters, and chip-to-chip links, of which there are none."""
    gpu = library.nvmlDeviceGetHandleByIndex(0)
    for call, *arguments in (
        ("nvmlDeviceGetNumFans",),
        ("nvmlDeviceGetActiveVgpus",),
        ("nvmlDeviceGetVgpuUtilization", 0),
        ("nvmlDeviceGetRetiredPages", 0),
        ("nvmlDeviceGetRetiredPagesPendingStatus",),
    ):
        with pytest.raises(library.NVMLError_NotSupported):
            getattr(library, str(call))(gpu, *arguments)
    assert [field(library, 0, number, 0) for number in (29, 202, 204, 206)] == [None] * 4
    assert field(library, 0, 170) == 0
    assert library.nvmlGetExcludedDeviceCount() == 0


def test_the_registers_hold_a_dense_node() -> None:
    """Eight GPUs of seven instances take less than half of the room."""
    world = World(1, 100)
    for spec in scenario.PODS:
        if spec.started:
            world.start(spec.key, 0.0)
    world.advance(600)
    document = read_out(world)
    gpu = document["gpus"][2]
    gpu["instances"] = [gpu["instances"][0]] * 7
    document["gpus"] = [gpu] * 8
    assert len(repr(document)) < SIZE / 2
