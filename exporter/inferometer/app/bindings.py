# SPDX-License-Identifier: Apache-2.0
"""Where every metric comes from: the sources' bindings and those of what is computed here."""

from types import MappingProxyType

from inferometer import catalog
from inferometer.join.rules import RULES
from inferometer.model import Binding, Metric
from inferometer.sources.devices import nvidia
from inferometer.sources.devices.amd import source as amd
from inferometer.sources.engines import dialects
from inferometer.sources.identity import podresources, pods


def _own(source: str, *pairs: tuple[Metric, str]) -> tuple[Binding, ...]:
    return tuple(Binding(metric.name, call, source) for metric, call in pairs)


COMPUTED = (
    *_own(
        "join",
        (catalog.STATUS, "the worst state of `gpu.health.reason`"),
        (catalog.GPU_INFO, "the GPU's static facts"),
        (catalog.GPU_DEVICES, "the GPUs that the driver shows or excludes, their health, and who holds them"),
        (catalog.MIG_DEVICES, "the instances that the driver shows, their GPUs' health, and who holds them"),
        (catalog.FABRIC_INFO, "the GPU's static facts"),
        (catalog.GPU_READING_AGE, "the read time of the GPU's newest frame"),
        (catalog.MIG_INFO, "the instance's static facts"),
        (catalog.OWNER_INFO, "PodResources allocations with NVML devices and the node's pods"),
        (catalog.OWNER_UNRESOLVED, "PodResources allocations without a device in NVML"),
        (catalog.OWNER_MEMORY_USAGE, "the device's memory usage, divided by its processes' memory"),
        (catalog.OWNER_MEMORY_LIMIT, "the device's memory, divided as it was granted"),
        (catalog.OWNER_UTILIZATION, "the GPU's utilization, divided by its processes' share of SM time"),
        (catalog.OWNER_SM_ACTIVITY, "the device's SM activity, divided by its processes' share of SM time"),
        (catalog.OWNER_TENSOR_ACTIVITY, "the device's tensor activity, divided by its processes' share of SM time"),
        (catalog.OWNER_DRAM_ACTIVITY, "the device's DRAM activity, divided by its processes' share of SM time"),
        (catalog.OWNER_POWER, "the power of a GPU with exactly one owner"),
        (catalog.OWNER_UNALLOCATED, "NVML's processes with their cgroups, and who holds the device"),
        (catalog.ENGINE_INFO, "the recognised page of an engine"),
        (catalog.ENGINE_BLIND, "a page without an engine's families, or an answer that is no such page"),
        (catalog.SLO_THRESHOLD, "the objectives of the configuration and the bounds of the engine's histogram"),
        (catalog.SLO_BOUND, "the bounds of the engine's histogram next to an objective's threshold"),
        (catalog.ENGINE_FAMILIES, "the families of an engine's page, and those of its dialect"),
        (catalog.IDENTITY_AGE, "the read time of each identity source's newest answer"),
        (catalog.IDENTITY_LEVEL, "which identity sources answer, and for which holdings"),
        (catalog.SOURCE_UP, "the outcome of the source's newest read"),
        (catalog.SOURCE_AGE, "the read time of the source's newest good frame"),
        (catalog.SOURCE_DURATION, "the duration of the source's newest read"),
        (catalog.AGENT_INFO, "the agent"),
        (catalog.SAMPLER_RESTARTS, "the sampler processes that were started again"),
        *(
            (metric, "what waits to be pushed")
            for metric in (
                catalog.SPOOL_REQUESTS,
                catalog.SPOOL_AGE,
                catalog.SPOOL_USAGE,
                catalog.SPOOL_LIMIT,
                catalog.SPOOL_STATE,
                catalog.SPOOL_DROPPED_REQUESTS,
                catalog.SPOOL_DROPPED_POINTS,
            )
        ),
        (catalog.API_REQUESTS, "requests to the API server"),
        (catalog.API_RECEIVED, "answers of the API server"),
        (catalog.SERVER_REFUSALS, "requests that the endpoint did not serve"),
        (catalog.SERVER_FILE_ERRORS, "the files that server.tls and server.auth name"),
    ),
    *(
        Binding(
            catalog.GPU_HEALTH_CAUSE.name,
            ", ".join(metric.name for metric in rule.when.reads),
            "join",
            MappingProxyType({catalog.HEALTH_CAUSE.key: rule.cause, catalog.HW_STATE.key: rule.state}),
        )
        for rule in RULES
    ),
    *_own(
        "accounting",
        (catalog.OWNER_TIME, "intervals, divided among those who had a part of the device at both ends"),
        (catalog.OWNER_ENERGY, "the energy of a GPU with the same single owner at both ends"),
        (catalog.OWNER_XID_ERRORS, "XIDs of what has the same single owner before and after"),
        (catalog.XID_INFO, "NVIDIA's XID catalogue"),
        (catalog.REQUESTS_ABORTED, "first tokens less the requests that finished, run or wait"),
        (catalog.STARTUP_DURATION, "the pod's conditions, its container's start, and the engine's first count"),
        (catalog.STARTUP_LATEST, "the pod's conditions, its container's start, and the engine's first count"),
        (catalog.SOURCE_ERRORS, "failed reads"),
        (catalog.SERIES, "the snapshot"),
        (catalog.SERIES_DROPPED, "series beyond `limits.series`, `limits.series_per_metric` and `limits.metrics`"),
        (catalog.DROPPED, "limits"),
        (catalog.EXPORTS, "OTLP pushes"),
    ),
)


def bindings() -> tuple[Binding, ...]:
    """Give every binding: which call or scraped family a metric is read from, by which source."""
    return (*nvidia.BINDINGS, *amd.BINDINGS, *podresources.BINDINGS, *pods.BINDINGS, *dialects.BINDINGS, *COMPUTED)
