# SPDX-License-Identifier: Apache-2.0
"""The snapshot of one tick: devices, owners, engines, and the agent's own health."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from inferometer import __version__, catalog
from inferometer.join.context import Context
from inferometer.join.costs import put_costs
from inferometer.join.counts import put_counts
from inferometer.join.devices import put_devices, put_owners
from inferometer.join.draft import Draft
from inferometer.join.engines import put_engines
from inferometer.join.health import examine, worst
from inferometer.join.noted import ENERGIES, note
from inferometer.join.owned import SOURCES, find_owned
from inferometer.join.reports import find, merge, no_driver
from inferometer.join.rules import FAILED
from inferometer.join.spool import put_spool
from inferometer.join.traffic import put_refusals, put_traffic
from inferometer.join.users import put_processes, put_vgpus
from inferometer.join.uses import put_intruders, put_uses
from inferometer.join.valid import good, items
from inferometer.join.work import find_work
from inferometer.model import (
    DeviceReport,
    Frame,
    Frames,
    KernelReport,
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
    noted = note(report) if report is not None else None
    logs = good(frames, "kernel_log", KernelReport)
    log = logs[0].value if logs else None
    xids = (*(report.events if report else ()), *(log.xids if log else ()))
    owned = find_owned(frames, noted, context, draft.common)
    ownership, pods = owned.ownership, owned.pods

    if report is not None and noted is not None:
        health = examine(noted, xids, frames.now, context.memo)
        for told in devices:
            put_devices(draft, told.report, health, told.at, frames.ages[told.source, ""])
        failed = {uuid for uuid, rules in health.items() if worst(rules) == FAILED}
        put_counts(draft, report, ownership, failed, devices[0].at)
        if context.process_series:
            put_processes(draft, report)
        put_vgpus(draft, report)
        for told in devices:
            put_costs(draft, told.source, told.report, told.at)
        work = find_work(noted, items(frames, "cgroups", Whereabouts), pods)
        if ownership.level != "none":
            put_uses(draft, noted, owned.divisions, work, devices[0].at)
        put_intruders(draft, report, ownership, work, pods)
    elif no_driver(frames):
        draft.put(catalog.GPU_DEVICES, {}, 0.0)
    put_owners(draft, owned)
    found = put_engines(draft, frames, pods, context)
    sources = tuple(_health(outcome, frames) for outcome in frames.outcomes)
    _put_agent(draft, sources)
    _put_identity(draft, frames, ownership.level)
    put_traffic(draft, frames.requests)
    if frames.spool is not None:
        put_spool(draft, frames.spool)
    put_refusals(draft, frames.refusals, frames.unusable)

    return Snapshot(
        at=frames.now,
        steady=frames.steady,
        node=context.node,
        devices=report.devices if report else (),
        holdings=ownership.holdings,
        tenures=owned.tenures,
        shares=owned.shares,
        undivided=owned.undivided,
        energies=_energies(noted) if noted else MappingProxyType({}),
        engines=found.engines,
        balances=found.balances,
        starting=found.starting,
        sources=sources,
        failures=tuple((f.source, f.instance, f.sequence, f.trouble.reason) for f in frames.outcomes if f.trouble),
        sequence=max((f.sequence for f in (*frames.outcomes, *frames.good)), default=0),
        drops=(
            *found.doubts,
            ("driver_call", 0, 0),
            *(("driver_call", told.sequence, len(told.report.failed)) for told in devices),
        ),
        dropped=MappingProxyType({**frames.dropped, "pages": found.left_out, "repeated": draft.repeated}),
        exports=frames.exports,
        unsupported=report.unsupported if report else (),
        failed=report.failed if report else (),
        xids=xids,
        sxids=log.sxids if log else (),
        kernel_lost=log.lost if log else None,
        points=draft.points(),
        exemplars=found.exemplars,
        simulated=context.simulated,
    )


def _energies(report: DeviceReport) -> Mapping[str, float]:
    """Give what each GPU says that it has consumed."""
    return MappingProxyType(
        {r.subject: r.value for r in report.readings if r.metric in ENERGIES and isinstance(r.value, float)}
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


def _put_agent(draft: Draft, health: Iterable[SourceHealth]) -> None:
    draft.put(catalog.AGENT_INFO, {catalog.VERSION.key: __version__}, 1.0)
    for source in health:
        attributes = {catalog.SOURCE.key: source.source, catalog.SOURCE_INSTANCE.key: source.instance}
        draft.put(catalog.SOURCE_UP, attributes, float(source.up))
        draft.put(catalog.SOURCE_DURATION, attributes, source.took)
        if source.age is not None:
            draft.put(catalog.SOURCE_AGE, attributes, source.age)


def _put_identity(draft: Draft, frames: Frames, level: str) -> None:
    """Put how old and how complete the map of who holds what is: it is made of what each of its sources said last."""
    for source in SOURCES:
        if (age := frames.ages.get((source, ""))) is not None:
            age += frames.behind.get((source, ""), 0.0)
            draft.put(catalog.IDENTITY_AGE, {catalog.SOURCE.key: source}, age)
    for possible in catalog.LEVEL.values:
        draft.put(catalog.IDENTITY_LEVEL, {catalog.LEVEL.key: possible}, float(possible == level))
