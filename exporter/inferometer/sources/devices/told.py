# SPDX-License-Identifier: Apache-2.0
"""All that the samplers of one vendor have told, and the report that is made of it. It outlives every one of them."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from inferometer import config as configuration
from inferometer.model import EMPTY, SAID_AGAIN, Device, DeviceReport, Reading, Reason, Trouble, Unsupported
from inferometer.sources.devices import calls
from inferometer.sources.devices.costs import Costs
from inferometer.sources.devices.linked import Linked
from inferometer.sources.devices.occupancy import NOBODY, Occupancy, Occupied
from inferometer.sources.devices.report import About, Answer
from inferometer.sources.devices.roll import Roll
from inferometer.sources.devices.sums import Sums
from inferometer.sources.devices.tiers import Slower
from inferometer.sources.devices.words import Words
from inferometer.sources.devices.xids import UnderWay, Xids

_NONE: Mapping[str, float] = MappingProxyType({})


class _There(NamedTuple):
    """The GPUs that are known, and those of them that answer, as they describe themselves; and what is made of that.

    `uuids` are the devices that answer, and `unsupported` has what those do not tell who use them.
    """

    known: Sequence[About]
    answering: Sequence[About]
    devices: tuple[Device, ...]
    uuids: Collection[str]
    occupied: Occupied
    unsupported: tuple[Unsupported, ...]


_NOTHING = _There((), (), (), (), NOBODY, ())


class Told:
    """What is known of the GPUs: of some for a whole sample, of some for as long as their tier lasts, of some for ever."""

    def __init__(
        self,
        words: Words,
        config: configuration.Nvidia | configuration.Amd,
        period: float,
        periods: Mapping[str, float],
    ) -> None:
        lives = {tier: 2 * max(period, periods.get(tier, period)) for tier in calls.TIERS}
        self.roll = Roll(words)
        self.occupancy = Occupancy(lives[calls.SLOW], config.kill_after)
        self.xids = Xids(config.kill_after)
        self._words = words
        self._deadline = config.deadline
        self._slower = Slower({tier: max(period, seconds) for tier, seconds in periods.items()})
        self._costs = Costs(lives, min(periods.get(calls.MEDIUM, period), SAID_AGAIN))
        self._linked = Linked()
        self._sums = Sums()
        self._driver: Mapping[str, str] = EMPTY
        self._restarts: Mapping[str, int] = MappingProxyType({})
        self._failed: tuple[Unsupported, ...] = ()
        self._there = _NOTHING

    def take(self, frame: dict[str, Any], *, newest: bool) -> int | None:
        """Take a frame; give the index of the GPU that has answered with it, if one has.

        What is told once counts of whichever sample, as do the slower tiers, users and costs: an earlier one may end late.
        Whether a GPU answers counts of the `newest` sample only.

        Raises LookupError, TypeError, ValueError, AttributeError or OverflowError for what the sampler would never send.
        """
        if "numbers" in frame:
            return self._take_numbers(frame, newest=newest)
        if "done" in frame:
            self._costs.add(frame["calls"])
        elif "driver" in frame:
            self._driver = MappingProxyType(frame["driver"])
            self.roll.exclude(frame["excluded"])
        elif "users" in frame:
            self.occupancy.take(frame)
        elif "lost" in frame or "excluded" in frame:
            if newest:
                self.roll.take(frame)
        else:
            heard = self.roll.hear(frame)
            self._costs.take(heard.about.devices[0].uuid, frame.get("latencies", ()), time.monotonic())
        return None

    def _take_numbers(self, frame: Mapping[str, Any], *, newest: bool) -> int | None:
        index, numbers = frame["gpu"], frame["numbers"]
        heard = self.roll.heard(index)
        layout, uuid = heard.layout(frame), heard.about.devices[0].uuid
        self._sums.add(uuid, layout, numbers)
        if layout.slower:
            self._slower.take(layout, numbers, time.monotonic(), time.time())
            self._linked.take(uuid, layout, numbers)
        if not newest:
            return None
        self.roll.answer(index, heard, layout, numbers)
        return int(index)

    def end(self, frame: Mapping[str, Any]) -> int:
        """Take the end of the newest sample; give how many GPUs there are. Raises as `take`."""
        count = int(frame["done"])
        self.roll.end(count)
        return count

    def forget(self) -> None:
        """Forget what may be another's: the GPUs and instances are found anew, and the driver may be another one."""
        self.roll.forget()
        self._slower.forget()
        self.occupancy.forget()

    def report(
        self,
        answered: AbstractSet[int],
        under_way: UnderWay,
        *,
        complete: bool,
        paused: Callable[[Mapping[int, str]], Collection[Unsupported]],
        restarts: Mapping[str, int],
    ) -> DeviceReport:
        """Put together what is known; a GPU without an answer to the newest sample is unresponsive.

        `complete` is whether the sampler saw the end of it, `under_way` are its calls that are, and `paused` gives the
        calls for which silent GPUs are skipped, by index and UUID. Raises Trouble (TIMEOUT) where nothing has been heard of
        any GPU.
        """
        now = time.monotonic()
        known = self.roll.known(answered)
        silent = {index: known[index] for index in known if index not in answered}
        if not complete and not known:
            raise Trouble(
                Reason.TIMEOUT,
                f"{self._words.api} has not answered for {self._deadline:g} s",
                "The driver may be starting, or hang.",
            )
        self.roll.tell(silent, now, under_way)
        answers = [known[index] for index in known if index in answered]
        there = self._look(known.values(), answers, now)
        gpus = {index: known[index].uuid for index in known if index in answered}
        nameless = self.roll.nameless(known, under_way)
        readings: list[Reading] = []
        for part in (
            *(answer.said.readings for answer in answers),
            self._slower.readings(there.uuids, now),
            there.occupied.readings,
        ):
            readings += part
        failed = (
            *chain.from_iterable(answer.failed for answer in answers),
            *nameless,
            *paused({index: answer.uuid for index, answer in silent.items()}),
            *self.occupancy.failed(under_way, gpus),
            *self.xids.failed(under_way, complete=complete),
        )
        if failed != self._failed:
            self._failed = failed
        if restarts != self._restarts:
            self._restarts = MappingProxyType(dict(restarts))
        return DeviceReport(
            devices=there.devices,
            readings=tuple(readings),
            unsupported=there.unsupported,
            unresponsive=MappingProxyType({answer.uuid: now - answer.at for answer in silent.values()})
            if silent
            else _NONE,
            nameless=len(nameless),
            details=self._driver,
            failed=self._failed,
            events=self.xids.newest,
            processes=there.occupied.processes,
            vgpus=there.occupied.vgpus,
            excluded=self.roll.excluded,
            calls=self._costs.calls(now),
            restarts=self._restarts,
            fields=self._costs.fields(gpus.values(), now),
            linked=self._linked.now,
        )

    def _look(self, known: Collection[Answer], answers: Collection[Answer], now: float) -> _There:
        """Give what there is: the very same, and every part of it, while that does not change."""
        before = self._there
        abouts, answering = [answer.about for answer in known], [answer.about for answer in answers]
        same = abouts == before.known and answering == before.answering
        uuids = before.uuids if same else dict.fromkeys(d.uuid for about in answering for d in about.devices).keys()
        occupied = self.occupancy.of(uuids, now)
        if not same or occupied is not before.occupied:
            devices = tuple(chain.from_iterable(about.devices for about in abouts))
            unsupported = (*chain.from_iterable(about.unsupported for about in abouts), *occupied.unsupported)
            self._there = _There(
                abouts,
                answering,
                before.devices if devices == before.devices else devices,
                uuids,
                occupied,
                before.unsupported if unsupported == before.unsupported else unsupported,
            )
        else:
            self._there = before._replace(known=abouts, answering=answering)  # equal, and from now on the same
        return self._there
