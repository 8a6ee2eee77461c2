# SPDX-License-Identifier: Apache-2.0
"""The counters of XIDs, by GPU and code, and of each GPU's XIDs of any code."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, is_shown, keep
from inferometer.model import Device, Point, Snapshot, Xid
from inferometer.xid_catalog import ALERTED, entry

ANY = -1  # in place of a code: the GPU's XIDs of any
_STANDING = (ANY, *ALERTED)

Key = tuple[str, int]  # GPU, code


class Reported(NamedTuple):
    """How many XIDs of one code a GPU has had: those that are `told`, and those `held` back until the next snapshot.

    `start` and `at` are Unix seconds: when the count was surely 0, and when it last stood, if it is gone; `newest` is when the newest XID
    was. `gone` is monotonic seconds: since when the GPU is not there.
    """

    gpu: str  # its index
    start: float
    at: float
    told: int = 0
    held: int = 0
    newest: float | None = None
    gone: float | None = None


class Counts:
    """The counters while one snapshot is added to them.

    Prometheus sees no increase in a counter that is born at 1. So those that alerts name, and the GPU's total, stand at 0
    from the first snapshot that shows the GPU, if anybody tells its XIDs; any other is born at 0, and its first XID counts
    in the next snapshot. A GPU that is gone keeps its counters for the linger; then they end, and are remembered for when it is back. A counter that
    comes back does so with its last value, and what is new counts in the next snapshot, as if it were born.
    """

    def __init__(self, before: Mapping[Key, Reported], snapshot: Snapshot, rules: Rules, since: float) -> None:
        """Begin from the counters of the snapshot before; `since` is its time, when a counter that is new was surely 0."""
        self._at = snapshot.at
        self._most = rules.max_codes
        self._since = since
        there = {device.uuid: str(device.index) for device in snapshot.devices if _has_xids(device)}
        lasting: dict[Key, Reported] = {}
        gone: list[tuple[Key, Reported]] = []
        self._born = {
            key
            for key, known in before.items()
            if known.gone is not None and not is_shown(known.gone, snapshot.steady, rules)
        }
        for key, known in before.items():
            if not known.held and known.gone is None and there.get(key[0]) == known.gpu:
                lasting[key] = known  # nearly all of them
                continue
            now = known._replace(told=known.told + known.held, held=0, at=snapshot.at) if known.held else known
            if there.get(key[0]) == now.gpu and now.gone is None:
                lasting[key] = now
            elif key[0] in there:
                lasting[key] = Reported(there[key[0]], now.start, snapshot.at, now.told, now.held, now.newest)
            elif now.gone is not None:
                gone.append((key, now))
            else:
                gone.append((key, now._replace(gone=snapshot.steady, at=now.at if known.held else since)))
        staying, self.ended = keep(gone, lambda item: item.gone or 0.0, snapshot.steady, rules, lambda _: True)
        self.counters = {**lasting, **staying}
        unborn = [(uuid, code) for uuid in there for code in _STANDING if (uuid, code) not in self.counters]
        unheard = _unheard(snapshot) if unborn else frozenset()
        for key in unborn:
            if key[0] not in unheard:
                self._find(key, there[key[0]])
        # Whether with the same devices, and no XID, the next snapshot would change nothing.
        self.are_at_rest = not (staying or unheard)

    def add(self, xid: Xid, times: int, index: str) -> int:
        """Count `times` XIDs like this one; give how many have no counter of their own. `index` is the GPU's, if known."""
        key, total = (xid.device, xid.code), (xid.device, ANY)
        self.are_at_rest = False
        self._find(total, index)
        if key not in self.counters and xid.code not in ALERTED and self._others(xid.device) >= self._most:
            self._add(total, times, xid.at, late=total in self._born)
            return times
        self._find(key, index)
        # Both at once, so that the total is always the sum.
        late = key in self._born or total in self._born
        self._add(key, times, xid.at, late=late)
        self._add(total, times, xid.at, late=late)
        return 0

    def _find(self, key: Key, index: str) -> None:
        if key not in self.counters:
            self.counters[key] = Reported(index, self._since, self._at)
            self._born.add(key)

    def _others(self, device: str) -> int:
        """Count the codes of a GPU that are there only because they were told."""
        return sum(uuid == device and code not in _STANDING for uuid, code in self.counters)

    def _add(self, key: Key, times: int, at: float, *, late: bool) -> None:
        known = self.counters[key]
        newest = at if known.newest is None else max(known.newest, at)
        # Told of a GPU that is away: it is shown once more.
        known = known._replace(newest=newest, at=self._at, gone=None)
        if late:
            self.counters[key] = known._replace(held=known.held + times)
        else:
            self.counters[key] = known._replace(told=known.told + times)


def _has_xids(device: Device) -> bool:
    """Tell whether XIDs are told of a device: of physical GPUs, and not those of other vendors than NVIDIA."""
    return not device.is_instance and device.details.get(catalog.HW_VENDOR.key, "NVIDIA") == "NVIDIA"


def _unheard(snapshot: Snapshot) -> frozenset[str]:
    """Give the GPUs whose XIDs nobody tells: those without events, while the kernel's log is not read. No 0 is known of them."""
    if snapshot.kernel_lost is not None:
        return frozenset()
    return frozenset(told.device for told in snapshot.unsupported if told.metric == catalog.XID_ERRORS.name)


def shown(counters: Mapping[Key, Reported], snapshot: Snapshot, rules: Rules) -> Mapping[Key, Reported]:
    """Give the counters that are published."""
    return {key: known for key, known in counters.items() if is_shown(known.gone, snapshot.steady, rules)}


def points_of(counters: Mapping[Key, Reported], snapshot: Snapshot) -> list[Point]:
    """Give the counters, when each code's newest was, and what the catalogue says of the codes."""
    node = snapshot.node
    marks = None, "true" if snapshot.simulated else None  # overflow and simulation: the last of every metric
    points, codes = [], set()
    for (device, code), (gpu, start, last, told, _, newest, gone) in counters.items():
        at = snapshot.at if gone is None else last
        if code == ANY:
            points.append(Point(catalog.XID_EVENTS, (device, gpu or None, *marks), float(told), at, start, node))
            continue
        codes.add(code)
        series = _series(device, gpu, code, marks)
        count = float(told) if told else 0.0
        points.append(_POINT(Point, (catalog.XID_ERRORS, series, count, at, start, node)))  # hundreds
        if newest is not None:
            points.append(Point(catalog.XID_LAST_TIME, (*series[:3], *marks), newest, at, None, node))
    for code in sorted(codes):
        known = entry(code)
        described = (str(code), known.mnemonic or None, known.severity, known.action, *marks)
        points.append(Point(catalog.XID_INFO, described, 1.0, snapshot.at, None, node))
    return points


_POINT = tuple.__new__  # what Point() does


@lru_cache(4096)  # some twenty of each GPU, the same at every tick
def _series(device: str, gpu: str, code: int, marks: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """Name the counter of a GPU's XIDs of one code."""
    return device, gpu or None, str(code), entry(code).severity, *marks
