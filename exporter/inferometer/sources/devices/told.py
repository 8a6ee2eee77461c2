# SPDX-License-Identifier: Apache-2.0
"""All that the samplers of one vendor have told, and the report that is made of it. It outlives every one of them."""

import time
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

from inferometer import config as configuration
from inferometer.model import EMPTY, DeviceReport, Reason, Trouble, Unsupported
from inferometer.sources.devices import calls
from inferometer.sources.devices.costs import Costs
from inferometer.sources.devices.linked import Linked
from inferometer.sources.devices.occupancy import Occupancy
from inferometer.sources.devices.roll import Roll
from inferometer.sources.devices.sums import Sums
from inferometer.sources.devices.tiers import Slower
from inferometer.sources.devices.words import Words
from inferometer.sources.devices.xids import UnderWay, Xids


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
        self._costs = Costs(lives)
        self._linked = Linked()
        self._sums = Sums()
        self._driver: Mapping[str, str] = EMPTY

    def take(self, frame: dict[str, Any]) -> None:
        """Take what counts of whichever sample: the slower tiers, users, costs. An earlier one's may end late.

        Raises LookupError, TypeError, ValueError, AttributeError or OverflowError for what the sampler would never send.
        """
        if "users" in frame:
            self.occupancy.take(frame)
        elif "done" in frame:
            self._costs.add(frame["calls"])
        elif "values" in frame:
            self._sums.take(frame)
            self.roll.hear(frame)
            self._slower.take(frame, time.monotonic(), time.time())
            self._linked.take(frame)
            self._costs.take(str(frame["uuid"]), frame["latencies"], time.monotonic())

    def end(self, frame: Mapping[str, Any]) -> int:
        """Take the end of the newest sample; give how many GPUs there are. Raises as `take`."""
        count = int(frame["done"])
        self._driver = MappingProxyType(frame["driver"])
        self.roll.end(count, frame["excluded"])
        return count

    def forget(self) -> None:
        """Forget what may be another's: the GPUs and instances are found anew, and the driver may be another one."""
        self.roll.forget()
        self._slower.forget()
        self.occupancy.forget()

    def report(
        self,
        answered: Collection[int],
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
        present = dict.fromkeys(device.uuid for answer in answers for device in answer.about.devices).keys()
        occupied = self.occupancy.of(present, now)
        gpus = {index: known[index].uuid for index in known if index in answered}
        nameless = self.roll.nameless(known, under_way)
        return DeviceReport(
            devices=tuple(chain.from_iterable(answer.about.devices for answer in known.values())),
            readings=(
                *chain.from_iterable(readings for answer in answers for readings in answer.readings),
                *self._slower.readings(present, now),
                *occupied.readings,
            ),
            unsupported=(
                *chain.from_iterable(answer.about.unsupported for answer in known.values()),
                *occupied.unsupported,
            ),
            unresponsive=MappingProxyType({answer.uuid: now - answer.at for answer in silent.values()}),
            nameless=len(nameless),
            details=self._driver,
            failed=(
                *(complaint for answer in answers for complaint in answer.failed),
                *nameless,
                *paused({index: answer.uuid for index, answer in silent.items()}),
                *self.occupancy.failed(under_way, gpus),
                *self.xids.failed(under_way, complete=complete),
            ),
            events=self.xids.newest,
            processes=occupied.processes,
            vgpus=occupied.vgpus,
            excluded=self.roll.excluded,
            calls=self._costs.calls,
            restarts=MappingProxyType(dict(restarts)),
            fields=self._costs.fields(gpus.values(), now),
            linked=self._linked.now,
        )
