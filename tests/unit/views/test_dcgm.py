# SPDX-License-Identifier: Apache-2.0
"""dcgm-exporter's page: its names, units and labels, whose a device is, and what is never copied or invented."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

import frames
from inferometer import catalog
from inferometer.accounting import Plan, Rules, State, account
from inferometer.join import join
from inferometer.model import Allocation, Attribute, Device, KernelReport, Pod, Reading, Snapshot, Xid
from inferometer.views import dcgm
from inferometer.views.dcgm_fields import ABSENT, FIELDS, FREE, XID

GOLDEN = Path(__file__).parents[2] / "golden" / "views" / "dcgm.txt"
GIB = float(1 << 30)

# etc/default-counters.csv of dcgm-exporter 4.8.2, but for its label.
DEFAULT = """
DEV_SM_CLOCK DEV_MEM_CLOCK DEV_MEMORY_TEMP DEV_GPU_TEMP DEV_POWER_USAGE DEV_TOTAL_ENERGY_CONSUMPTION
DEV_PCIE_REPLAY_COUNTER DEV_GPU_UTIL DEV_MEM_COPY_UTIL DEV_ENC_UTIL DEV_DEC_UTIL DEV_XID_ERRORS DEV_FB_FREE DEV_FB_USED
DEV_FB_RESERVED DEV_NVLINK_BANDWIDTH_TOTAL DEV_VGPU_LICENSE_STATUS DEV_UNCORRECTABLE_REMAPPED_ROWS
DEV_CORRECTABLE_REMAPPED_ROWS DEV_ROW_REMAP_FAILURE PROF_GR_ENGINE_ACTIVE PROF_PIPE_TENSOR_ACTIVE PROF_DRAM_ACTIVE
PROF_PCIE_TX_BYTES PROF_PCIE_RX_BYTES
"""

Labels = dict[str, str]


def gpu(index: int, *, mig_enabled: bool = False, vendor: str = "NVIDIA") -> Device:
    details = {"hw.vendor": vendor, "hw.model": "NVIDIA H100", "gpu.pci.address": f"0000:{index:x}b:00.0"}
    address = details["gpu.pci.address"]
    return replace(frames.gpu(index, mig_enabled=mig_enabled), details=details, pci_address=address)


def readings(device: Device) -> list[Reading]:
    """What NVML says of a whole GPU at work."""
    uuid = device.uuid
    one = {
        catalog.POWER: 391.055,
        catalog.ENERGY: 782_790_244.004,
        catalog.PCIE_REPLAYS: 3.0,
        catalog.GPU_MEMORY_ACTIVITY: 0.29,
        catalog.GPU_MEMORY_LIMIT: 80 * GIB,
        catalog.GPU_MEMORY_USAGE: 20 * GIB,
        catalog.GPU_MEMORY_RESERVED: GIB / 2,
        catalog.GPU_ROW_REMAP_FAILURE: 0.0,
        catalog.GPU_GRAPHICS_ACTIVITY: 0.75,
        catalog.GPU_TENSOR_ACTIVITY: 0.5,
        catalog.GPU_DRAM_ACTIVITY: 0.25,
    }
    several = [
        (catalog.GPU_CLOCK_FREQUENCY, catalog.GPU_CLOCK, {"sm": 1.98e9, "memory": 2.619e9, "graphics": 1.98e9}),
        (catalog.TEMPERATURE, catalog.HW_SENSOR, {"core": 47.0, "memory": 48.0}),
        (catalog.GPU_UTILIZATION, catalog.HW_GPU_TASK, {"general": 0.57, "encoder": 0.0, "decoder": 0.07}),
        (catalog.GPU_ROW_REMAPS, catalog.ERROR_TYPE, {"corrected": 1.0, "uncorrected": 2.0}),
        (catalog.PCIE_THROUGHPUT, catalog.DIRECTION, {"transmit": 1.5e9, "receive": 2.5e8}),
    ]
    return [
        *(Reading(uuid, metric, (), value) for metric, value in one.items()),
        *(
            Reading(uuid, metric, ((attribute.key, name),), value)
            for metric, attribute, values in several
            for name, value in values.items()
        ),
    ]


def of_instance(device: Device, used: float) -> list[Reading]:
    values = {
        catalog.MIG_MEMORY_LIMIT: 12 * GIB,
        catalog.MIG_MEMORY_USAGE: used,
        catalog.MIG_GRAPHICS_ACTIVITY: 0.9,
        catalog.MIG_TENSOR_ACTIVITY: 0.4,
        catalog.MIG_DRAM_ACTIVITY: 0.3,
    }
    return [Reading(device.uuid, metric, (), value) for metric, value in values.items()]


def held(pod: str, device: Device, container: str = "main") -> Allocation:
    return Allocation("serving", pod, container, device.uuid, "nvidia.com/gpu")


ALONE, SHARED, DIVIDED, FREE_GPU = gpu(0), gpu(1), gpu(2, mig_enabled=True), gpu(3)
FIRST, SECOND = frames.instance(2, 0), frames.instance(2, 1)
DEVICES = (ALONE, SHARED, DIVIDED, FREE_GPU, FIRST, SECOND)
NOTHING = Plan()


def node(*, xids: tuple[Xid, ...] = (), devices: tuple[Device, ...] = DEVICES, plan: Plan = NOTHING) -> Snapshot:
    """A GPU that one pod has, one that two have, one with two instances of which one is held, and one that nobody has."""
    said = [r for d in devices if not d.is_instance for r in readings(d)]
    said += [r for d in devices if d.is_instance for r in of_instance(d, 3 * GIB)]
    allocations = [held("chat-0", ALONE), held("a-0", SHARED), held("b-0", SHARED), held("small-0", FIRST)]
    pods = [Pod(name, "serving", name) for name in ("chat-0", "a-0", "b-0", "small-0")]
    joined = join(
        frames.frames(
            devices=devices,
            readings=said,
            allocations=allocations,
            pods=pods,
            xids=xids,
            kernel=KernelReport(),
        ),
        frames.CONTEXT,
    )
    return account(State(), joined, Rules(), plan=plan)[1]


def read(snapshot: Snapshot) -> dict[str, list[tuple[Labels, float]]]:
    """Read a page by the library; a counter's name is as it stands on the page."""
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(dcgm.render(snapshot).decode()):
        for sample in family.samples:
            series = found.setdefault(family.name, [])
            assert sample.labels not in [labels for labels, _ in series], "a series stands twice"
            series.append((sample.labels, sample.value))
    return found


def test_page_is_the_golden_one() -> None:
    """The example node's page is, byte for byte, the reviewed one."""
    page = dcgm.render(node())
    if os.environ.get("INFEROMETER_UPDATE_GOLDENS"):
        GOLDEN.write_bytes(page)

    assert page == GOLDEN.read_bytes()


def test_every_default_counter_is_there_or_is_said_to_be_absent() -> None:
    """The 25 default counters of dcgm-exporter are those of the page and those that docs/dcgm.md says are not."""
    ours = {*(field.name for field in FIELDS), FREE[0], XID[0]}

    assert ours.isdisjoint(ABSENT)
    assert ours | set(ABSENT) == {f"DCGM_FI_{name}" for name in DEFAULT.split()}
    assert set(read(node())) == ours
    text = (Path(__file__).parents[3] / "docs" / "dcgm.md").read_text()
    assert all(f"`{name}`" in text for name in (*ours, *ABSENT))


def test_units_are_dcgms() -> None:
    """Megahertz, MiB, millijoules and percent, without the noise of the conversion."""
    page = read(node())
    first = {name: series[0][1] for name, series in page.items()}

    assert first["DCGM_FI_DEV_SM_CLOCK"] == 1980
    assert first["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == 782_790_244_004
    assert (first["DCGM_FI_DEV_GPU_UTIL"], first["DCGM_FI_DEV_DEC_UTIL"]) == (57, 7)
    memory = [first[f"DCGM_FI_DEV_FB_{name}"] for name in ("USED", "FREE", "RESERVED")]
    assert memory == [20 * 1024, 59.5 * 1024, 512]
    assert sum(memory) == 80 * 1024


def test_labels_are_dcgm_exporters() -> None:
    """Those of the GPU in its spelling, and the pod's."""
    (labels, _), *_ = read(node())["DCGM_FI_DEV_GPU_UTIL"]

    assert labels == {
        "gpu": "0",
        "UUID": "GPU-0",
        "pci_bus_id": "00000000:0B:00.0",
        "device": "nvidia0",
        "modelName": "NVIDIA H100",
        "Hostname": "n1",
        "pod": "chat-0",
        "namespace": "serving",
        "container": "main",
    }


def test_a_shared_gpu_is_nobodys() -> None:
    """One series for each device, whoever shares it: sums stay right, and no pod is given what others used."""
    power = read(node())["DCGM_FI_DEV_POWER_USAGE"]

    assert [labels["gpu"] for labels, _ in power] == ["0", "1", "2", "3"]
    assert [labels.get("pod") for labels, _ in power] == ["chat-0", None, None, None]


def test_an_instance_has_what_is_its_own_and_its_gpu_the_rest() -> None:
    """What instances tell is not told of the GPU again; power, which is the board's, is not copied onto them."""
    page = read(node())
    used = [series for series in page["DCGM_FI_DEV_FB_USED"] if series[0]["gpu"] == "2"]

    assert [(s["UUID"], s["GPU_I_PROFILE"], s["GPU_I_ID"], s.get("pod")) for s, _ in used] == [
        ("GPU-2", "1g.12gb", "7", "small-0"),
        ("GPU-2", "1g.12gb", "8", None),
    ]
    assert [value for _, value in page["DCGM_FI_DEV_FB_FREE"] if _["gpu"] == "2"] == [9 * 1024, 9 * 1024]
    assert not any("GPU_I_ID" in labels for labels, _ in page["DCGM_FI_DEV_POWER_USAGE"])


def test_compute_instances_of_one_gpu_instance_are_left_out() -> None:
    """dcgm-exporter's labels cannot tell them apart, and neither speaks for the whole."""
    twin = replace(FIRST, uuid="MIG-2-0-1", compute_instance=1)
    page = read(node(devices=(*DEVICES, twin)))

    assert [s["GPU_I_ID"] for s, _ in page["DCGM_FI_DEV_FB_USED"] if s["gpu"] == "2"] == ["8"]


def test_the_newest_xid_stays_until_the_next() -> None:
    """0 where the driver tells XIDs and there was none; absent where nobody tells."""
    told = (Xid(1, 31, frames.NOW - 9, "nvml", "GPU-0"), Xid(2, 79, frames.NOW - 5, "nvml", "GPU-0"))
    page = {labels["gpu"]: value for labels, value in read(node(xids=told))["DCGM_FI_DEV_XID_ERRORS"]}

    assert page == {"0": 79, "1": 0, "2": 0, "3": 0}
    silent = node()
    silent = replace(silent, points=tuple(p for p in silent.points if not p.metric.name.startswith("gpu.xid")))
    assert "DCGM_FI_DEV_XID_ERRORS" not in read(silent)


def test_what_is_not_read_is_absent() -> None:
    """No reading, no series; another vendor's GPU is none of DCGM's; an empty node is an empty page."""
    bare = replace(node(), points=tuple(p for p in node().points if p.metric is not catalog.GPU_MEMORY_USAGE))
    assert {labels["gpu"] for labels, _ in read(bare)["DCGM_FI_DEV_FB_FREE"]} == {"2"}
    assert dcgm.render(node(devices=(gpu(0, vendor="AMD"),))) == b""
    assert dcgm.render(node(devices=())) == b""


@pytest.mark.parametrize("container", ["main", "side"])
def test_a_container_is_named_where_it_is_one(container: str) -> None:
    """Two containers of one pod on one GPU are one owner, and no container."""
    snapshot = node()
    held_twice = [replace(h, container=container) for h in snapshot.holdings if h.device == "GPU-0"]
    page = read(replace(snapshot, holdings=(*snapshot.holdings, *held_twice)))
    (labels, _), *_ = page["DCGM_FI_DEV_POWER_USAGE"]

    assert (labels["pod"], labels.get("container")) == ("chat-0", "main" if container == "main" else None)


@pytest.mark.parametrize("attribute", [catalog.XID_CODE, catalog.GPU_INDEX, catalog.HW_VENDOR])
def test_what_series_do_without_is_no_label_and_takes_nothing_else(attribute: Attribute) -> None:
    """An attribute that the configuration drops is missing where it stood: the page and its other series stay."""
    plan = Plan.of({m: frozenset({attribute.key}) for m in catalog.METRICS if attribute.key in m.keys})
    snapshot = node(xids=(Xid(1, 31, frames.NOW - 9, "nvml", "GPU-0"),), plan=plan)
    page = read(snapshot)

    assert {labels["UUID"] for labels, _ in page["DCGM_FI_DEV_POWER_USAGE"]} == {f"GPU-{i}" for i in range(4)}
    assert b"None" not in dcgm.render(snapshot)
    codes = {labels["UUID"]: value for labels, value in page["DCGM_FI_DEV_XID_ERRORS"]}
    assert codes.get("GPU-0") == (None if attribute is catalog.XID_CODE else 31)  # which it was nobody knows


def test_an_xid_whose_time_has_no_place_is_not_said_to_be_none() -> None:
    """A limit may leave out when the last one was: that there was one is told by the counter, and which it was by nobody."""
    snapshot = node()
    points = (
        p._replace(value=1.0) if p.metric is catalog.XID_EVENTS and "GPU-0" in p.attributes else p
        for p in snapshot.points
    )
    snapshot = replace(snapshot, points=tuple(points))

    assert {labels["gpu"] for labels, _ in read(snapshot)["DCGM_FI_DEV_XID_ERRORS"]} == {"1", "2", "3"}
