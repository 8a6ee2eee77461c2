# SPDX-License-Identifier: Apache-2.0
"""What the driver's calls cost, in the sampler child: the time from one mark of a job to its next, or to its end."""

import time

from inferometer.sources.devices.whereabouts import Whereabouts

Spent = dict[int, list[int]]  # number of the call -> how often it was made, and the microseconds that it took


class Meter(Whereabouts):
    """The page of whereabouts, which counts what passes. Each word is marked, and taken, by one thread at a time.

    What the sampler itself does between two calls counts for the first of them: a few microseconds.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._spent: dict[int, Spent] = {}

    def enter(self, word: int, call: int) -> None:
        """Say that a call begins, and that the one before has ended."""
        now = time.monotonic_ns() // 1000
        before = self._words[word]
        self._words[word] = now << 8 | call
        if before:
            self._add(word, before, now)

    def leave(self, word: int) -> None:
        """Say that the thread is in no call of this word any more."""
        before = self._words[word]
        self._words[word] = 0
        if before:
            self._add(word, before, time.monotonic_ns() // 1000)

    def take(self, word: int) -> Spent:
        """Give what the calls of a word have cost since this was last asked."""
        return self._spent.pop(word, {})

    def _add(self, word: int, before: int, now: int) -> None:
        spent = self._spent.get(word)
        if spent is None:
            spent = self._spent[word] = {}
        cost = spent.get(before & 0xFF)
        if cost is None:
            spent[before & 0xFF] = [1, now - (before >> 8)]
        else:
            cost[0] += 1
            cost[1] += now - (before >> 8)


def add(total: Spent, spent: Spent) -> None:
    """Add costs to a total."""
    for call, cost in spent.items():
        known = total.setdefault(call, [0, 0])
        known[:] = known[0] + cost[0], known[1] + cost[1]
