# SPDX-License-Identifier: Apache-2.0
"""The roll of GPUs, by NVML index: what each has answered last, who is silent and why, who is left out."""

import logging
import time
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any

from inferometer.model import Unsupported
from inferometer.sources.devices import troubles
from inferometer.sources.devices.heard import Heard
from inferometer.sources.devices.layout import Layout, say
from inferometer.sources.devices.report import Answer
from inferometer.sources.devices.whereabouts import LIBRARY, MAX_GPUS
from inferometer.sources.devices.words import Words
from inferometer.sources.devices.xids import UnderWay

log = logging.getLogger(__name__)


class Roll:
    """The GPUs that have answered, and those of which it is only known why they have not."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._heard: dict[int, Heard] = {}  # what the sampler has told of each
        self._answers: dict[int, Answer] = {}  # the last good one of each
        self._left_out: dict[int, tuple[str, str]] = {}  # UUID and model of those that the configuration excludes
        self._unseen: tuple[str, ...] = ()  # those that the driver excludes
        self._count = 0  # of all GPUs, by the driver's own word
        self._why_silent: dict[int, str] = {}
        self._silent: frozenset[int] = frozenset()  # as it was logged
        self._excluded: Mapping[str, str] = MappingProxyType({})  # as it was given

    def renew(self) -> None:
        """Forget what a sampler has told once: the next one tells it anew."""
        self._heard = {}

    def hear(self, frame: Mapping[str, Any]) -> Heard:
        """Take what a GPU's frame tells once, of whichever sample; give all that it has told. Raises as `Heard.take`."""
        index = int(frame["gpu"])
        if not 0 <= index < MAX_GPUS:
            raise ValueError(f"{index} is no GPU")
        heard = self._heard.setdefault(index, Heard())
        heard.take(frame)
        return heard

    def heard(self, index: int) -> Heard:
        """Give what a GPU has told once. Raises KeyError where it has told nothing."""
        return self._heard[index]

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take the frame of a GPU that has not answered: it is lost, or left out. Raises as `Heard.take`."""
        index = int(frame["gpu"])
        if "lost" in frame:
            self._why_silent[index] = str(frame["lost"])
        elif "excluded" in frame:
            self._why_silent.pop(index, None)
            self._left_out[index] = str(frame["uuid"]), str(frame["excluded"])
            self._answers.pop(index, None)

    def answer(self, index: int, heard: Heard, layout: Layout, numbers: list[float]) -> None:
        """Take what a GPU has answered."""
        before = self._answers.get(index)
        said = say(layout.fast, numbers, before and before.said)
        self._answers[index] = Answer(time.monotonic(), heard.about, said, heard.failed)
        self._why_silent.pop(index, None)
        self._left_out.pop(index, None)

    def exclude(self, unseen: Collection[str]) -> None:
        """Take which GPUs the driver excludes."""
        self._unseen = tuple(map(str, unseen))

    def end(self, count: int) -> None:
        """Take the end of a sample: there are `count` GPUs, without those that the driver excludes; forget all others."""
        self._count = count
        self._answers = {index: answer for index, answer in self._answers.items() if index < count}
        self._why_silent = {index: why for index, why in self._why_silent.items() if index < count}
        self._left_out = {index: gpu for index, gpu in self._left_out.items() if index < count}

    def forget(self) -> None:
        """Forget what was answered: whatever GPUs and instances there are from now on are found anew."""
        self._answers, self._left_out, self._count = {}, {}, 0

    def known(self, answered: AbstractSet[int]) -> dict[int, Answer]:
        """Give the last answer of each GPU; one whose index changed has answered under its new one."""
        if answered >= self._answers.keys():
            return dict(sorted(self._answers.items()))
        fresh = {self._answers[index].uuid for index in answered if index in self._answers}
        return {i: a for i, a in sorted(self._answers.items()) if i in answered or a.uuid not in fresh}

    @property
    def lost(self) -> list[int]:
        """The GPUs that fell off the bus, or need a reset."""
        return [index for index, reason in self._why_silent.items() if reason == "gpu_is_lost"]

    @property
    def excluded(self) -> Mapping[str, str]:
        """The GPUs that are left out: by UUID, or by PCI address where that is all there is, the model or nothing."""
        found = {**dict.fromkeys(self._unseen, ""), **dict(self._left_out.values())}
        if found != self._excluded:
            self._excluded = MappingProxyType(found)
        return self._excluded

    def nameless(self, known: Collection[int], under_way: UnderWay) -> list[Unsupported]:
        """Give the GPUs that never told their UUID: with the answer that each gave instead, or the call that it hangs in."""
        there = sorted({*range(self._count), *self._why_silent} - {*known, *self._left_out})
        return [Unsupported(f"index {index}", "gpu.info", *self._excuse(index, under_way)) for index in there]

    def _excuse(self, index: int, under_way: UnderWay) -> tuple[str, str]:
        """Give a call, and why it tells nothing."""
        if (why := self._why_silent.get(index)) is not None:
            return self._words.first, why
        if (word := index + 1) in under_way:
            return troubles.place(word, under_way[word][0]), "timeout"
        return self._words.first, "no_answer"

    def tell(self, silent: Mapping[int, Answer], now: float, under_way: UnderWay) -> None:
        """Log GPUs that fell silent or answer again, once each."""
        for index in sorted(silent.keys() - self._silent):
            uuid, age = silent[index].uuid, now - silent[index].at
            word = index + 1 if index + 1 in under_way else LIBRARY
            place = troubles.place(word, under_way[word][0]) if word in under_way else "it was not reached"
            why = self._why_silent.get(index, place)
            log.warning(
                "%s: GPU %d (%s) is unresponsive, its last answer is %.1f s old: %s",
                self._words.source,
                index,
                uuid,
                age,
                why,
            )
        for index in sorted(self._silent - silent.keys()):
            log.info("%s: GPU %d answers again, or is gone", self._words.source, index)
        self._silent = frozenset(silent)
