# SPDX-License-Identifier: Apache-2.0
"""CPU of the join on the dense node, and on nodes that are two, four and eight times as dense."""

import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import densenode
from bench.agent import surroundings
from bench.densenode import ENGINES, NODE_NAME
from bench.measure import MissingPartError, Row, Work, cpu
from inferometer import config
from inferometer.app import Pipeline
from inferometer.join import Context, Memo, join
from inferometer.model import (
    Allocation,
    Device,
    DeviceReport,
    EngineReport,
    Frame,
    Frames,
    Pod,
    Reading,
    Resource,
)

SCALES = (1, 2, 4, 8)
_IDENTITY = ("podresources", "pods", "claims", "slices", "cgroups")
_TICKS = 6  # that follow one another: what the driver's slow tier said is the same in most of them
_PERIOD = 0.5  # seconds; the tests' library answers at once
_NODE = Resource.of({"service.name": "inferometer", "k8s.node.name": NODE_NAME})


def measure_join() -> Iterator[Row]:
    """Measure a tick's join of everything that the real sources said of the dense node, its engines' pages among it.

    A node that is denser is copies of it, each with names of its own. Linear is a ratio of 1.
    """
    ticks = _read()
    works = [_joining([multiplied(tick, scale) for tick in ticks]) for scale in SCALES]
    blind = _joining([_without_identity(tick) for tick in ticks])
    gc.freeze()  # as the agent does once it has started
    *costs, without = cpu(*works, blind, least=0.1)
    yield Row("identity.join", 1e3 * costs[0], "ms", goal=5, limit=5)
    yield Row("identity.join.owners", 1e3 * (costs[0] - without), "ms")
    for scale, cost in zip(SCALES[1:], costs[1:], strict=True):
        yield Row(f"identity.join.x{scale}", 1e3 * cost, "ms")
    growth = costs[-1] / costs[0] / (SCALES[-1] / SCALES[0])
    yield Row("identity.join.growth", growth, "times the CPU for a device and owner", goal=1.1, limit=1.25)


def _joining(ticks: list[Frames]) -> Work:
    following = cycle(ticks)
    context = Context(_NODE, max_series=1_000_000, memo=Memo())
    return lambda: join(next(following), context)


def _read() -> list[Frames]:
    with TemporaryDirectory() as scratch, surroundings(Path(scratch) / "dense", ENGINES) as places:
        file = Path(scratch) / "inferometer.yaml"
        file.write_text(json.dumps(densenode.configuration(places, 1, ENGINES)))  # JSON is YAML
        before = os.environ.get("FAKENVML")
        os.environ["FAKENVML"] = places.driver  # the sampler child's
        pipeline = Pipeline(replace(config.load(str(file), {}), period=config.Seconds(_PERIOD)), {})
        try:
            ticks = []
            for _ in range(1 + _TICKS):
                snapshot = pipeline.step(patience=10.0)
                ticks.append(pipeline._board.frames())
                time.sleep(_PERIOD)
        finally:
            pipeline.close()
            del os.environ["FAKENVML"]
            os.environ.update({"FAKENVML": before} if before is not None else {})
    if len(snapshot.holdings) < densenode.HOLDERS or len(snapshot.engines) < ENGINES:
        raise MissingPartError(f"{len(snapshot.holdings)} holdings and {len(snapshot.engines)} engines were read")
    return ticks[1:]


def _without_identity(tick: Frames) -> Frames:
    return replace(tick, good=tuple(frame for frame in tick.good if frame.source not in _IDENTITY))


# --- denser nodes -------------------------------------------------------------------------------------------------


def multiplied(tick: Frames, times: int) -> Frames:
    """Give the frames of a node that is so many times as dense."""
    return replace(
        tick,
        outcomes=_more(tick.outcomes, times),
        good=_more(tick.good, times),
        ages={
            (source, _named(instance, i) if source == "engine" else instance): age
            for (source, instance), age in tick.ages.items()
            for i in range(times if source == "engine" else 1)
        },
    )


def _more(frames: tuple[Frame[object], ...], times: int) -> tuple[Frame[object], ...]:
    found: list[Frame[object]] = []
    for frame in frames:
        value: Any = frame.value
        if frame.source == "engine":
            found += [
                replace(frame, instance=_named(frame.instance, i), value=_engine(value, i) if value else None)
                for i in range(times)
            ]
        elif isinstance(value, DeviceReport):
            found.append(replace(frame, value=_report(value, times)))
        elif isinstance(value, tuple):
            copy = _COPIES.get(type(value[0])) if value else None
            found.append(
                replace(frame, value=tuple(copy(each, i) for i in range(times) for each in value) if copy else value)
            )
        else:
            found.append(frame)
    return tuple(found)


def _named(name: str, copy: int) -> str:
    """Name the first copy as it is, so that it is the node itself."""
    return f"{name}.{copy}" if copy else name


def _report(report: DeviceReport, times: int) -> DeviceReport:
    return replace(
        report,
        devices=tuple(_device(each, i) for i in range(times) for each in report.devices),
        readings=tuple(_reading(each, i) for i in range(times) for each in report.readings),
    )


def _device(device: Device, copy: int) -> Device:
    parent = _named(device.parent, copy) if device.parent else None
    return replace(device, uuid=_named(device.uuid, copy), index=device.index + 8 * copy, parent=parent)


_READINGS: dict[tuple[Reading, int], Reading] = {}


def _reading(reading: Reading, copy: int) -> Reading:
    """Rename a reading; the same one of two ticks stays the same."""
    known = _READINGS.get((reading, copy))
    if known is None:
        known = _READINGS[reading, copy] = reading._replace(subject=_named(reading.subject, copy)) if copy else reading
    return known


def _allocation(allocation: Allocation, copy: int) -> Allocation:
    return replace(allocation, pod=_named(allocation.pod, copy), device=_named(allocation.device, copy))


def _pod(pod: Pod, copy: int) -> Pod:
    return replace(pod, uid=_named(pod.uid, copy), name=_named(pod.name, copy))


def _engine(report: EngineReport, copy: int) -> EngineReport:
    target = report.target
    named = replace(
        target,
        instance=_named(target.instance, copy),
        pod=_named(target.pod, copy),
        pod_uid=_named(target.pod_uid, copy),
    )
    return replace(
        report,
        target=named,
        readings=tuple(each._replace(subject=named.instance) for each in report.readings),
    )


_COPIES: dict[type, Callable[[Any, int], object]] = {Allocation: _allocation, Pod: _pod}
