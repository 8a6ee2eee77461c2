# SPDX-License-Identifier: Apache-2.0
"""Where every metric comes from: the sources' bindings and those of what is computed here."""

from inferometer import catalog
from inferometer.model import Binding, Metric
from inferometer.sources.devices import nvidia
from inferometer.sources.engines import dialects
from inferometer.sources.identity import podresources, pods


def _own(source: str, *pairs: tuple[Metric, str]) -> tuple[Binding, ...]:
    return tuple(Binding(metric.name, call, source) for metric, call in pairs)


COMPUTED = (
    *_own(
        "join",
        (catalog.STATUS, "whether the sampler's calls return before their deadline"),
        (catalog.GPU_INFO, "the GPU's static facts"),
        (catalog.GPU_DEVICES, "nvmlDeviceGetCount_v2"),
        (catalog.GPU_READING_AGE, "the read time of the GPU's newest frame"),
        (catalog.MIG_INFO, "the instance's static facts"),
        (catalog.OWNER_INFO, "PodResources allocations with NVML devices and the node's pods"),
        (catalog.OWNER_UNRESOLVED, "PodResources allocations without a device in NVML"),
        (catalog.OWNER_MEMORY_USAGE, "the memory usage of a device with exactly one owner"),
        (catalog.OWNER_UTILIZATION, "the utilization of a GPU with exactly one owner"),
        (catalog.ENGINE_INFO, "the recognised page of an engine"),
        (catalog.ENGINE_BLIND, "a page without an engine's families"),
        (catalog.IDENTITY_LEVEL, "which identity sources answer"),
        (catalog.SOURCE_UP, "the outcome of the source's newest read"),
        (catalog.SOURCE_AGE, "the read time of the source's newest good frame"),
        (catalog.SOURCE_DURATION, "the duration of the source's newest read"),
        (catalog.AGENT_INFO, "the agent"),
    ),
    *_own(
        "accounting",
        (catalog.OWNER_TIME, "intervals with the same single owner at both ends"),
        (catalog.SOURCE_ERRORS, "failed reads"),
        (catalog.SERIES, "the snapshot"),
        (catalog.DROPPED, "limits"),
        (catalog.EXPORTS, "OTLP pushes"),
    ),
)


def bindings() -> tuple[Binding, ...]:
    """Give every binding: which call or scraped family a metric is read from, by which source."""
    return (*nvidia.BINDINGS, *podresources.BINDINGS, *pods.BINDINGS, *dialects.BINDINGS, *COMPUTED)
