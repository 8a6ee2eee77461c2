# SPDX-License-Identifier: Apache-2.0
"""GPUs that the sampler is kept away from, because they hung, crashed it or were lost, and the probe that tries them again."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inferometer import catalog
from inferometer.model import Trouble, Unsupported
from inferometer.sources.devices import troubles
from inferometer.sources.devices.child import Child, Departures

log = logging.getLogger(__name__)

_LONGEST_FACTOR = 20  # the last delay is so many times the first


@dataclass(slots=True)
class _Held:
    """A GPU that is skipped: when it is tried again, the delay after that, and the call that it is skipped for, or nothing."""

    due: float
    delay: float
    longest: float
    call: str


class Quarantine:
    """The skipped GPUs by NVML index, and at most one probe: a short-lived child that reads just one of them."""

    def __init__(self, start: Callable[[], Child], departures: Departures, patience: float, source: str) -> None:
        self._source = source
        self._start = start
        self._departures = departures
        self._patience = patience  # a probe that takes longer is killed
        self._held: dict[int, _Held] = {}
        self._probe: tuple[int, Child] | None = None

    @property
    def indexes(self) -> tuple[int, ...]:
        """Which GPUs are skipped."""
        return tuple(sorted(self._held))

    def hold(self, index: int, delay: float, call: int = 0) -> None:
        """Skip a GPU; a probe tries it after `delay` seconds, and after twice as long each time that fails.

        `call` is the number of the one that hung, or that crashed the sampler; 0 where it is none.
        """
        place = troubles.place(index + 1, call) if call else ""
        self._held.setdefault(index, _Held(time.monotonic() + delay, delay, delay * _LONGEST_FACTOR, place))

    def failed(self, gpus: Mapping[int, str]) -> list[Unsupported]:
        """Give the calls for which GPUs are skipped; `gpus` are the UUIDs, by NVML index, of those that have told theirs."""
        return [
            Unsupported(gpus.get(index, f"index {index}"), catalog.GPU_INFO.name, held.call, troubles.PAUSED)
            for index, held in sorted(self._held.items())
            if held.call
        ]

    def forget(self, beyond: int) -> None:
        """Drop what is held of GPUs that are no more: those whose index is `beyond` or higher."""
        self._held = {index: held for index, held in self._held.items() if index < beyond}

    def step(self) -> None:
        """Look after the probe; called once per read, never waits."""
        now = time.monotonic()
        if self._probe is None:
            due = [index for index, held in self._held.items() if now >= held.due]
            # Not while a killed child is still there: the driver has not let go of the device that it hangs in.
            if due and not self._departures.unkillable:
                # Who waits longest is first: one that hangs each time must not keep the others out.
                self._try(min(due, key=lambda index: self._held[index].due))
            return
        index, child = self._probe
        verdict = self._verdict(index, child)
        if verdict is None and now - child.started < self._patience:
            return
        self._probe = None
        if verdict is None:
            self._departures.kill(child)
        else:
            self._departures.end(child, grace=self._patience)
        if verdict:
            self._held.pop(index, None)
        else:
            self._postpone(index)

    def close(self) -> None:
        """End the probe."""
        if self._probe is not None:
            self._departures.end(self._probe[1], grace=0)
            self._probe = None

    def _try(self, index: int) -> None:
        """Start a probe."""
        try:
            child = self._start()
        except Trouble as trouble:
            log.debug("%s: no probe of GPU %d: %s", self._source, index, trouble)
            self._postpone(index)
            return
        child.ask(f"sample 1 only {index}")
        self._probe = index, child

    def _postpone(self, index: int) -> None:
        """Try a GPU again later, and still later the next time."""
        if held := self._held.get(index):
            held.delay = min(held.delay * 2, held.longest)
            held.due = time.monotonic() + held.delay
            log.debug("%s: GPU %d: the probe failed, the next is in %.0f s", self._source, index, held.delay)

    @staticmethod
    def _verdict(index: int, child: Child) -> bool | None:
        """Tell whether the GPU answered the probe; None where there is no answer yet."""
        try:
            for frame in child.frames(until=0):
                if "fatal" in frame or "done" in frame:
                    return False
                if frame.get("gpu") == index:
                    return "lost" not in frame
        except (EOFError, Trouble):
            return False
        return None
