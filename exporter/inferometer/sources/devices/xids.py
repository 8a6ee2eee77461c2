# SPDX-License-Identifier: Apache-2.0
"""The XIDs that the sampler told, numbered so that each is counted once, and how long a driver that hangs in them is spared."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from inferometer.model import Reason, Trouble, Unsupported, Xid
from inferometer.sources.devices import events, report, troubles
from inferometer.sources.devices.backoff import Backoff
from inferometer.sources.devices.numbers import next_number
from inferometer.sources.devices.whereabouts import EVENTS

# The newest: a report may be replaced by the next before it is looked at, and loses nothing by it.
_KEPT = 2 * events.MOST
_SHORTEST = 2.0  # seconds
_LONGEST_FACTOR = 20
_EVERY = "every GPU"

UnderWay = Mapping[int, tuple[int, float]]  # see `Whereabouts.busy`


class Xids:
    """The newest XIDs of all GPUs, and what went wrong with them.

    A call for events that hangs or crashes the sampler costs only the XIDs: the next sampler makes none for a while, at
    least `pause` seconds, and longer each time.
    """

    def __init__(self, pause: float) -> None:
        self._newest: deque[Xid] = deque(maxlen=_KEPT)
        self._given: tuple[Xid, ...] | None = ()  # as it was given, while nothing is new
        self._failed: tuple[Unsupported, ...] = ()
        self._asked = True
        self._began = self._looked = (
            time.time()
        )  # when this sample began, and the newest that had all events there were
        # Longer than a sampler that crashed waits: the GPUs are read before the events are tried again.
        pause = max(pause, _SHORTEST)
        self._backoff = Backoff(pause, _LONGEST_FACTOR * pause)

    @property
    def newest(self) -> tuple[Xid, ...]:
        """The newest XIDs, by their numbers: the very same while there is no new one."""
        if self._given is None:
            self._given = tuple(self._newest)
        return self._given

    def begin(self) -> bool:
        """Begin a sample; tell whether it is to take events."""
        self._began = time.time()
        try:
            self._backoff.check()
        except Trouble:
            self._asked = False
        else:
            self._asked, self._failed = True, ()
        return self._asked

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take the sampler's frame of events. Raises Trouble (MALFORMED) for what the sampler would never send.

        NVML does not tell when an event was, but that it was not there the last time: a period ago, or longer where the events
        were not asked for.
        """
        now = time.time()
        try:
            for uuid, code, gpu_instance, compute_instance, times in frame["events"]:
                xid = Xid(
                    next_number("nvml"),
                    int(code),
                    now,
                    "nvml",
                    str(uuid),
                    gpu_instance=None if gpu_instance is None else int(gpu_instance),
                    compute_instance=None if compute_instance is None else int(compute_instance),
                    times=int(times),
                    late=max(0.0, now - self._looked),
                )
                self._newest.append(xid)
                self._given = None
            self._failed = report.complaints(frame["failed"])
        except (KeyError, TypeError, ValueError) as error:
            raise troubles.malformed(error) from error

    def blame(self, call: int) -> None:
        """Ask for no events for a while: this call hung, or crashed the sampler."""
        self._backoff.failed(Trouble(Reason.TIMEOUT, troubles.PAUSED))
        self._failed = (Unsupported(_EVERY, events.METRIC, troubles.place(EVENTS, call), troubles.PAUSED),)

    def failed(self, under_way: UnderWay, *, complete: bool) -> tuple[Unsupported, ...]:
        """Give the calls for events that failed, or are under way when the sample is over."""
        if EVENTS in under_way:
            return (Unsupported(_EVERY, events.METRIC, troubles.place(EVENTS, under_way[EVENTS][0]), "timeout"),)
        if complete and self._asked:
            self._backoff.succeeded()
            self._looked = self._began
        return self._failed
