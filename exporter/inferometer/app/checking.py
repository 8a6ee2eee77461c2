# SPDX-License-Identifier: Apache-2.0
"""What is there, what is missing and what to do, source by source."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from inferometer import catalog
from inferometer.app.finding import Finding
from inferometer.app.pipeline import FIRST_PATIENCE, REAL, Pipeline, Stand, at_a_glance
from inferometer.app.switched_off import switched_off
from inferometer.config import Config
from inferometer.join.blindness import STATISTICS_OFF
from inferometer.join.objectives import UNMEASURED
from inferometer.model import Reason, Snapshot, SourceHealth, Trouble
from inferometer.push import open_sender, resolve
from inferometer.sources.devices.kernel_log import KernelLog
from inferometer.sources.engines import advice
from inferometer.sources.identity.cgroups import Cgroups
from inferometer.sources.identity.slices import Slices

# Of a GPU in MIG mode NVML keeps what it does as a whole from everybody else, and some ECC counters always.
_PRIVILEGED = "Give the agent the capability SYS_ADMIN: for GPUs in MIG mode, the chart's gpuAccess.migMonitor does. Or do without."
_OUT_OF_REACH = (Reason.MISSING, Reason.PERMISSION, Reason.UNSUPPORTED)


def check(config: Config, environ: Mapping[str, str], stand: Stand = REAL) -> tuple[Finding, ...]:
    """Read every source once and say what came of it."""
    pipeline = Pipeline(at_a_glance(config), environ, stand)
    try:
        snapshot = pipeline.step(patience=max(FIRST_PATIENCE, config.identity.pods.deadline))
        notes, found = pipeline.notes, pipeline.engines
    finally:
        pipeline.close()
    # What only looks like an engine may well be none: nothing is wrong with it.
    refused = [
        Finding(
            f"engine {each.place}", "absent" if each.doubtful else "failed", f"not scraped: {each.reason}", each.remedy
        )
        for each in pipeline.refused
    ]
    engines = refused or _engines(config, snapshot)
    said = _said(snapshot)
    return (
        *_sources(snapshot, notes, found),
        *switched_off(config, environ),
        *unsupported(snapshot),
        *engines,
        *said,
        *_push(config, environ),
    )


def check_engines(config: Config, environ: Mapping[str, str], stand: Stand = REAL) -> tuple[Finding, ...]:
    """Read the pods and the engines once and say how each engine was found, and what is not scraped and why."""
    devices, identity = config.devices, config.identity
    alone = replace(
        config,
        devices=replace(
            devices, nvidia=replace(devices.nvidia, enabled=False), amd=replace(devices.amd, enabled=False)
        ),
        identity=replace(identity, podresources=replace(identity.podresources, enabled=False)),
    )
    return tuple(each for each in check(alone, environ, stand) if each.source.partition(" ")[0] in ("engine", "pods"))


def _sources(snapshot: Snapshot, notes: Mapping[str, str], found: Mapping[str, str]) -> list[Finding]:
    return [
        Finding(
            _label(health),
            _state(health),
            "; ".join(
                filter(
                    None,
                    (
                        health.message or notes.get(health.source) or _summary(health, snapshot),
                        found.get(health.instance) if health.source == "engine" else "",
                    ),
                )
            ),
            health.remedy,
        )
        for health in snapshot.sources
    ]


def _state(health: SourceHealth) -> str:
    if health.up:
        return "ok"
    if health.reason == Reason.RELEASED:
        return "off"  # an operator wants it so
    if health.source == KernelLog.name and health.reason in _OUT_OF_REACH:
        return "absent"  # most nodes' containers are not let to see it, and NVML tells most XIDs
    if health.source == Slices.name and health.reason in _OUT_OF_REACH:
        return "absent"  # NVIDIA's devices are known by their names too
    if health.source == Cgroups.name and health.reason in _OUT_OF_REACH:
        return "absent"  # without hostPID owners are known as well, only not what each of several uses
    return "missing" if health.reason == Reason.MISSING else "failed"


def _label(health: SourceHealth) -> str:
    return " ".join(filter(None, (health.source, health.instance)))


def _summary(health: SourceHealth, snapshot: Snapshot) -> str:
    """Say in a few words what a source that works found."""
    if health.source in {"nvidia", "amd"}:
        others = sum(d.details.get(catalog.HW_VENDOR.key, "NVIDIA") == "AMD" for d in snapshot.devices)
        if health.source == "amd":
            return f"{others} GPUs"
        gpus = sum(not d.is_instance for d in snapshot.devices) - others
        return f"{gpus} GPUs, {len(snapshot.devices) - gpus - others} MIG instances"
    if health.source == "podresources":
        return f"{len(snapshot.holdings)} holdings"
    for engine in snapshot.engines:
        if engine.target.instance == health.instance:
            serving = ", ".join(engine.models) or "no model named"
            return " ".join(filter(None, (engine.engine, engine.version))) + f" ({engine.kind}): {serving}"
    return f"answered in {health.took:.3f} s"


def _push(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """Say where OTLP goes, and which settings of it cannot be used; nothing where nobody asks for it."""
    settings, troubles = resolve(config.otlp, environ)
    findings = [Finding("otlp", "failed", trouble.message, trouble.remedy) for trouble in troubles]
    if settings is None:
        return findings
    try:
        open_sender(settings).close()
    except Trouble as trouble:
        return [*findings, Finding("otlp", "failed", trouble.message, trouble.remedy)]
    who = "the SDK" if settings.sender == "sdk" else "the agent"
    words = f"{who} pushes to {settings.place} every {settings.interval:g} s, {settings.temporality}, {settings.compression}"
    return [*findings, Finding("otlp", "ok", words)]


def unsupported(snapshot: Snapshot) -> list[Finding]:
    """Name what a device cannot tell: a panel that is empty for this is not broken."""
    calls: dict[tuple[str, str, str, str], list[str]] = {}
    for state, items in (("absent", snapshot.unsupported), ("degraded", snapshot.failed)):
        for item in items:
            calls.setdefault((state, item.metric, item.call, item.reason), []).append(item.device)
    return [
        Finding(
            "amd" if call.startswith("amdsmi_") else "nvidia",
            state,
            f"{_loss(metric, snapshot)} on {', '.join(devices)}: {call} answers {reason}",
            _PRIVILEGED if reason == "no_permission" and call.startswith("nvml") else "",
        )
        for (state, metric, call, reason), devices in calls.items()
    ]


def _loss(metric: str, snapshot: Snapshot) -> str:
    """Say what is lost with a call: XIDs have two tellers, and are counted where one of them can be heard."""
    heard = any(health.source == KernelLog.name and health.up for health in snapshot.sources)
    if metric == catalog.XID_ERRORS.name and heard:
        return f"{metric} is told by the kernel's log only"
    return f"{metric} is absent"


def _said(snapshot: Snapshot) -> list[Finding]:
    """Say what the engines' pages do not tell: anything at all, families that they should have, objectives."""
    findings = []
    for engine in snapshot.engines:
        name = engine.backend or engine.engine
        label = f"engine {engine.target.instance}"
        if engine.blind:
            remedy = advice.how_to_show(engine.target.engine or name) if engine.blind == STATISTICS_OFF else _OTHER_PAGE
            findings.append(Finding(f"{label} page", "missing", f"tells nothing of the engine: {engine.blind}", remedy))
        differing = [] if engine.blind or not engine.missing else [f"lacks {_names(engine.missing)}"]
        differing += [f"has what is not known: {_names(engine.unknown)}"] if engine.unknown else []
        if differing:
            findings.append(Finding(f"{label} families", "absent", f"its page {'; it '.join(differing)}", _UPGRADE))
        findings += [
            Finding(
                f"{label} objectives",
                "absent" if state == UNMEASURED else "missing",  # what an engine does not have is nobody's fault
                complaint,
                advice.how_to_measure(name, metric, state),
            )
            for metric, state, complaint in dict.fromkeys(engine.complaints)
        ]
    return findings


_MOST_NAMES = 8
_UPGRADE = "See whether a newer version of the agent knows the engine's version."
_OTHER_PAGE = "See whether it is the engine's port and path."


def _names(families: Sequence[str]) -> str:
    """Write the first few of a list."""
    more = len(families) - _MOST_NAMES
    return ", ".join(families[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _engines(config: Config, snapshot: Snapshot) -> list[Finding]:
    if not config.engines.enabled:
        return [Finding("engine", "off", "switched off", "Set engines.enabled.")]
    if any(health.source == "engine" for health in snapshot.sources):
        return []
    return [
        Finding(
            "engine",
            "missing",
            "no engine is configured and no pod of this node announces one",
            "Annotate the pod with inferometer/port, name its port as in engines.discovery.port_names, or set engines.targets: "
            "docs/engines.md.",
        )
    ]
