# SPDX-License-Identifier: Apache-2.0
"""How many GPUs and MIG instances there are, by model or profile, and by state."""

from dataclasses import replace

from frames import CONTEXT, frames, gpu, instance
from inferometer import catalog
from inferometer.join import join
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    Claim,
    Device,
    Frames,
    Grant,
    Metric,
    Pod,
)

H100 = {"hw.model": "NVIDIA H100"}


def whole(index: int, *, mig_enabled: bool = False) -> Device:
    return replace(gpu(index, mig_enabled=mig_enabled), details=H100)


def held(device: Device, pod: str = "a") -> Allocation:
    return Allocation("ns", pod, "main", device.uuid, "nvidia.com/gpu")


def counted(tick: Frames, metric: Metric = catalog.GPU_DEVICES) -> dict[tuple[str | None, ...], float]:
    """Give what is not 0, by the metric's attributes."""
    return {p.attributes[:-2]: float(p.value) for p in join(tick, CONTEXT).points if p.metric is metric and p.value}  # type: ignore[arg-type]  # no histogram


def test_gpus_are_held_or_free() -> None:
    """Two pods on one GPU are one held GPU; every state of a model that is here stands, with 0."""
    tick = frames(
        devices=[whole(0), whole(1), whole(2)],
        allocations=[held(whole(0)), held(whole(0), "b")],
        pods=[Pod("u", "ns", "a")],
    )

    assert counted(tick) == {("NVIDIA H100", "held"): 1.0, ("NVIDIA H100", "free"): 2.0}
    states = {p.attributes[1] for p in join(tick, CONTEXT).points if p.metric is catalog.GPU_DEVICES}
    assert states == set(catalog.GPU_STATE.values)


def test_a_gpu_that_never_said_who_it_is_is_unhealthy() -> None:
    """The driver counts it and no call on it answers: it is there, without a model, and cannot be used."""
    tick = frames(devices=[whole(0)], allocations=[], nameless=1)

    assert counted(tick) == {("NVIDIA H100", "free"): 1.0, (None, "unhealthy"): 1.0}


def test_a_gpu_in_mig_mode_is_held_if_one_of_its_instances_is() -> None:
    """The instances are counted by their own name, by profile."""
    cut, other = whole(0, mig_enabled=True), whole(1, mig_enabled=True)
    small, big, free = instance(0, 0), instance(0, 4, "3g.40gb", 9), instance(1, 0)
    tick = frames(devices=[cut, small, big, other, free], allocations=[held(big)])

    assert counted(tick) == {("NVIDIA H100", "held"): 1.0, ("NVIDIA H100", "free"): 1.0}
    assert counted(tick, catalog.MIG_DEVICES) == {("1g.12gb", "free"): 2.0, ("3g.40gb", "held"): 1.0}


def test_admin_access_holds_nothing() -> None:
    """A pod that only looks on leaves the GPU free; whose access is not known holds it."""
    claim = Claim("ns", "c", "gpu.nvidia.com", "n1", "gpu-0", "u")
    looks = [Allocation("ns", "monitor", "main", "gpu-0", claim=claim)]
    grant = AllocatedClaim("ns", "c", "u", (Grant("r", "gpu.nvidia.com", "n1", "gpu-0", admin=True),))

    assert counted(frames(devices=[whole(0)], allocations=looks, claims=[grant])) == {("NVIDIA H100", "free"): 1.0}
    assert counted(frames(devices=[whole(0)], allocations=looks)) == {("NVIDIA H100", "held"): 1.0}


def test_a_failed_gpu_is_unhealthy_whoever_holds_it() -> None:
    """So are its instances."""
    cut = whole(0, mig_enabled=True)
    tick = frames(
        devices=[cut, instance(0, 0), whole(1)],
        allocations=[held(instance(0, 0)), held(whole(1))],
        unresponsive={cut.uuid: 5.0},
    )

    assert counted(tick) == {("NVIDIA H100", "unhealthy"): 1.0, ("NVIDIA H100", "held"): 1.0}
    assert counted(tick, catalog.MIG_DEVICES) == {("1g.12gb", "unhealthy"): 1.0}


def test_where_nobody_tells_who_holds_what_nothing_is_free() -> None:
    """Without the kubelet's answer a GPU may well be held."""
    tick = frames(devices=[whole(0, mig_enabled=True), instance(0, 0)])

    assert counted(tick) == {("NVIDIA H100", "unknown"): 1.0}
    assert counted(tick, catalog.MIG_DEVICES) == {("1g.12gb", "unknown"): 1.0}


def test_who_holds_everything_in_an_unknown_role_leaves_it_free() -> None:
    """A monitor whose claim cannot be read makes no GPU held; whoever holds one of them as well does."""
    watched = [
        Allocation("ns", "w", "main", f"gpu-{i}", claim=Claim("ns", "w", "gpu.nvidia.com", "n1", f"gpu-{i}"))
        for i in range(2)
    ]
    tick = frames(
        devices=[whole(0), whole(1)],
        allocations=[*watched, held(whole(1))],
        pods=[Pod("u", "ns", "a"), Pod("w", "ns", "w")],
    )

    assert counted(tick) == {("NVIDIA H100", "free"): 1.0, ("NVIDIA H100", "held"): 1.0}


def test_excluded_gpus_are_counted_by_what_is_known_of_them() -> None:
    """A GPU that is left out on purpose is there; one that shows all the same is counted once."""
    tick = frames(
        devices=[whole(0)],
        allocations=[],
        excluded={"GPU-9": "NVIDIA H100", "0000:5e:00.0": "", "GPU-0": "NVIDIA H100"},
    )

    assert counted(tick) == {("NVIDIA H100", "free"): 1.0, ("NVIDIA H100", "excluded"): 1.0, (None, "excluded"): 1.0}


def test_a_driver_without_a_gpu_counts_0() -> None:
    """One point, without attributes, so that a sum is a number."""
    points = [p for p in join(frames(devices=[]), CONTEXT).points if p.metric is catalog.GPU_DEVICES]

    assert [(p.value, set(p.attributes)) for p in points] == [(0.0, {None})]
