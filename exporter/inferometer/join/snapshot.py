# SPDX-License-Identifier: Apache-2.0
"""The snapshot of one tick: devices, owners, engines, and the agent's own health."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from inferometer import catalog
from inferometer.join.agent import put_agent, put_identity
from inferometer.join.context import Context
from inferometer.join.costs import put_costs
from inferometer.join.counts import put_counts
from inferometer.join.devices import put_devices, put_measured, put_owners
from inferometer.join.draft import Draft
from inferometer.join.engines import put_engines
from inferometer.join.health import examine, worst
from inferometer.join.noted import note
from inferometer.join.owned import find_owned
from inferometer.join.reports import find, merge, no_driver
from inferometer.join.rules import FAILED
from inferometer.join.spool import put_spool
from inferometer.join.traffic import put_refusals, put_traffic
from inferometer.join.users import put_processes, put_vgpus
from inferometer.join.uses import put_intruders, put_uses
from inferometer.join.valid import good, items
from inferometer.join.work import find_work
from inferometer.model import (
    Frame,
    Frames,
    KernelReport,
    Reading,
    Snapshot,
    SourceHealth,
    Whereabouts,
)


def join(frames: Frames, context: Context) -> Snapshot:
    """Make the snapshot of one tick, without the counters of our own: `accounting.account` adds those.

    A value appears once (law 2), with its device's identity only (law 6); whose it is stands on `gpu.owner.*`.
    """
    draft = Draft(frames.now, context)
    recall = draft.recall
    devices = find(frames)
    report = merge(devices)
    noted = note(report, tuple([put_measured(draft, told) for told in devices]), recall) if report else None
    logs = good(frames, "kernel_log", KernelReport)
    log = logs[0].value if logs else None
    xids = (*(report.events if report else ()), *(log.xids if log else ()))
    owned = find_owned(
        frames, report.devices if report else None, noted.memory if noted else (), context, draft.common, recall
    )
    ownership, pods = owned.ownership, owned.pods

    if report is not None and noted is not None:
        health = examine(report, noted.health, xids, frames.now, recall)
        for told in devices:
            put_devices(draft, told, health, frames.ages[told.source, ""])
        failed = recall.of("failed", health, lambda: {uuid for uuid, rules in health.items() if worst(rules) == FAILED})
        at = devices[0].at
        draft.say(
            "counts", put_counts, report.devices, report.excluded, report.nameless, ownership, frozenset(failed), at=at
        )
        if context.process_series:
            draft.say("processes", put_processes, report.devices, report.processes)
        draft.say("vgpus", put_vgpus, report.devices, report.vgpus)
        for told in devices:
            put_costs(draft, told.source, told.report, told.at)
        places = items(frames, "cgroups", Whereabouts, recall)
        work = recall.of(
            "work",
            (noted.processes, report.processes, places, pods),
            lambda: find_work(noted.processes, report.processes, places, pods),
        )
        if ownership.level != "none":
            put_uses(draft, noted.uses, noted.layouts, report.devices, owned.divisions, work, at)
        draft.say("intruders", put_intruders, report.devices, ownership, work, pods)
    elif no_driver(frames):
        draft.say("no driver", lambda sheet: sheet.put(catalog.GPU_DEVICES, {}, 0.0))
    draft.say("owners", put_owners, owned)
    found = put_engines(draft, frames, pods, context)
    sources = tuple([_health(outcome, frames) for outcome in frames.outcomes])
    put_agent(draft, sources)
    put_identity(draft, frames, ownership.level)
    draft.say("traffic", put_traffic, frames.requests)
    if frames.spool is not None:
        draft.say("spool", put_spool, frames.spool)
    draft.say("refusals", put_refusals, frames.refusals, frames.unusable)

    return Snapshot(
        at=frames.now,
        steady=frames.steady,
        node=context.node,
        devices=report.devices if report else (),
        holdings=ownership.holdings,
        tenures=owned.tenures,
        shares=owned.shares,
        undivided=owned.undivided,
        energies=_energies(noted.energies) if noted else MappingProxyType({}),
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


def _energies(readings: Iterable[Reading]) -> Mapping[str, float]:
    """Give what each GPU says that it has consumed."""
    return MappingProxyType({r.subject: r.value for r in readings if isinstance(r.value, float)})


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
