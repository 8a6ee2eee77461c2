# SPDX-License-Identifier: Apache-2.0
"""The joined table: who holds what, what it serves, and what a joule of it yields. Terminal and status page show it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Attribution, Role
from inferometer.views.samples import Labels, Sample, Samples, Series


class Row(NamedTuple):
    """One owner with all that it holds, one GPU that has no single owner, or one engine that holds nothing.

    A number is None where it would be a guess: power and yield are an owner's only where it is alone on whole GPUs. `busy`
    and `sm` are shares of time, and of SMs over time; of several devices their mean. `owned` is whether `owner` is an
    owner, and not a remark.
    """

    devices: str
    owner: str
    claim: str
    model: str
    tokens: float | None  # output tokens per second
    watts: float | None
    tokens_per_joule: float | None
    owned: bool = True
    busy: float | None = None
    sm: float | None = None


class Table(NamedTuple):
    """All rows, with the sums that stand above them. `down` names the sources that do not answer, `ill` says what is wrong with GPUs."""

    rows: tuple[Row, ...]
    gpus: int
    instances: int
    holdings: int
    engines: int
    tokens: float | None
    watts: float | None
    down: tuple[str, ...]
    simulated: bool
    ill: tuple[str, ...] = ()


class _Device(NamedTuple):
    """What the table knows of a GPU or an instance. `order` sorts a GPU before its instances."""

    name: str
    whole: bool
    order: tuple[int, int]


class _Holder(NamedTuple):
    """A pod, by what tells it apart, and how it is called."""

    key: str
    name: str


def tabulate(before: Samples | None, after: Samples) -> Table:
    """Make the table of the newest samples; the rates are those since `before`."""
    now = _Index(after)
    rates = _Rates(before or {}, after)
    devices = _devices(now)
    held = _holdings(now)
    tokens, models, named = _engines(now, rates)
    rows: list[tuple[tuple[int, int], int, Row]] = []
    covered: set[str] = set()
    holders = {holder: sorted(items, key=lambda h: _device(devices, h).order) for holder, items in held.items()}
    for holder, uuids in holders.items():
        alone = all(_device(devices, u).whole and (u, holder.key) in now.alone and _sole(held, u) for u in uuids)
        watts = _sum(now.power.get(u) for u in uuids) if alone else None
        joules = _sum(rates.energy.get(u) for u in uuids) if alone else None
        sole = holder.key not in now.unsure and all(_sole(held, u) for u in uuids)
        rate = tokens.get(holder.key)
        covered.update(uuids if alone else ())
        row = Row(
            devices=", ".join(_device(devices, u).name for u in uuids),
            owner=f"{holder.name} (?)" if holder.key in now.unsure else holder.name,
            claim=", ".join(now.claims.get(holder.key, ())),
            model=", ".join(models.get(holder.key, ())),
            tokens=rate,
            watts=watts,
            tokens_per_joule=rate / joules if rate is not None and joules else None,
            busy=_mean(now.busy.get(u) for u in uuids) if sole else None,
            sm=_mean(now.sm.get(u) for u in uuids) if sole else None,
        )
        rows.append((_device(devices, uuids[0]).order, 1, row))
    for uuid, device in devices.items():
        if uuid not in covered and (device.whole or not _holders_of(held, uuid)):
            row = Row(
                devices=device.name,
                owner=_remark(now, held, uuid),
                claim="",
                model="",
                tokens=None,
                watts=now.power.get(uuid),
                tokens_per_joule=None,
                owned=False,
                busy=now.busy.get(uuid),
                sm=now.sm.get(uuid),
            )
            rows.append((device.order, 0, row))
    for key in tokens.keys() - {holder.key for holder in holders}:
        model = ", ".join(models.get(key, ()))
        rows.append((_LAST, 1, Row("", named[key], "", model, tokens[key], None, None)))
    rows.sort(key=lambda item: (item[0], item[1], item[2].owner))
    return Table(
        rows=tuple(row for _, _, row in rows),
        gpus=sum(device.whole for device in devices.values()),
        instances=sum(not device.whole for device in devices.values()),
        holdings=len(now.named(catalog.OWNER_INFO.prometheus)),
        engines=len(now.named(catalog.ENGINE_INFO.prometheus)),
        tokens=_sum(rates.outputs().values()),
        watts=_sum(now.power.get(u) for u, device in devices.items() if device.whole),
        down=tuple(sorted(_source(labels) for labels, up in now.named(catalog.SOURCE_UP.prometheus) if not up.value)),
        simulated=any(catalog.SIMULATED.label in labels for labels, _ in now.named(catalog.AGENT_INFO.prometheus)),
        ill=tuple(_ill(now, devices)),
    )


_LAST = (1 << 30, 0)  # after every device


class _Index:
    """One set of samples, by what the table asks of it."""

    def __init__(self, samples: Samples) -> None:
        self._named: dict[str, list[tuple[Labels, Sample]]] = {}
        for series, sample in samples.items():
            self._named.setdefault(series.name, []).append((dict(series.labels), sample))
        self.power = {labels.get(_ID, ""): s.value for labels, s in self.named(catalog.POWER.prometheus)}
        self.busy = {
            labels.get(_ID, ""): s.value
            for labels, s in self.named(catalog.GPU_UTILIZATION.prometheus)
            if labels.get(catalog.HW_GPU_TASK.label) == "general"
        }
        self.sm = {
            labels.get(_ID, ""): s.value
            for metric in (catalog.GPU_SM_ACTIVITY, catalog.MIG_SM_ACTIVITY)
            for labels, s in self.named(metric.prometheus)
        }
        # A counter of time held alone says who is alone; it lingers, so the holding itself must still stand as well.
        # `declared` may be a pod that only looks on: until that is known, the device's power is not called its own.
        self.alone = {
            (labels.get(_ID, ""), _holder(labels).key)
            for labels, _ in self.named(catalog.OWNER_TIME.prometheus)
            if labels.get(catalog.ATTRIBUTION.label) == Attribution.EXCLUSIVE
        }
        self.unsure = {
            _holder(labels).key
            for labels, _ in self.named(catalog.OWNER_INFO.prometheus)
            if labels.get(catalog.ROLE.label) == Role.UNKNOWN
        }
        self.claims: dict[str, tuple[str, ...]] = {}
        for labels, _ in self.named(catalog.OWNER_INFO.prometheus):
            if claim := labels.get(catalog.CLAIM.label):
                key = _holder(labels).key
                self.claims[key] = tuple(sorted({*self.claims.get(key, ()), claim}))

    def named(self, name: str) -> list[tuple[Labels, Sample]]:
        """Give all series of one name."""
        return self._named.get(name, [])


class _Rates:
    """How fast counters rose. A counter that is new, fell or stood at one read has no rate."""

    def __init__(self, before: Samples, after: Samples) -> None:
        self._before = before
        self._after = after
        energy = catalog.ENERGY.prometheus
        self.energy = {dict(s.labels).get(_ID, ""): self.of(s) for s in after if s.name == energy}

    def of(self, series: Series) -> float | None:
        """Give the rise per second of one counter."""
        old, new = self._before.get(series), self._after.get(series)
        if old is None or new is None or new.at <= old.at or new.value < old.value:
            return None
        return (new.value - old.value) / (new.at - old.at)

    def outputs(self) -> Mapping[Series, float | None]:
        """Give the rates of all counters of output tokens, those that are gone included: they have none."""
        wanted = (catalog.TOKEN_TYPE.label, "output")
        both = {**self._before, **self._after}
        return {s: self.of(s) for s in both if s.name == catalog.TOKENS.prometheus and wanted in s.labels}


_ID = catalog.HW_ID.label


def _devices(now: _Index) -> dict[str, _Device]:
    """Name every GPU and instance."""
    found = {}
    for labels, _ in now.named(catalog.GPU_INFO.prometheus):
        index = labels.get(catalog.GPU_INDEX.label, "?")
        found[labels.get(_ID, "")] = _Device(f"GPU {index}", True, (_number(index), -1))
    for labels, _ in now.named(catalog.MIG_INFO.prometheus):
        index, instance = labels.get(catalog.GPU_INDEX.label, "?"), labels.get(catalog.MIG_GI.label, "?")
        profile = labels.get(catalog.MIG_PROFILE.label, "MIG")
        found[labels.get(_ID, "")] = _Device(
            f"GPU {index} {profile} #{instance}", False, (_number(index), _number(instance))
        )
    return found


def _ill(now: _Index, devices: Mapping[str, _Device]) -> Iterator[str]:
    """Say of each GPU that is not ok what is wrong: `GPU 3: nvlink_down (degraded)`."""
    causes: dict[str, list[str]] = {}
    for labels, _ in now.named(catalog.GPU_HEALTH_CAUSE.prometheus):
        cause, state = labels.get(catalog.HEALTH_CAUSE.label, "?"), labels.get(catalog.HW_STATE.label, "?")
        causes.setdefault(labels.get(_ID, ""), []).append(f"{cause} ({state.replace('_', ' ')})")
    for uuid in sorted(causes, key=lambda u: _device(devices, u).order):
        yield f"{_device(devices, uuid).name}: {', '.join(causes[uuid])}"


def _device(devices: Mapping[str, _Device], uuid: str) -> _Device:
    """Find a device; where the driver does not answer it has its UUID only."""
    return devices.get(uuid) or _Device(uuid[:12], False, (_LAST[0] - 1, 0))


def _holdings(now: _Index) -> dict[_Holder, list[str]]:
    """List the devices of every pod that holds any; admin access holds nothing."""
    held: dict[_Holder, list[str]] = {}
    for labels, _ in now.named(catalog.OWNER_INFO.prometheus):
        uuids = held.setdefault(_holder(labels), []) if labels.get(catalog.ROLE.label) != Role.ADMIN else []
        if labels.get(_ID, "") not in uuids:
            uuids.append(labels.get(_ID, ""))
    return held


def _holder(labels: Labels) -> _Holder:
    """Tell a pod, or an engine without one, apart: by UID where it is known (law 4)."""
    pod = labels.get(catalog.POD.label)
    name = f"{labels.get(catalog.NAMESPACE.label, '')}/{pod}" if pod else labels.get(catalog.SERVER_ADDRESS.label, "?")
    if not pod and (port := labels.get(catalog.SERVER_PORT.label)):
        name = f"{name}:{port}"
    return _Holder(labels.get(catalog.POD_UID.label) or name, name)


def _holders_of(held: Mapping[_Holder, list[str]], uuid: str) -> int:
    return sum(uuid in uuids for uuids in held.values())


def _sole(held: Mapping[_Holder, list[str]], uuid: str) -> bool:
    return _holders_of(held, uuid) == 1


def _remark(now: _Index, held: Mapping[_Holder, list[str]], uuid: str) -> str:
    """Say why a device has no owner of its own."""
    if any(labels.get(catalog.HW_PARENT.label) == uuid for labels, _ in now.named(catalog.MIG_INFO.prometheus)):
        return "(MIG)"
    holders = [holder for holder, uuids in held.items() if uuid in uuids]
    if len(holders) > 1:
        return f"(shared by {len(holders)})"
    if not holders:
        return "(free)"
    return "(owner not certain)" if holders[0].key in now.unsure else "(one of several of its owner)"


def _engines(now: _Index, rates: _Rates) -> tuple[dict[str, float | None], dict[str, tuple[str, ...]], dict[str, str]]:
    """Sum the engines of each pod: output tokens per second, models, and how it is called.

    A sum of which one part is unknown is unknown.
    """
    parts: dict[str, list[float | None]] = {}
    models: dict[str, set[str]] = {}
    named: dict[str, str] = {}
    for labels, _ in now.named(catalog.ENGINE_INFO.prometheus):
        holder = _holder(labels)
        named[holder.key] = holder.name
        parts.setdefault(holder.key, [])
        if model := labels.get(catalog.MODEL.label):
            models.setdefault(holder.key, set()).add(model)
    for series, rate in rates.outputs().items():
        labels = dict(series.labels)
        key = _holder(labels).key
        if key in parts:
            parts[key].append(rate)
            if model := labels.get(catalog.MODEL.label):
                models.setdefault(key, set()).add(model)
    return {key: _sum(p) for key, p in parts.items()}, {key: tuple(sorted(m)) for key, m in models.items()}, named


def _sum(values: Iterable[float | None]) -> float | None:
    """Add up; nothing, or anything unknown, makes it unknown."""
    known = list(values)
    return None if not known or None in known else sum(v for v in known if v is not None)


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    total = _sum(known)
    return None if total is None else total / len(known)


def _source(labels: Labels) -> str:
    return " ".join(filter(None, (labels.get(catalog.SOURCE.label, ""), labels.get(catalog.SOURCE_INSTANCE.label, ""))))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else _LAST[0] - 1
