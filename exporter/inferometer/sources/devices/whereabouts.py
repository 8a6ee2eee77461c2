# SPDX-License-Identifier: Apache-2.0
"""Where the sampler child is: one shared page with two words per GPU, written before each NVML call and read by the agent.

A word is the nanoseconds when the call began, with the call's number instead of their last byte, and 0 outside of calls. An
aligned 8-byte store is atomic on every platform that NVIDIA's driver runs on, so neither side locks; a mark costs a
fraction of a microsecond and no system call. CLOCK_MONOTONIC is the same in both processes.
"""

import mmap
import os
import time
from collections.abc import Callable, Mapping

SIZE = 4096
LIBRARY = 0  # the word of calls that concern no single GPU; GPU i has word i + 1
MAX_GPUS = (SIZE // 8 - 3) // 2
USERS = MAX_GPUS + 1  # the calls that ask who uses GPU i have word USERS + i
EVENTS = USERS + MAX_GPUS  # the word of the calls that take events
UNBIND = EVENTS + 1  # the word of the calls that hear of the driver's unbinding
_BLOCK = 32  # words
_IDLE = bytes(8 * _BLOCK)


class Whereabouts:
    """The shared page. The agent creates it and passes its descriptor to the child."""

    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, SIZE)
        self._words = memoryview(self._page).cast("Q")

    def marks(self, word: int, numbers: Mapping[str, int]) -> Callable[[str], None]:
        """Give what says that a call of a word begins: made before each, and so kept short. `numbers` are those of the calls."""
        words, clock = self._words, time.monotonic_ns

        def mark(call: str) -> None:
            words[word] = clock() >> 8 << 8 | numbers[call]

        return mark

    def enter(self, word: int, call: int) -> None:
        """Say that a call begins."""
        self._words[word] = time.monotonic_ns() >> 8 << 8 | call

    def leave(self, word: int) -> None:
        """Say that the thread is in no call of this word any more."""
        self._words[word] = 0

    def busy(self) -> dict[int, tuple[int, float]]:
        """Give each word with a call under way: the call's number, and the monotonic second when it began."""
        return {
            word: (value & 0xFF, (value >> 8 << 8) / 1e9)
            for first in range(0, SIZE // 8, _BLOCK)
            if self._page[8 * first : 8 * (first + _BLOCK)] != _IDLE  # most are, and looking at each word takes time
            for word in range(first, first + _BLOCK)
            if (value := self._words[word])
        }

    def close(self) -> None:
        """Release the page."""
        self._words.release()
        self._page.close()


def user_of(word: int) -> int | None:
    """Give the index of the GPU whose users the calls of a word ask for; None for a word of other calls."""
    return word - USERS if USERS <= word < EVENTS else None


def create() -> int:
    """Create an empty page; give its descriptor, to be closed once both sides have mapped it."""
    descriptor = os.memfd_create("inferometer-whereabouts", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, SIZE)
    return descriptor
