# SPDX-License-Identifier: Apache-2.0
"""How far the starts of the engines on this node are, by their pods and their pages."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.pods import Pods
from inferometer.model import EngineReport, Frames, Histogram, Pod, Resource, Start, Target


class Told(NamedTuple):
    """What a page says, when it was read (Unix seconds), and the attributes and resource of its engine."""

    report: EngineReport
    at: float
    attributes: Mapping[str, str | None]
    resource: Resource


def find_starting(
    frames: Frames,
    pods: Pods,
    reports: Mapping[str, Told],
    node: Resource,
    common: Mapping[str, str],
) -> tuple[Start, ...] | None:
    """Give the start of each engine that a pod of this node serves; None while pods cannot be read.

    `reports` has what pages say, by instance; `common` are attributes of all points.
    """
    if not any(frame.source == "pods" for frame in frames.good):
        return None
    return tuple(_starts(frames, pods, reports, node, common))


def _starts(
    frames: Frames,
    pods: Pods,
    reports: Mapping[str, Told],
    node: Resource,
    common: Mapping[str, str],
) -> Iterator[Start]:
    seen: set[tuple[str | None, ...]] = set()
    for instance, target in frames.targets.items():
        pod = pods.serving(target)
        if pod is None:
            continue
        times = (pod.scheduled, _started(pod, target), pod.ready, pod.unready)
        engine = (pod.uid, instance)
        told = reports.get(instance)
        if told is None or told.report.kind != "engine" or len(told.report.models) != 1:
            yield Start(engine, *times, None, frames.now, None, None, node)
            continue
        report, at, attributes, resource = told
        get = {**attributes, **common, catalog.MODEL.key: report.models[0]}.get
        latest = tuple([get(key) or None for key in catalog.STARTUP_LATEST.keys])
        if latest in seen:  # two targets may be one engine: one port with two paths
            continue
        seen.add(latest)
        model = tuple([get(key) or None for key in catalog.STARTUP_DURATION.keys])
        yield Start(engine, *times, _first(report), at, latest, model, resource)


def _started(pod: Pod, target: Target) -> float:
    """Say since when the engine's container runs; 0 where it does not, was restarted, or it is not known which it is."""
    container = target.container or (pod.containers[0] if len(pod.containers) == 1 else "")
    return pod.started.get(container, 0.0)


def _first(report: EngineReport) -> float | None:
    """Count the requests that had a first token; None where the page does not."""
    counts = [
        reading.value.observations
        for reading in report.readings
        if reading.metric is catalog.TIME_TO_FIRST_TOKEN and isinstance(reading.value, Histogram)
    ]
    return float(sum(counts)) if counts else None
