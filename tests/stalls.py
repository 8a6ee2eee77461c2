# SPDX-License-Identifier: Apache-2.0
"""A node whose sources stall, and the receivers of what is pushed of it: the real board, join, fold and push, on a clock by hand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal

from frames import CONTEXT, NOW
from inferometer import config
from inferometer.accounting import Rules, State, account
from inferometer.board import Board
from inferometer.join import Memo, join
from inferometer.model import Frame, Histogram, Point, Reason, Snapshot, Target, Trouble
from inferometer.push import Push
from inferometer.views.otlp import Encoder
from oracles import parsed

PERIOD = 1.0
NOBODY = "http://127.0.0.1:9"  # nothing is sent: requests are handed over as they are made

Series = tuple[str, frozenset[tuple[str, str]], tuple[str | None, ...]]
Key = tuple[str, str]  # source and instance

# What becomes of a read: in time; done right before the snapshot and noted right after it; asked for at the tick and answered
# after the snapshot; no answer; a failure; a failure that is an answer.
Fate = Literal["in time", "late", "slow", "silent", "fails", "refuses"]


def series(point: Point) -> Series:
    """Tell a series apart, as Prometheus does: by its labels, and by job and instance of whoever speaks."""
    told = ((key, value) for key, value in zip(point.metric.keys, point.attributes, strict=True) if value)
    return point.metric.name, frozenset(told), speaker(dict(point.resource.attributes))


def speaker(resource: Mapping[str, str]) -> tuple[str | None, ...]:
    """Give what `job` and `instance` are made of."""
    return tuple(map(resource.get, ("service.namespace", "service.name", "service.instance.id")))


@dataclass(frozen=True)
class Told:
    """A point as it is sent; None is the end of its series."""

    series: Series
    at: float
    value: float | None


Request = Sequence[Told]


def read(request: bytes) -> Request:
    """Read a request, point by point, as they stand there; of numbers only."""
    told = []
    for block in parsed(request).resource_metrics:
        who = speaker(_attributes(block.resource.attributes))
        for metric in block.scope_metrics[0].metrics:
            for point in (*metric.gauge.data_points, *metric.sum.data_points):
                which = metric.name, frozenset(_attributes(point.attributes).items()), who
                told.append(Told(which, point.time_unix_nano / 1e9, None if point.flags & 1 else point.as_double))
    return told


def _attributes(pairs: Iterable[Any]) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}


@dataclass
class Receiver:
    """Keeps the newest point of each series.

    One that is `strict` refuses a request with anything older than what it has, as a whole, as Prometheus without a window
    does: of a series, and of `target_info`, which spans each speaker's points of a request. Any other takes what it is sent.
    """

    strict: bool
    has: dict[Series, Told] = field(default_factory=dict)
    spans: dict[tuple[str | None, ...], float] = field(default_factory=dict)

    def take(self, request: Request) -> None:
        """Take a request, or refuse it."""
        if self.strict and not self._is_in_order(request):
            return
        for told in request:
            self.has[told.series] = told
            self.spans[told.series[2]] = max(told.at, self.spans.get(told.series[2], told.at))

    def _is_in_order(self, request: Request) -> bool:
        newest: dict[Series, Told] = {}
        for told in request:
            before = newest.get(told.series) or self.has.get(told.series) or told
            if told.at < max(before.at, self.spans.get(told.series[2], told.at)):
                return False
            if told.at == before.at and told.value != before.value:
                return False
            newest[told.series] = told
        return True

    @property
    def page(self) -> dict[Series, float]:
        """What it has of series that have not ended."""
        return {series: told.value for series, told in self.has.items() if told.value is not None}


class Stage:
    """The node: `tick` has its sources read, makes a snapshot and pushes it."""

    def __init__(self, receivers: Sequence[Receiver]) -> None:
        self.receivers = receivers
        self.newest: Snapshot | None = None
        self._now = NOW
        self._board = Board(lambda: self._now, lambda: self._now)
        self._context = replace(CONTEXT, memo=Memo())
        self._state = State()
        self._numbers = count(1)
        self._requests: list[Request] = []
        self._encoder = Encoder()
        self._push = Push(config.Otlp(endpoint=NOBODY), {}, self._encode, lambda: self.newest)

    def tick(
        self,
        values: Mapping[Key, object],
        fates: Callable[[Key], Fate] = lambda _: "in time",
        *,
        targets: Mapping[str, Target],
        stood: float = 0.0,
        pushes: bool = True,
    ) -> None:
        """Pass a period, and what the machine stood still; each source reads what is so now, or does not."""
        self._now += PERIOD + stood
        late = []
        for place, (key, value) in enumerate(values.items(), 1):
            fate = fates(key)
            frame = Frame(*key, next(self._numbers), self._now - place / 100, 0.1, PERIOD, value)
            if fate in ("fails", "refuses"):
                trouble = Trouble(Reason.REFUSED, "failed", answer="error" if fate == "refuses" else "")
                frame = replace(frame, value=None, trouble=trouble)
            elif fate == "slow":
                frame = replace(frame, at=self._now - PERIOD + 0.1 + place / 100)
            if fate in ("late", "slow"):
                late.append(frame)
            elif fate != "silent":
                self._board.put(frame)
        joined = join(replace(self._board.frames(), targets=targets), self._context)
        self._state, self.newest = account(self._state, joined, Rules(linger=3 * PERIOD))
        for frame in late:
            self._board.put(frame)
        if pushes:
            self._push._enqueue()
            assert "internal" not in self._push.outcomes
            for request in self._requests:
                for receiver in self.receivers:
                    receiver.take(request)
            self._requests.clear()

    @property
    def page(self) -> dict[Series, float]:
        """What the newest snapshot says."""
        points = self.newest.points if self.newest else ()
        return {series(point): point.value for point in points if not isinstance(point.value, Histogram)}

    def _encode(self, snapshot: Snapshot, **how: Any) -> tuple[bytes, ...]:
        requests = self._encoder.requests(snapshot, **how)
        self._requests += map(read, requests)
        return ()
