# SPDX-License-Identifier: Apache-2.0
"""The snapshot of one tick: devices, owners, engines, and the agent's own health."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from inferometer import __version__, catalog
from inferometer.join.claims import Claims
from inferometer.join.context import Context
from inferometer.join.costs import put_costs
from inferometer.join.counts import put_counts
from inferometer.join.devices import put_devices, put_owners
from inferometer.join.draft import Draft
from inferometer.join.engines import put_engines
from inferometer.join.health import examine, worst
from inferometer.join.ownership import find_owners
from inferometer.join.pods import Pods
from inferometer.join.reports import find, merge, no_driver
from inferometer.join.resolve import Devices
from inferometer.join.rules import FAILED
from inferometer.join.shares import divide, tenures, undivided
from inferometer.join.traffic import put_traffic
from inferometer.join.users import put_processes, put_vgpus
from inferometer.join.uses import put_intruders, put_uses
from inferometer.join.valid import good, items
from inferometer.join.work import find_work
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    DeviceReport,
    Frame,
    Frames,
    KernelReport,
    Pod,
    PooledDevice,
    Snapshot,
    SourceHealth,
    Whereabouts,
)


def join(frames: Frames, context: Context) -> Snapshot:
    """Make the snapshot of one tick, without the counters of our own: `accounting.account` adds those.

    A value appears once (law 2), with its device's identity only (law 6); whose it is stands on `gpu.owner.*`.
    """
    draft = Draft(frames.now, context)
    devices = find(frames)
    report = merge(devices)
    logs = good(frames, "kernel_log", KernelReport)
    log = logs[0].value if logs else None
    xids = (*(report.events if report else ()), *(log.xids if log else ()))
    allocations = items(frames, "podresources", Allocation)
    pods = Pods(items(frames, "pods", Pod), context.team_keys, context.cost_center_keys)
    claims = Claims(items(frames, "claims", AllocatedClaim))
    known = Devices(report.devices if report else None, items(frames, "slices", PooledDevice))
    ownership = find_owners(known, allocations, pods, claims, context.itself, _memory(report), context.drivers)
    divisions = divide(ownership, known.by_uuid, uid_known=pods.known, common=draft.common)

    if report is not None:
        health = examine(report, xids, frames.now)
        for told in devices:
            put_devices(draft, told.report, health, told.at, frames.ages[told.source, ""])
        failed = {uuid for uuid, rules in health.items() if worst(rules) == FAILED}
        put_counts(draft, report, ownership, failed, devices[0].at)
        if context.process_series:
            put_processes(draft, report)
        put_vgpus(draft, report)
        for told in devices:
            put_costs(draft, told.source, told.report, told.at)
        work = find_work(report, items(frames, "cgroups", Whereabouts), pods)
        if ownership.level != "none":
            put_uses(draft, report, divisions, work, devices[0].at)
        put_intruders(draft, report, ownership, work, pods)
    elif no_driver(frames):
        draft.put(catalog.GPU_DEVICES, {}, 0.0)
    put_owners(draft, ownership, known.by_uuid)
    engines, doubts, left_out = put_engines(draft, frames, pods, context)
    sources = tuple(_health(outcome, frames) for outcome in frames.outcomes)
    _put_agent(draft, sources, ownership.level)
    put_traffic(draft, frames.requests)
    if (age := frames.ages.get(("podresources", ""))) is not None:
        draft.put(catalog.IDENTITY_AGE, {}, age)

    return Snapshot(
        at=frames.now,
        steady=frames.steady,
        node=context.node,
        devices=report.devices if report else (),
        holdings=ownership.holdings,
        tenures=tenures(divisions),
        shares=tuple(share for each in divisions.values() for share in (*each.shares, each.rest)),
        undivided=undivided(ownership, known.by_uuid, draft.common),
        energies=_energies(report) if report else MappingProxyType({}),
        engines=engines,
        sources=sources,
        failures=tuple((f.source, f.instance, f.sequence, f.trouble.reason) for f in frames.outcomes if f.trouble),
        sequence=max((f.sequence for f in (*frames.outcomes, *frames.good)), default=0),
        drops=(
            *doubts,
            ("driver_call", 0, 0),
            *(("driver_call", told.sequence, len(told.report.failed)) for told in devices),
        ),
        dropped=MappingProxyType({**frames.dropped, "series": left_out, "repeated": draft.repeated}),
        exports=frames.exports,
        unsupported=report.unsupported if report else (),
        failed=report.failed if report else (),
        xids=xids,
        sxids=log.sxids if log else (),
        kernel_lost=log.lost if log else None,
        points=draft.points(),
        simulated=context.simulated,
    )


def _memory(report: DeviceReport | None) -> Mapping[str, float]:
    """Give how much memory each device has."""
    limits = (catalog.GPU_MEMORY_LIMIT, catalog.MIG_MEMORY_LIMIT)
    readings = report.readings if report else ()
    return {r.subject: r.value for r in readings if r.metric in limits and isinstance(r.value, float)}


def _energies(report: DeviceReport) -> Mapping[str, float]:
    """Give what each GPU says that it has consumed."""
    return MappingProxyType(
        {r.subject: r.value for r in report.readings if r.metric is catalog.ENERGY and isinstance(r.value, float)}
    )


def _health(outcome: Frame[object], frames: Frames) -> SourceHealth:
    trouble = outcome.trouble
    return SourceHealth(
        source=outcome.source,
        instance=outcome.instance,
        up=trouble is None,
        age=frames.ages.get((outcome.source, outcome.instance)),
        took=outcome.took,
        reason=trouble.reason if trouble else "",
        message=trouble.message if trouble else "",
        remedy=trouble.remedy if trouble else "",
    )


def _put_agent(draft: Draft, health: Iterable[SourceHealth], level: str) -> None:
    draft.put(catalog.AGENT_INFO, {catalog.VERSION.key: __version__}, 1.0)
    for source in health:
        attributes = {catalog.SOURCE.key: source.source, catalog.SOURCE_INSTANCE.key: source.instance}
        draft.put(catalog.SOURCE_UP, attributes, float(source.up))
        draft.put(catalog.SOURCE_DURATION, attributes, source.took)
        if source.age is not None:
            draft.put(catalog.SOURCE_AGE, attributes, source.age)
    for possible in catalog.LEVEL.values:
        draft.put(catalog.IDENTITY_LEVEL, {catalog.LEVEL.key: possible}, float(possible == level))
