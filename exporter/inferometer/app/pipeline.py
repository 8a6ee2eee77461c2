# SPDX-License-Identifier: Apache-2.0
"""The pipeline: sources on one tick, the board, the join and the fold, without any output."""

import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from inferometer import __version__
from inferometer.accounting import Budget, Plan, Rules, State, account, cap
from inferometer.app.company import Company
from inferometer.app.dra import Dra
from inferometer.app.engines import Engines
from inferometer.board import Board, Poller
from inferometer.config import Config, Seconds, drops_of, limits_of
from inferometer.join import Context, Memo, join
from inferometer.model import DeviceReport, Frames, Resource, Snapshot, SpoolState
from inferometer.push import resource_attributes
from inferometer.sources.devices.amd.source import Amd
from inferometer.sources.devices.kernel_log import KernelLog
from inferometer.sources.devices.nvidia import Nvidia
from inferometer.sources.devices.release import Pause, Release
from inferometer.sources.engines.discovery import Refusal
from inferometer.sources.identity import pods as pods_api
from inferometer.sources.identity.cgroups import Cgroups
from inferometer.sources.identity.node import Node
from inferometer.sources.identity.podresources import PodResources
from inferometer.sources.identity.traffic import Traffic

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stand:
    """What takes NVML's place inside the sampler child: a module, and what it is told. The default is the real one."""

    nvml: str = "pynvml"
    argument: str = ""
    simulated: bool = False


REAL = Stand()

# The first snapshot waits for every source to have answered or failed once, but not for ever. Seconds.
FIRST_PATIENCE = 3.0

# So many times as many series as there may be are looked at, to count what the counters among them grow.
_READ = 4


class Pipeline:
    """Turns a configuration into snapshots, one a `step`. The counters' state can be handed to a successor.

    `pause` is where somebody else asks to let go of the driver for a while, `traffic` where what is asked of the API server
    is counted.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        stand: Stand = REAL,
        state: State | None = None,
        pause: Pause | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self.config = config
        self.state = state or State()
        self._board = Board()
        self._poller = Poller(self._board, config.period)
        self._rules = Rules(
            config.accounting.linger,
            config.accounting.max_ended,
            max_models=config.engines.max_models,
            max_reasons=config.engines.max_reasons,
        )
        self._limits = Budget(config.limits.series, config.limits.series_per_metric, limits_of(config))
        self._plan = Plan.of(drops_of(config))
        node = node_name(config, environ)
        self._context = Context(
            node=node_resource(config, environ, node),
            team_keys=config.identity.team_keys,
            cost_center_keys=config.identity.cost_center_keys,
            max_series=_READ * config.limits.series,
            simulated=stand.simulated,
            process_series=config.devices.nvidia.process_series,
            drivers=config.identity.drivers,
            infrastructure=config.identity.infrastructure_namespaces,
            objectives=config.slo.objectives,
            itself=(environ.get("POD_NAMESPACE", ""), environ.get("POD_NAME", "")),
            memo=Memo(),
        )
        self._company = Company(self._context.itself)
        self._pod_source: pods_api.Pods | None = None
        self._pods_malformed = 0  # at the last step
        self._cgroups: Cgroups | None = None
        self._podresources: PodResources | None = None
        self._traffic = Traffic(config.period) if traffic is None else traffic
        reachable = pods_api.available(config.identity.pods, environ)
        self._dra = Dra(config, self._poller, node, reachable=reachable, traffic=self._traffic)
        period = config.period
        settings = config.devices.nvidia
        release = Release(settings.release, pause)
        if settings.release.annotation and (settings.enabled or config.devices.amd.enabled):
            asked = Node(
                config.identity.pods, node, settings.release.annotation, period, release.annotated, self._traffic
            )
            self._poller.add(asked)
        if config.devices.amd.enabled:
            self._poller.add(Amd(config.devices.amd, period, release))
        if settings.enabled:
            self._poller.add(Nvidia(settings, period, nvml=stand.nvml, nvml_argument=stand.argument, release=release))
            if config.devices.kernel_log.enabled:
                self._poller.add(KernelLog(config.devices.kernel_log, period))
            if settings.processes and config.identity.processes.enabled:
                self._cgroups = Cgroups(config.identity.processes, period)
                self._poller.add(self._cgroups)
        if config.identity.podresources.enabled:
            identity = config.identity
            self._podresources = PodResources(identity.podresources, period, identity.drivers, identity.resources)
            self._poller.add(self._podresources)
        if pods_api.wanted(config.identity.pods, environ):
            self._pod_source = pods_api.Pods(config.identity.pods, node, period, environ, self._traffic)
            self._poller.add(self._pod_source)
        self._engines = Engines(config.engines, self._poller, period)

    def step(
        self,
        *,
        patience: float | None = None,
        exports: Mapping[str, int] = MappingProxyType({}),
        dropped: Mapping[str, int] = MappingProxyType({}),
        refusals: Mapping[str, int] = MappingProxyType({}),
        unusable: Mapping[str, int] = MappingProxyType({}),
        spool: SpoolState | None = None,
    ) -> Snapshot:
        """Read everything that is due and make the snapshot.

        Engines, claims and processes that the node newly shows are read in the same step, so that the first snapshot is
        complete.

        Args:
            patience: seconds to wait for the sources; None is one period.
            exports: pushes by outcome since the start.
            dropped: what the outputs' limits have dropped since the last step, by limit.
            refusals: whom the endpoint turned away since the start, by reason.
            unusable: how often a file of the endpoint's could not be used since the start, by what it is.
            spool: what waits to be pushed; None where nothing is pushed.
        """
        self._read(patience)
        seen = self._board.frames()
        pods = _newest(seen, "pods")
        self._company.look(pods)
        polled = self._engines.targets
        came = (
            self._engines.follow(pods),
            self._dra.follow(seen),
            self._follow_processes(seen),
        )
        if any(came):
            self._read(patience)
        if any(came) or self._engines.targets is not polled:  # what those that went said is forgotten
            seen = self._board.frames()
        limits = {
            "targets": self._engines.dropped,
            "engine_backoff": self._engines.newly_spared(),
            "claims_blanked": self._podresources.blanked if self._podresources else 0,
            "processes": self._cgroups.dropped if self._cgroups else 0,
            "pods_malformed": self._newly_malformed(),
            **dropped,
        }
        frames = replace(
            seen,
            exports=exports,
            dropped=limits,
            requests=self._traffic.counts,
            spool=spool,
            targets=self._engines.targets,
            refusals=refusals,
            unusable=unusable,
        )
        self.state, capped = cap(self.state, frames, self._rules)
        joined = join(capped, self._context)
        self.state, snapshot = account(self.state, joined, self._rules, self._limits, self._plan)
        return snapshot

    def _read(self, patience: float | None) -> None:
        began = time.monotonic()
        self._poller.tick(patience)
        if time.monotonic() - began > self.config.period:  # waiting for one has cost the others their grace
            self._poller.tick()

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """The engines that are announced and not scraped, by place."""
        return self._engines.refused

    @property
    def engines(self) -> Mapping[str, str]:
        """How each engine that is scraped was found, by its instance."""
        return self._engines.told

    @property
    def notes(self) -> Mapping[str, str]:
        """What a source that works has to say of itself, by its name."""
        if self._pod_source is None:
            return {}
        return {self._pod_source.name: "; ".join(filter(None, (self._pod_source.told, self._company.told)))}

    def close(self) -> None:
        """Stop reading and release the sources."""
        self._engines.hang_up()
        self._poller.close()

    def _newly_malformed(self) -> int:
        """Count the pods that were none since the last step."""
        before, self._pods_malformed = self._pods_malformed, self._pod_source.malformed if self._pod_source else 0
        return self._pods_malformed - before

    def _follow_processes(self, seen: Frames) -> bool:
        """Look for the processes that are on the GPUs. Gives whether there are new ones.

        While no driver answers those that were there before stay: they may well be there.
        """
        reports = [frame.value for frame in seen.good if isinstance(frame.value, DeviceReport)]
        if not reports or self._cgroups is None:
            return False
        new = self._cgroups.aim({process.pid: process.at for report in reports for process in report.processes})
        if new:
            self._poller.hurry((self._cgroups.name, self._cgroups.instance))
        return new


def _newest(frames: Frames, source: str) -> Any:
    """Give what a source says now; None if it has nothing valid to say."""
    return next((frame.value for frame in frames.good if frame.source == source), None)


def node_name(config: Config, environ: Mapping[str, str]) -> str:
    """Name this node: as configured, as the pod's environment says, else the host name."""
    return config.node.name or environ.get("NODE_NAME") or environ.get("K8S_NODE_NAME") or socket.gethostname()


def node_resource(config: Config, environ: Mapping[str, str], node: str) -> Resource:
    """Describe the agent: `service.*`, the host, and the node where this is one of Kubernetes'.

    OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go before ours, as the OpenTelemetry specification asks.
    """
    in_cluster = bool(config.node.name or environ.get("NODE_NAME") or environ.get("K8S_NODE_NAME"))
    ours = {
        "service.name": "inferometer",
        "service.version": __version__,
        "service.instance.id": node,
        "host.name": socket.gethostname(),
        "k8s.node.name": node if in_cluster else None,
        "k8s.cluster.name": config.node.cluster,
    }
    return Resource.of({**ours, **resource_attributes(environ)})


def at_a_glance(config: Config) -> Config:
    """Give the configuration of what only looks: what is kept over a restart is the running agent's."""
    kernel_log = replace(config.devices.kernel_log, state="")
    return replace(
        config,
        devices=replace(config.devices, kernel_log=kernel_log),
        accounting=replace(config.accounting, state=""),
    )


def collect(
    config: Config, environ: Mapping[str, str], stand: Stand = REAL, *, apart: float = 2.0
) -> tuple[Snapshot, Snapshot]:
    """Collect once: two snapshots, `apart` seconds from one another, so that rates can be told."""
    pipeline = Pipeline(replace(at_a_glance(config), period=Seconds(apart)), environ, stand)
    try:
        before = pipeline.step(patience=FIRST_PATIENCE)
        time.sleep(apart)
        return before, pipeline.step(patience=FIRST_PATIENCE)
    finally:
        pipeline.close()
