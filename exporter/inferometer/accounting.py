# SPDX-License-Identifier: Apache-2.0
"""The fold: what owners held, and every counter of our own. Pure: the same states and snapshots give the same points."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from inferometer import catalog
from inferometer.model import Histogram, Instrument, Metric, Point, Resource, Snapshot, Value, series_of

K = TypeVar("K")

Attributes = tuple[str | None, ...]
Series = tuple[Metric, Attributes, Resource]


class Held(NamedTuple):
    """How long an owner held a device alone, in seconds.

    `start` and `at` are Unix seconds: when it began to count and when it last did. `ended` is monotonic seconds: when
    the holding was seen to be over; None while it lasts.
    """

    total: float
    start: float
    at: float
    ended: float | None = None


class Seen(NamedTuple):
    """The newest value of a counter that a device or engine keeps, so that a fall is noticed. `steady`: when seen."""

    value: Value
    at: float
    start: float | None
    steady: float


class Failures(NamedTuple):
    """How many reads of a source failed for one reason.

    `start` is Unix seconds: when it was surely 0. `gone` is monotonic seconds: since when the source is not there.
    """

    total: int
    start: float
    gone: float | None = None


class Reported(NamedTuple):
    """How many XIDs of one code a GPU has had: those that are `told`, and those `held` back until the next snapshot.

    `start` and `at` are Unix seconds: when the count was surely 0, and when it last stood. `gone` is monotonic seconds:
    since when the GPU is not there.
    """

    gpu: str  # its index
    action: str
    told: int
    held: int
    start: float
    at: float
    gone: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives a tick. All of it is bounded: by the series of a snapshot, or by `Rules`."""

    steady: float = 0.0
    began: float | None = None  # Unix seconds of the first snapshot: when our own counters were 0
    held: Mapping[Attributes, Held] = field(default_factory=lambda: MappingProxyType({}))
    seen: Mapping[Series, Seen] = field(default_factory=lambda: MappingProxyType({}))
    errors: Mapping[tuple[str, str, str], Failures] = field(default_factory=lambda: MappingProxyType({}))
    sequence: int = 0  # of the newest frame that was counted
    xids: Mapping[tuple[str, int], Reported] = field(default_factory=lambda: MappingProxyType({}))  # by GPU and code
    xid: int = 0  # the number of the newest XID that was counted
    latest: float = 0.0  # Unix seconds of the latest snapshot: a clock that was set back is behind it
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"ended": 0}))


@dataclass(frozen=True, slots=True)
class Rules:
    """How long ended counters stay, in seconds, and how many at most (law 4); how many XIDs a GPU may have counters of."""

    linger: float = 300.0
    max_ended: int = 2_000
    max_codes: int = 64


def account(state: State, snapshot: Snapshot, rules: Rules) -> tuple[State, Snapshot]:
    """Add one snapshot to the state, and the state's counters to the snapshot.

    An interval counts for an owner when it is the device's only one at both of its ends. A counter that a source keeps
    gets its start moved when its value falls, unless the source itself says when it began.
    """
    began = snapshot.at if state.began is None else state.began
    held, dropped_ended = _hold(state, snapshot, rules)
    seen, points, dropped_seen = _start(state.seen, snapshot, rules)
    errors, dropped_errors = _count_errors(state, snapshot, rules)
    xids, newest, dropped_xids, dropped_codes = _count_xids(state, snapshot, rules)
    limits = {"ended": dropped_ended + dropped_seen + dropped_errors + dropped_codes, "xid": dropped_xids}
    dropped = _add(_add(_add(state.dropped, snapshot.dropped), limits), _drops(state, snapshot))

    node, mark = snapshot.node, {catalog.SIMULATED.key: "true"} if snapshot.simulated else {}

    def own(metric: Metric, value: float, attributes: Mapping[str, str] = MappingProxyType({})) -> Point:
        aligned = tuple({**attributes, **mark}.get(key) or None for key in metric.keys)
        start = began if metric.instrument is Instrument.COUNTER else None
        return Point(metric, aligned, value, snapshot.at, start, node)

    points += [Point(catalog.OWNER_TIME, key, h.total, h.at, h.start, node) for key, h in held.items()]
    points += [
        own(
            catalog.SOURCE_ERRORS,
            float(failures.total),
            {catalog.SOURCE.key: source, catalog.SOURCE_INSTANCE.key: instance, catalog.REASON.key: reason},
        )._replace(start=failures.start)
        for (source, instance, reason), failures in errors.items()
    ]
    points += [
        own(
            catalog.XID_ERRORS,
            float(reported.told),
            {
                catalog.HW_ID.key: device,
                catalog.GPU_INDEX.key: reported.gpu,
                catalog.XID_CODE.key: str(code),
                catalog.XID_ACTION.key: reported.action,
            },
        )._replace(at=reported.at, start=reported.start)
        for (device, code), reported in xids.items()
    ]
    points += [own(catalog.DROPPED, float(n), {catalog.LIMIT.key: limit}) for limit, n in dropped.items()]
    points += [
        own(catalog.EXPORTS, float(n), {catalog.OUTPUT.key: "otlp", catalog.REASON.key: outcome})
        for outcome, n in snapshot.exports.items()
    ]
    points.append(own(catalog.SERIES, float(sum(series_of(p.value) for p in points) + 1)))
    points.sort(key=lambda point: catalog.ORDER[point.metric])  # stable: the join's order within a metric stays
    if snapshot.at < state.latest:
        # The clock was set back: until it has caught up, a start that lies ahead is unknown.
        points = [p if p.start is None or p.start <= p.at else p._replace(start=None) for p in points]
    latest = max(state.latest, snapshot.at)
    sequence = max(state.sequence, snapshot.sequence)
    after = State(snapshot.steady, began, held, seen, errors, sequence, xids, newest, latest, dropped)
    return after, replace(snapshot, points=tuple(points))


def _hold(state: State, snapshot: Snapshot, rules: Rules) -> tuple[dict[Attributes, Held], int]:
    """Advance the owners' time; give it, and how many ended ones the limit dropped."""
    passed = max(0.0, snapshot.steady - state.steady)
    running: dict[Attributes, Held] = {}
    for tenure in snapshot.tenures:
        before = state.held.get(tenure.attributes)
        if before is None:
            running[tenure.attributes] = Held(0.0, snapshot.at, snapshot.at)
        else:
            # A holding that was lost to sight comes back with its total: the gap is nobody's.
            gained = passed if before.ended is None else 0.0
            running[tenure.attributes] = Held(before.total + gained, before.start, snapshot.at)
    ended = {
        key: before._replace(ended=snapshot.steady if before.ended is None else before.ended)
        for key, before in state.held.items()
        if key not in running
    }
    staying = [(k, h) for k, h in ended.items() if snapshot.steady - (h.ended or 0.0) <= rules.linger]
    staying.sort(key=lambda item: item[1].ended or 0.0)
    excess = max(0, len(staying) - rules.max_ended)
    return {**running, **dict(staying[excess:])}, excess


def _start(
    seen: Mapping[Series, Seen], snapshot: Snapshot, rules: Rules
) -> tuple[dict[Series, Seen], list[Point], int]:
    """Give every counter that a device or engine keeps the start that is known, moved where its value fell.

    Gives also how many series that are not there now the limit made us forget.
    """
    after: dict[Series, Seen] = {}
    points: list[Point] = []
    for point in snapshot.points:
        if point.start is not None or point.metric.instrument not in _CUMULATIVE:
            points.append(point)
            continue
        key = (point.metric, point.attributes, point.resource)
        before = seen.get(key)
        start = before.start if before else None
        if before and fell(before.value, point.value):
            start = before.at
        after[key] = Seen(point.value, point.at, start, snapshot.steady)
        points.append(point._replace(start=start) if start is not None else point)
    # An engine that misses a scrape or two is still the same counter. One whose labels are new in every scrape must not
    # fill the memory with what it once said.
    staying = [(k, s) for k, s in seen.items() if k not in after and snapshot.steady - s.steady <= rules.linger]
    excess = max(0, len(staying) - rules.max_ended)
    if excess:
        staying.sort(key=lambda item: item[1].steady)
    return {**after, **dict(staying[excess:])}, points, excess


_CUMULATIVE = (Instrument.COUNTER, Instrument.HISTOGRAM)


def fell(before: Value, after: Value) -> bool:
    """Tell whether a cumulative value was reset: it fell, or a bucket did, or its bounds changed."""
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return before.bounds != after.bounds or any(a < b for b, a in zip(before.counts, after.counts, strict=True))
    if isinstance(before, Histogram) or isinstance(after, Histogram):
        return True
    return after < before


def _count_errors(state: State, snapshot: Snapshot, rules: Rules) -> tuple[dict[tuple[str, str, str], Failures], int]:
    """Count each failed read once; give the counts, and how many of them the limit dropped.

    The count of a source that is no more stays for the linger: after a reload, or as a pod of the same name, it is back.
    """
    alive = {(s.source, s.instance) for s in snapshot.sources}
    lasting = {key: failures._replace(gone=None) for key, failures in state.errors.items() if key[:2] in alive}
    gone = [
        (key, failures if failures.gone is not None else failures._replace(gone=snapshot.steady))
        for key, failures in state.errors.items()
        if key not in lasting
    ]
    staying = [(k, f) for k, f in gone if snapshot.steady - (f.gone or 0.0) <= rules.linger]
    staying.sort(key=lambda item: item[1].gone or 0.0)
    excess = max(0, len(staying) - rules.max_ended)
    errors = {**lasting, **dict(staying[excess:])}
    fresh = state.latest or snapshot.at
    for source, instance, sequence, reason in snapshot.failures:
        if sequence > state.sequence:
            key = (source, instance, reason.value)
            total, start, _ = errors.get(key, Failures(0, fresh))
            errors[key] = Failures(total + 1, start)
    return errors, excess


def _count_xids(
    state: State, snapshot: Snapshot, rules: Rules
) -> tuple[dict[tuple[str, int], Reported], int, int, int]:
    """Count each XID once; give the counts, the newest XID's number, and how many XIDs and ended counts the limits dropped.

    Almost every XID is the first of its code on its GPU. Prometheus sees no increase in a counter that is born at 1, so a
    new one is born at 0 and the XID counts in the next snapshot. A GPU that is gone keeps its counts for the linger.
    """
    there = {device.uuid: str(device.index) for device in snapshot.devices}
    lasting, gone = {}, []
    for key, before in state.xids.items():
        now = before._replace(told=before.told + before.held, held=0, at=snapshot.at) if before.held else before
        if key[0] in there:
            lasting[key] = now._replace(gpu=there[key[0]], at=snapshot.at, gone=None)
        else:
            gone.append((key, now if now.gone is not None else now._replace(gone=snapshot.steady)))
    staying = [(k, r) for k, r in gone if snapshot.steady - (r.gone or 0.0) <= rules.linger]
    staying.sort(key=lambda item: item[1].gone or 0.0)
    excess = max(0, len(staying) - rules.max_ended)
    xids = {**lasting, **dict(staying[excess:])}

    fresh = [xid for xid in snapshot.xids if xid.number > state.xid]
    # Their numbers are consecutive: what is missing was pushed out by newer ones before it could be counted.
    dropped = fresh[0].number - state.xid - 1 if fresh and state.xid else 0
    for xid in fresh:
        key = (xid.device, xid.code)
        if (known := xids.get(key)) is not None:
            if known.held:  # it was born in this same snapshot
                xids[key] = known._replace(held=known.held + xid.times)
            else:
                xids[key] = known._replace(told=known.told + xid.times, at=snapshot.at)
        elif sum(device == xid.device for device, _ in xids) < rules.max_codes:
            start = state.latest or snapshot.at
            xids[key] = Reported(there.get(xid.device, ""), xid.action, 0, xid.times, start, snapshot.at)
        else:
            dropped += xid.times
    return xids, max([state.xid, *(xid.number for xid in fresh)]), dropped, excess


def _drops(state: State, snapshot: Snapshot) -> dict[str, int]:
    """Count what frames cost, once a frame: one that stands in two snapshots has cost it once."""
    counted: dict[str, int] = {}
    for limit, sequence, number in snapshot.drops:
        counted[limit] = counted.get(limit, 0) + (number if sequence > state.sequence else 0)
    return counted


def _add(left: Mapping[K, int], right: Mapping[K, int]) -> dict[K, int]:
    keys: Iterable[K] = {**left, **right}
    return {key: left.get(key, 0) + right.get(key, 0) for key in keys}
