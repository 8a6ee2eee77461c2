# SPDX-License-Identifier: Apache-2.0
"""Frames made by hand: what the sources would have said, for the tests of the join and the fold."""

from collections.abc import Sequence

from inferometer import catalog
from inferometer.join import Context
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    Device,
    DeviceReport,
    EngineReport,
    Frame,
    Frames,
    KernelReport,
    Pod,
    PooledDevice,
    Process,
    Reading,
    Reason,
    Resource,
    Trouble,
    Whereabouts,
    Xid,
)

NOW = 1_795_000_000.0
NODE = Resource.of({"service.name": "inferometer", "service.instance.id": "n1", "k8s.node.name": "n1"})
CONTEXT = Context(NODE, team_keys=("team",), cost_center_keys=("cost-center",))


def gpu(index: int, *, mig_enabled: bool = False) -> Device:
    return Device(f"GPU-{index}", index, minor=index, mig_enabled=mig_enabled)


def instance(parent: int, slot: int, profile: str = "1g.12gb", profile_id: int = 19) -> Device:
    return Device(
        f"MIG-{parent}-{slot}",
        parent,
        minor=parent,
        parent=f"GPU-{parent}",
        profile=profile,
        gpu_instance=slot + 7,
        compute_instance=0,
        profile_id=profile_id,
        placement=slot,
    )


def memory(device: Device, used: float) -> Reading:
    metric = catalog.MIG_MEMORY_USAGE if device.is_instance else catalog.GPU_MEMORY_USAGE
    return Reading(device.uuid, metric, (), used)


def busy(device: Device, fraction: float) -> Reading:
    return Reading(device.uuid, catalog.GPU_UTILIZATION, ((catalog.HW_GPU_TASK.key, "general"),), fraction)


def frame(source: str, value: object, instance: str = "", *, age: float = 0.0, now: float = NOW) -> Frame[object]:
    return Frame(source, instance, 1, now - age, 0.01, 5.0, value)


def failed(source: str, reason: Reason, instance: str = "", *, sequence: int = 1) -> Frame[object]:
    return Frame(source, instance, sequence, NOW, 0.01, 5.0, None, Trouble(reason, f"{source} failed", "Mend it."))


def frames(
    *,
    devices: Sequence[Device] | None = None,
    readings: Sequence[Reading] = (),
    unresponsive: dict[str, float] | None = None,
    nameless: int = 0,
    excluded: dict[str, str] | None = None,
    xids: Sequence[Xid] = (),
    kernel: KernelReport | None = None,
    allocations: Sequence[Allocation] | None = None,
    pods: Sequence[Pod] | None = None,
    claims: Sequence[AllocatedClaim] | None = None,
    slices: Sequence[PooledDevice] | None = None,
    processes: Sequence[Process] = (),
    places: Sequence[Whereabouts] | None = None,
    engines: Sequence[EngineReport] = (),
    troubles: Sequence[Frame[object]] = (),
    passed: float = 0.0,
) -> Frames:
    """Give the board's state `passed` seconds after NOW; None means that the source has nothing valid to say."""
    now = NOW + passed
    good: list[Frame[object]] = []
    if devices is not None:
        report = DeviceReport(
            tuple(devices),
            tuple(readings),
            unresponsive=unresponsive or {},
            nameless=nameless,
            events=tuple(xids),
            excluded=excluded or {},
            processes=tuple(processes),
        )
        good.append(frame("nvidia", report, now=now))
    if kernel is not None:
        good.append(frame("kernel_log", kernel, now=now))
    if allocations is not None:
        good.append(frame("podresources", tuple(allocations), now=now))
    if pods is not None:
        good.append(frame("pods", tuple(pods), now=now))
    if claims is not None:
        good.append(frame("claims", tuple(claims), now=now))
    if slices is not None:
        good.append(frame("slices", tuple(slices), now=now))
    if places is not None:
        good.append(frame("cgroups", tuple(places), now=now))
    good += [frame("engine", report, report.target.instance, now=now) for report in engines]
    return Frames(
        now, 1000.0 + passed, (*good, *troubles), tuple(good), {(f.source, f.instance): now - f.at for f in good}
    )
