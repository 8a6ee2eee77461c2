# SPDX-License-Identifier: Apache-2.0
"""What the driver's calls cost, in the sampler child: the time from one mark of a job to its next, or to its end."""

import time
from collections.abc import Callable, Mapping
from itertools import islice
from operator import sub
from typing import NamedTuple

from inferometer.sources.devices.whereabouts import Whereabouts

Spent = dict[int, list[int]]  # number of the call -> how often it was made, and the nanoseconds that it took


class Passed(NamedTuple):
    """What a word was, in order: the number of each call, 0 where one had ended, and since when, in nanoseconds."""

    calls: list[int]
    times: list[int]


class Meter(Whereabouts):
    """The page of whereabouts, which notes what passes. Each word is marked, and taken, by one thread at a time.

    What the sampler itself does between two calls counts for the first of them: a few microseconds.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._passed: dict[int, Passed] = {}

    def marks(self, word: int, numbers: Mapping[str, int]) -> Callable[[str], None]:
        """Give what says that a call begins, and that the one before has ended."""
        passed = self._passed.setdefault(word, Passed([], []))
        words, clock, note, note_time = self._words, time.monotonic_ns, passed.calls.append, passed.times.append

        def mark(call: str) -> None:
            number, now = numbers[call], clock()
            words[word] = now >> 8 << 8 | number
            note(number)
            note_time(now)

        return mark

    def leave(self, word: int) -> None:
        """Say that the thread is in no call of this word any more."""
        self._words[word] = 0
        passed = self._passed.get(word)
        if passed and passed.calls:
            passed.calls.append(0)
            passed.times.append(time.monotonic_ns())

    def take(self, word: int) -> Passed:
        """Give what a word was since this was last asked, for `add`."""
        passed = self._passed.get(word)
        if passed is None:
            return Passed([], [])
        taken = Passed(passed.calls[:], passed.times[:])
        passed.calls.clear()
        passed.times.clear()
        return taken


def add(total: Spent, passed: Passed) -> None:
    """Add to a total what the calls have cost that have passed."""
    calls, times = passed
    for call, nanoseconds in zip(calls, map(sub, islice(times, 1, None), times), strict=False):
        if call:
            cost = total.get(call)
            if cost is None:
                cost = total[call] = [0, 0]
            cost[0] += 1
            cost[1] += nanoseconds


def told(spent: Spent) -> Spent:
    """Give how often each call was made, and the microseconds that it took."""
    return {call: [count, nanoseconds // 1000] for call, (count, nanoseconds) in spent.items()}
