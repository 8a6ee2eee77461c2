# SPDX-License-Identifier: Apache-2.0
"""The laws, over generated worlds: devices, pods, allocations and failures in any combination, tick after tick."""

from collections import Counter
from itertools import pairwise
from math import isclose
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, busy, frames, gpu, instance, memory
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.join.rules import STATES
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    Claim,
    Device,
    DeviceReport,
    Frames,
    Grant,
    Histogram,
    Metric,
    Pod,
    Reading,
    Snapshot,
)

RULES = Rules(linger=60.0, max_ended=5)
PERIOD = 5.0


@st.composite
def nodes(draw: st.DrawFn) -> list[Device]:
    """Draw up to four GPUs, some of them in MIG mode with instances."""
    devices: list[Device] = []
    for index in range(draw(st.integers(0, 4))):
        slots = draw(st.sampled_from([0, 0, 1, 3, 7]))
        devices.append(gpu(index, mig_enabled=slots > 0))
        devices += [instance(index, slot) for slot in range(slots)]
    return devices


@st.composite
def ticks(draw: st.DrawFn, count: int = 6) -> list[Frames]:
    """Draw a node's life: pods come, go and come again; sources fail; GPUs vanish; devices are shared at will."""
    node = draw(nodes())
    life = []
    for number in range(count):
        present = [d for d in node if draw(st.integers(0, 9)) > 0]
        readings = [memory(d, float(draw(st.integers(0, 80)))) for d in present]
        readings += [busy(d, 0.5) for d in present if not d.is_instance and not d.mig_enabled]
        readings += [reading for d in present for reading in draw_readings(draw, d)]
        pods = [
            Pod(
                f"uid-{name}-{draw(st.integers(0, 1))}",
                "ns",
                name,
                draw(st.sampled_from(["Running", "Running", "Succeeded"])),
            )
            for name in draw(st.sets(st.sampled_from("abcd")))
        ]
        names = st.sampled_from([p.name for p in pods] + ["stranger"])
        allocations = (
            [
                draw_allocation(draw, device, draw(names))
                for device in draw(st.lists(st.sampled_from(node), max_size=6))
                if node
            ]
            if node
            else []
        )
        life.append(
            frames(
                devices=draw(st.sampled_from([present, present, present, None])),
                readings=readings,
                unresponsive={d.uuid: 9.0 for d in present if not d.is_instance and draw(st.integers(0, 9)) == 0},
                excluded=draw(st.sampled_from([{}, {"GPU-excluded": "", "0000:3b:00.0": "NVIDIA H100"}])),
                allocations=draw(st.sampled_from([allocations, allocations, allocations, None])),
                pods=draw(st.sampled_from([pods, pods, None])),
                claims=draw(st.sampled_from([draw_claims(draw, allocations), None])),
                passed=number * PERIOD,
            )
        )
    return life


def draw_readings(draw: st.DrawFn, device: Device) -> list[Reading]:
    """Draw readings of each kind: of a share of time, of a state of several, of a link."""
    if device.is_instance:
        return [Reading(device.uuid, catalog.MIG_SM_ACTIVITY, (), 0.25)]
    links = draw(st.lists(st.sampled_from([0.0, 1.0]), max_size=3))
    reasons = draw(st.sets(st.sampled_from(catalog.THROTTLE_REASON.values)))
    actions = draw(st.sampled_from([(), catalog.RECOVERY_ACTION.values]))
    action = draw(st.sampled_from(catalog.RECOVERY_ACTION.values))
    return [
        Reading(device.uuid, catalog.GPU_SM_ACTIVITY, (), 0.25),
        *(Reading(device.uuid, catalog.NVLINK_UP, ((catalog.NVLINK.key, str(i)),), up) for i, up in enumerate(links)),
        *(
            Reading(device.uuid, catalog.GPU_THROTTLE_ACTIVE, ((catalog.THROTTLE_REASON.key, r),), float(r in reasons))
            for r in catalog.THROTTLE_REASON.values
        ),
        *(
            Reading(device.uuid, catalog.GPU_RECOVERY_ACTION, ((catalog.RECOVERY_ACTION.key, a),), float(a == action))
            for a in actions
        ),
    ]


def draw_allocation(draw: st.DrawFn, device: Device, pod: str) -> Allocation:
    """Draw one way in which a container can hold a device."""
    container = draw(st.sampled_from(["one", "two"]))
    if draw(st.booleans()):
        replica = draw(st.sampled_from([None, "0", "1"]))
        return Allocation("ns", pod, container, device.uuid, "nvidia.com/gpu", replica)
    name = f"gpu-{device.minor}"
    if device.is_instance:
        name += f"-mig-1g12gb-{device.profile_id}-{device.placement}"
    claim = Claim(
        "ns", draw(st.sampled_from(["x", "y"])), "gpu.nvidia.com", "n1", name, draw(st.sampled_from([None, "u"]))
    )
    return Allocation("ns", pod, container, name, claim=claim)


def draw_claims(draw: st.DrawFn, allocations: list[Allocation]) -> list[AllocatedClaim]:
    """Draw what the API server says of the claims in use: the truth, with admin access or not, or another UID."""
    return [
        AllocatedClaim(
            c.namespace,
            c.name,
            draw(st.sampled_from(["u", "v"])),
            (Grant("r", c.driver, c.pool, c.device, draw(st.booleans())),),
        )
        for c in (a.claim for a in allocations if a.claim)
    ]


def fold(life: list[Frames]) -> list[Snapshot]:
    state, snapshots = State(), []
    for tick in life:
        state, snapshot = account(state, join(tick, CONTEXT), RULES)
        snapshots.append(snapshot)
    return snapshots


def said(tick: Frames, source: str) -> list[Any]:
    """Give what a source that answers with a list said in this tick."""
    return [item for f in tick.good if f.source == source and isinstance(f.value, tuple) for item in f.value]


def value_of(snapshot: Snapshot, name: str) -> dict[str, float]:
    """Sum a gpu.owner metric by device."""
    total: dict[str, float] = {}
    for point in snapshot.points:
        if point.metric.name == name:
            device = dict(zip(point.metric.keys, point.attributes, strict=True))["hw.id"] or ""
            assert isinstance(point.value, float)
            total[device] = total.get(device, 0.0) + point.value
    return total


def gained_between(before: Snapshot, after: Snapshot, metric: Metric) -> dict[str, float]:
    """Give what the series of a counter have gained, by device. A series that is new has gained what it begins with."""
    earlier = {p.attributes: p.value for p in before.points if p.metric is metric}
    gained: dict[str, float] = {}
    for point in after.points:
        if point.metric is metric:
            was = earlier.get(point.attributes, 0.0)
            assert isinstance(point.value, float)
            assert isinstance(was, float)
            device = point.attributes[metric.keys.index(catalog.HW_ID.key)] or ""
            gained[device] = gained.get(device, 0.0) + point.value - was
    return gained


@given(ticks())
@settings(max_examples=150, deadline=None)
def test_once(life: list[Frames]) -> None:
    """No two points are the same series, and every point is aligned with its metric (laws 2 and 10)."""
    for snapshot in fold(life):
        series = Counter((p.metric.name, p.attributes) for p in snapshot.points)
        assert not [s for s, n in series.items() if n > 1]
        assert all(len(p.attributes) == len(p.metric.keys) for p in snapshot.points)
        assert all(p.metric in catalog.METRICS for p in snapshot.points)


@given(ticks())
@settings(max_examples=150, deadline=None)
def test_conservation_of_time(life: list[Frames]) -> None:
    """Between two snapshots that know who holds what, a device's owners and nobody together gain what passed (law 3)."""
    for before, after in pairwise(fold(life)):
        divided = {share.device for share in before.shares} & {share.device for share in after.shares}
        gained = gained_between(before, after, catalog.OWNER_TIME)
        assert gained.keys() >= divided
        for device, seconds in gained.items():
            assert abs(seconds - (PERIOD if device in divided else 0.0)) < 1e-6


@given(ticks())
@settings(max_examples=150, deadline=None)
def test_conservation_of_use(life: list[Frames]) -> None:
    """What a device's owners and nobody are said to use is what the device uses, or nothing is said (laws 2 and 3)."""
    for snapshot in fold(life):
        owned = value_of(snapshot, "gpu.owner.memory.usage")
        used = value_of(snapshot, "hw.gpu.memory.usage") | value_of(snapshot, "gpu.mig.memory.usage")
        assert all(isclose(used[device], total) for device, total in owned.items())
        active = value_of(snapshot, "gpu.sm.activity") | value_of(snapshot, "gpu.mig.sm.activity")
        assert all(
            isclose(active[device], total) for device, total in value_of(snapshot, "gpu.owner.sm.activity").items()
        )


@given(ticks())
@settings(max_examples=100, deadline=None)
def test_counters_never_fall(life: list[Frames]) -> None:
    """An owner's counter that stands in two snapshots has not fallen between them."""
    for before, after in pairwise(fold(life)):
        later = {p.attributes: p.value for p in after.points if p.metric is catalog.OWNER_TIME}
        for point in before.points:
            if point.metric is catalog.OWNER_TIME and point.attributes in later:
                assert later[point.attributes] >= point.value  # type: ignore[operator]  # both are numbers


@given(ticks())
@settings(max_examples=100, deadline=None)
def test_an_owner_is_a_pod_uid_and_a_holding_ends_with_its_pod(life: list[Frames]) -> None:
    """gpu.owner.info names only what this tick's kubelet answer holds (law 4)."""
    for tick, snapshot in zip(life, fold(life), strict=True):
        held = {(a.namespace, a.pod) for a in said(tick, "podresources")}
        named = {(h.owner.namespace, h.owner.pod) for h in snapshot.holdings}
        assert named <= held
        uids = {p.uid for p in said(tick, "pods")}
        assert {h.owner.uid for h in snapshot.holdings if h.owner.uid} <= uids


@given(ticks())
@settings(max_examples=100, deadline=None)
def test_device_series_do_not_depend_on_identity(life: list[Frames]) -> None:
    """Without any identity source the device series are the same (law 6)."""
    for tick in life:
        blind = Frames(
            tick.now, tick.steady, tick.outcomes, tuple(f for f in tick.good if f.source == "nvidia"), tick.ages
        )

        def of_devices(snapshot: Snapshot) -> list[object]:
            return [
                p
                for p in snapshot.points
                if p.metric.name.startswith(("hw.", "gpu."))
                and not p.metric.name.startswith("gpu.owner.")
                and p.metric
                not in (catalog.GPU_DEVICES, catalog.MIG_DEVICES)  # the node's counts say how many are held
            ]

        assert of_devices(join(tick, CONTEXT)) == of_devices(join(blind, CONTEXT))


@given(ticks(count=3))
@settings(max_examples=50, deadline=None)
def test_the_same_frames_give_the_same_snapshot(life: list[Frames]) -> None:
    """The join and the fold are pure: run twice, they say the same."""
    assert fold(life) == fold(life)


@given(ticks())
@settings(max_examples=100, deadline=None)
def test_a_source_that_says_nothing_contributes_nothing(life: list[Frames]) -> None:
    """No device report, no device value; no allocation, no owner (law 1)."""
    for tick, snapshot in zip(life, fold(life), strict=True):
        sources = {f.source for f in tick.good}
        names = {p.metric.name for p in snapshot.points} - {"gpu.owner.time", "gpu.owner.xid.errors"}  # they linger
        if "nvidia" not in sources:
            assert not [n for n in names if n.startswith(("hw.", "gpu.mig.")) or n in {"gpu.info", "gpu.devices"}]
        if "podresources" not in sources:
            assert not [n for n in names if n.startswith("gpu.owner.")]


@given(ticks())
@settings(max_examples=100, deadline=None)
def test_every_device_is_counted_once(life: list[Frames]) -> None:
    """The sums over gpu.devices and gpu.mig.devices are the numbers of GPUs, excluded ones among them, and of instances."""
    for tick in life:
        snapshot = join(tick, CONTEXT)
        for report in (f.value for f in tick.good if isinstance(f.value, DeviceReport)):
            instances = sum(device.is_instance for device in report.devices)
            gpus = len(report.devices) - instances + len(report.excluded)
            assert sum_of(snapshot, catalog.GPU_DEVICES) == gpus
            assert sum_of(snapshot, catalog.MIG_DEVICES) == instances


def sum_of(snapshot: Snapshot, metric: Metric) -> float:
    return sum(p.value for p in snapshot.points if p.metric is metric and not isinstance(p.value, Histogram))


@given(ticks())
@settings(max_examples=100, deadline=None)
def test_a_gpu_is_in_one_state_and_that_is_the_worst_of_its_causes(life: list[Frames]) -> None:
    """Exactly one state of hw.status is 1: ok where there is no cause, else the worst that a cause means."""
    for tick in life:
        points = join(tick, CONTEXT).points
        told = [(dict(zip(p.metric.keys, p.attributes, strict=True)), p) for p in points]
        states = [(a["hw.id"], a["hw.state"] or "") for a, p in told if p.metric is catalog.STATUS and p.value == 1.0]
        causes = [(a["hw.id"], a["hw.state"] or "") for a, p in told if p.metric is catalog.GPU_HEALTH_CAUSE]
        gpus = [a["hw.id"] for a, p in told if p.metric is catalog.GPU_INFO]
        assert Counter(uuid for uuid, _ in states) == Counter(gpus)
        for uuid, state in states:
            assert state == max((meant for of, meant in causes if of == uuid), key=STATES.index, default="ok")
