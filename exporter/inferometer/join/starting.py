# SPDX-License-Identifier: Apache-2.0
"""How far the starts of the engines on this node are, by their pods and their pages."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from inferometer import catalog
from inferometer.join.memo import Recall
from inferometer.join.pods import Pods
from inferometer.join.serving import Served
from inferometer.model import Frames, Pod, Resource, Start, Target


class Told(NamedTuple):
    """Who an engine is, how many first tokens its page counts, if it does, and when that was read (Unix seconds)."""

    served: Served
    first: float | None
    at: float


class _Known(NamedTuple):
    """What does not change while pod and engine are the same: a start but for what the page counts.

    `latest` and `model` are as in `Start`; None where no page tells the model.
    """

    engine: tuple[str, str]
    times: tuple[float, float, float, float]
    latest: tuple[str | None, ...] | None
    model: tuple[str | None, ...] | None


def find_starting(
    frames: Frames, pods: Pods, reports: Mapping[str, Told], node: Resource, common: Mapping[str, str], recall: Recall
) -> tuple[Start, ...] | None:
    """Give the start of each engine that a pod of this node serves; None while pods cannot be read.

    `reports` has what pages say, by instance; `common` are attributes of all points.
    """
    if not any(frame.source == "pods" for frame in frames.good):
        return None
    starts = []
    seen: set[tuple[str | None, ...]] = set()
    for instance, target in frames.targets.items():
        told = reports.get(instance)
        served = told.served if told else None
        made_of = (pods, instance, target, served)
        known = recall.of(("start", instance), made_of, partial(_find, *made_of, common))
        if known is None:
            continue
        if told is None or known.latest is None:
            starts.append(Start(known.engine, *known.times, None, frames.now, None, None, node))
            continue
        if known.latest in seen:  # two targets may be one engine: one port with two paths
            continue
        seen.add(known.latest)
        starts.append(
            Start(known.engine, *known.times, told.first, told.at, known.latest, known.model, told.served.resource)
        )
    return tuple(starts)


def _find(pods: Pods, instance: str, target: Target, served: Served | None, common: Mapping[str, str]) -> _Known | None:
    """Find the pod that serves an engine, and how its start is named; None where there is none."""
    pod = pods.serving(target)
    if pod is None:
        return None
    engine, times = (pod.uid, instance), (pod.scheduled, _started(pod, target), pod.ready, pod.unready)
    if served is None or served.engine.kind != "engine" or len(served.engine.models) != 1:
        return _Known(engine, times, None, None)
    get = {**served.attributes, **common, catalog.MODEL.key: served.engine.models[0]}.get
    latest, model = (
        tuple([get(key) or None for key in metric.keys])
        for metric in (catalog.STARTUP_LATEST, catalog.STARTUP_DURATION)
    )
    return _Known(engine, times, latest, model)


def _started(pod: Pod, target: Target) -> float:
    """Say since when the engine's container runs; 0 where it does not, was restarted, or it is not known which it is."""
    container = target.container or (pod.containers[0] if len(pod.containers) == 1 else "")
    return pod.started.get(container, 0.0)
