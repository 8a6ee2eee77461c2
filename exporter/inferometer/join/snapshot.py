# SPDX-License-Identifier: Apache-2.0
"""The snapshot of one tick: devices, owners, engines, and the agent's own health."""

from collections.abc import Iterable
from types import MappingProxyType

from inferometer import __version__, catalog
from inferometer.join.context import Context
from inferometer.join.costs import put_costs
from inferometer.join.counts import put_counts
from inferometer.join.devices import put_devices, put_owners
from inferometer.join.draft import Draft
from inferometer.join.engines import put_engines
from inferometer.join.health import examine, worst
from inferometer.join.ownership import Claims, Pods, find_owners
from inferometer.join.rules import FAILED
from inferometer.join.users import put_processes, put_vgpus
from inferometer.join.valid import good, items
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    DeviceReport,
    Frame,
    Frames,
    KernelReport,
    Pod,
    Reason,
    Snapshot,
    SourceHealth,
)


def join(frames: Frames, context: Context) -> Snapshot:
    """Make the snapshot of one tick, without the counters of our own: `accounting.account` adds those.

    A value appears once (law 2), with its device's identity only (law 6); whose it is stands on `gpu.owner.*`.
    """
    draft = Draft(frames.now, context)
    devices = good(frames, "nvidia", DeviceReport)
    report = devices[0].value if devices else None
    logs = good(frames, "kernel_log", KernelReport)
    log = logs[0].value if logs else None
    xids = (*(report.events if report else ()), *(log.xids if log else ()))
    allocations = items(frames, "podresources", Allocation)
    pods = Pods(items(frames, "pods", Pod), context.team_keys, context.cost_center_keys)
    claims = Claims(items(frames, "claims", AllocatedClaim))
    ownership = find_owners(report.devices if report else None, allocations, pods, claims, draft.common)

    if report is not None:
        health = examine(report, xids, frames.now)
        put_devices(draft, report, health, devices[0].at, frames.ages[("nvidia", "")])
        failed = {uuid for uuid, rules in health.items() if worst(rules) == FAILED}
        put_counts(draft, report, ownership, failed, devices[0].at)
        if context.process_series:
            put_processes(draft, report)
        put_vgpus(draft, report)
        put_costs(draft, report, devices[0].at)
    elif any(f.source == "nvidia" and f.trouble and f.trouble.reason is Reason.MISSING for f in frames.outcomes):
        draft.put(catalog.GPU_DEVICES, {}, 0.0)  # no driver is an answer, not a failure
    put_owners(draft, ownership, report, devices[0].at if devices else frames.now)
    engines, doubts, left_out = put_engines(draft, frames, pods, context)
    sources = tuple(_health(outcome, frames) for outcome in frames.outcomes)
    _put_agent(draft, sources, ownership.level)

    return Snapshot(
        at=frames.now,
        steady=frames.steady,
        node=context.node,
        devices=report.devices if report else (),
        holdings=ownership.holdings,
        tenures=ownership.tenures,
        engines=engines,
        sources=sources,
        failures=tuple((f.source, f.instance, f.sequence, f.trouble.reason) for f in frames.outcomes if f.trouble),
        sequence=max((f.sequence for f in (*frames.outcomes, *frames.good)), default=0),
        drops=(*doubts, ("driver_call", devices[0].sequence if devices else 0, len(report.failed) if report else 0)),
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
