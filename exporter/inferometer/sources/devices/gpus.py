# SPDX-License-Identifier: Apache-2.0
"""The GPUs of one vendor: the source that asks the sampler child, and lives on when the driver hangs, crashes or goes away."""

import logging
import os
import threading
import time

from inferometer import catalog
from inferometer import config as configuration
from inferometer.model import DeviceReport, Reason, Trouble
from inferometer.sources.devices import calls, troubles
from inferometer.sources.devices.backoff import Backoff
from inferometer.sources.devices.blame import Blame
from inferometer.sources.devices.child import Child, Departures
from inferometer.sources.devices.quarantine import Quarantine
from inferometer.sources.devices.release import Release, Will
from inferometer.sources.devices.samplers import ASKED, Samplers
from inferometer.sources.devices.told import Told
from inferometer.sources.devices.whereabouts import UNBIND
from inferometer.sources.devices.words import Words
from inferometer.sources.devices.xids import UnderWay

log = logging.getLogger(__name__)

_MARGIN = 0.5  # seconds that a read may take beyond its deadline, to sort out what did not answer
_MAX_UNKILLABLE = 2
_LOOKS = 150  # at a child that is to end, each a hundredth of a second after the other
_MOMENT = Will("it was let go of for a moment", "The GPUs are read again")
_GARBAGE = (Reason.MALFORMED, Reason.TOO_LARGE)


class Gpus:
    """The GPUs of one vendor on this node (a `Source[DeviceReport]`).

    A GPU that does not answer within the deadline contributes no readings and is named in `unresponsive`, with the age of
    its last answer; it stays among the devices as it was last seen, so that who holds it is still known.
    """

    instance = ""

    def __init__(
        self,
        words: Words,
        config: configuration.Nvidia | configuration.Amd,
        period: float,
        *,
        release: Release,
        binding: str,
        argument: str = "",
        library: str = "",
        processes: bool = False,
    ) -> None:
        self.name = words.source
        self.period = period
        self.deadline = config.deadline + _MARGIN
        self._config = config
        self._words = words
        self._binding = binding
        self._argument = argument
        self._library = library
        self._processes = processes
        self._reading = threading.Lock()
        self._closed = False
        self._number = 0
        self._child: Child | None = None
        self._departures = Departures()
        self._release = release
        self._samplers = Samplers(self._make, release, words)
        self._backoff = Backoff()
        self._periods = {calls.MEDIUM: config.medium_period, calls.SLOW: config.slow_period}
        self._told = Told(words, config, period, self._periods)
        self._quarantine = Quarantine(self._samplers.start, self._departures, config.kill_after, words.source)
        self._blame = Blame(
            self._quarantine,
            self._told.occupancy,
            self._told.xids,
            patience=config.deadline / 4,
            kill_after=config.kill_after,
        )
        self._restarts = dict.fromkeys(catalog.RESTART_CAUSE.values, 0)
        self._mute_since: float | None = None  # monotonic: the first question since which the child has said nothing

    def read(self) -> DeviceReport:
        """Read all GPUs once.

        Raises Trouble: MISSING without a driver or library, TIMEOUT where the library as a whole does not answer, CRASHED
        where the child ended, REJECTED or PERMISSION where NVML refuses to be opened, RELEASED while it is to be left alone.
        """
        self._release.wait_for_node(self._config.deadline)
        with self._reading:
            self._departures.sweep()
            self._leave_alone()
            child, answered, complete = self._sample()
            self._leave_alone()
            self._backoff.succeeded()
            # A question for the driver's unbinding that hangs costs only its answer.
            under_way = {word: call for word, call in child.busy().items() if word != UNBIND}
            self._release_stuck(child, under_way)
            self._quarantine.step()
            return self._told.report(
                answered, under_way, complete=complete, paused=self._quarantine.failed, restarts=self._restarts
            )

    def close(self) -> None:
        """End the child: it closes NVML. Waits for it for about a second, and for a read under way."""
        self._closed = True
        self._samplers.close()
        if (child := self._child) is not None:
            child.end()
        with self._reading:
            self._quarantine.close()
            if self._child is not None:
                self._departures.end(self._child, grace=1)
                self._child = None
            # So many looks, and not so many seconds: a machine that stalls takes the time from the child, too.
            for _ in range(_LOOKS):
                self._departures.sweep()
                if not self._departures:
                    return
                time.sleep(0.01)

    def _leave_alone(self) -> bool:
        """Give up the child and the probe if the driver is to be left alone, or was; tell which. Raises Trouble (RELEASED)."""
        will = self._release.now()
        if will is None and not (self._child is not None and self._samplers.has_ended(self._child)):
            return False
        if self._child is not None:
            self._departures.end(self._child, grace=ASKED)
            self._child = None
        self._quarantine.close()
        self._told.forget()
        self._backoff.succeeded()
        if will is None:
            return True
        raise troubles.released(self._words.vendor, will, self._samplers.stuck)

    def _make(self) -> Child:
        try:
            return Child(
                vendor=self._words.source,
                nvml=self._binding,
                argument=self._argument,
                library=self._library,
                patience=self._config.deadline / 4,
                periods=self._periods,
                hears_unbind=self._blame.hears_unbind,
                processes=self._processes,
                exclude=self._config.exclude,
            )
        except OSError as error:
            raise Trouble(Reason.CRASHED, f"the {self._words.api} sampler cannot be started: {error}") from error

    def _running(self) -> Child:
        """Give the child; start it where there is none, unless it is too early or must not be."""
        if self._closed:
            raise Trouble(Reason.REFUSED, f"the {self._words.vendor} source is closed")
        if self._child is not None:
            return self._child
        stuck = self._departures.unkillable
        if len(stuck) >= _MAX_UNKILLABLE:
            pids = ", ".join(map(str, stuck))
            raise Trouble(
                Reason.TIMEOUT,
                f"{self._words.api} is not read any more: {len(stuck)} samplers hang in the driver and cannot be killed (processes {pids})",
                "Reset the GPU or restart the node.",
            )
        self._backoff.check()
        path = self._library
        if path and not os.path.exists(path):  # noqa: PTH110  # a look, before a process is started
            raise Trouble(Reason.MISSING, f"{path} was not found", self._words.install)
        self._child, self._mute_since = self._samplers.start(), None
        self._told.roll.renew()
        return self._child

    def _sample(self) -> tuple[Child, set[int], bool]:
        """Have a sample taken; give who took it, the GPUs that answered it in time, and whether the child saw its end.

        A child that crashed, or made no sense, is followed by another one at once, for the other GPUs have done nothing; but
        not twice within a minute. What that one tells counts if it is all that there is: a GPU that it has not come to is not silent.
        """
        until = time.monotonic() + self._config.deadline
        child = self._running()
        answered, complete, crash = self._attempt(child, until)
        if crash is None:
            return child, answered, complete
        if not self._backoff.may_skip():
            raise self._backoff.failed(crash)
        child = self._running()
        answered, complete, again = self._attempt(child, until)
        if again is not None:
            raise self._backoff.failed(again)
        if not complete:
            raise crash
        log.warning("%s: %s", self.name, crash.told())
        return child, answered, complete

    def _attempt(self, child: Child, until: float) -> tuple[set[int], bool, Trouble | None]:
        """Ask for a sample; give what it gave, and why the child is no more: it crashed, or made no sense.

        Raises Trouble where it gave up.
        """
        try:
            return *self._ask(child, until), None
        except EOFError:
            if self._leave_alone():
                raise troubles.released(self._words.vendor, _MOMENT, ()) from None
            self._child = None
            return set(), False, self._crash(child)
        except Trouble as trouble:
            self._child = None
            self._departures.end(child, grace=1)
            if trouble.reason in _GARBAGE:
                self._restarts["garbage"] += 1
                return set(), False, trouble.bare()
            raise self._backoff.failed(trouble) from None

    def _ask(self, child: Child, until: float) -> tuple[set[int], bool]:
        """Ask for a sample; give the GPUs that answered it in time, and whether the child saw its end.

        Raises EOFError where the child ended.
        """
        self._number += 1
        skip = self._blame.skipped()
        if self._mute_since is None:
            self._mute_since = time.monotonic()
        child.ask(" ".join(["sample", str(self._number), *(["skip", *map(str, skip)] if skip else [])]))
        answered: set[int] = set()
        for frame in child.frames(until):
            self._mute_since = None
            if "events" in frame:
                self._told.xids.take(frame)  # of whichever sample: they are told once
                continue
            if "released" in frame:
                self._release.unbound()
                raise EOFError
            if "fatal" in frame:
                self._told.forget()
                raise self._words.gave_up(str(frame["fatal"]))
            try:
                newest = frame.get("n") == self._number
                if (index := self._told.take(frame, newest=newest)) is not None:
                    answered.add(index)
                elif newest and "done" in frame:
                    self._quarantine.forget(self._told.end(frame))
                    return answered, True
            except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
                raise troubles.malformed(error, self._words.api) from error
        return answered, False

    def _crash(self, child: Child) -> Trouble:
        """Make sense of a child that ended by itself; the GPU that it was at is left out of the next one.

        Not where somebody killed it, as the kernel does when memory is short: then no call is to blame.
        """
        if self._closed:
            self._departures.end(child, grace=1)
            return Trouble(Reason.REFUSED, f"the {self._words.vendor} source is closed")
        where: UnderWay = child.busy()
        how = child.how_it_ended()
        if not child.was_killed:
            where = self._blame.crashed(where)
        self._departures.end(child, grace=1)
        self._restarts["crash"] += 1
        at = ", ".join(troubles.place(word, call) for word, (call, _) in sorted(where.items()))
        message = f"the {self._words.api} sampler ended{f' in {at}' if at else ''}: {how}"
        return Trouble(Reason.CRASHED, message, "It is started again.")

    def _release_stuck(self, child: Child, under_way: UnderWay) -> None:
        """Kill a child that is stuck in a call, or outside of one, for too long, or that holds on to a GPU that is lost."""
        now = time.monotonic()
        mute = self._mute_since is not None and now - self._mute_since >= self._config.kill_after
        stuck = {word: call for word, call in under_way.items() if now - call[1] >= self._config.kill_after}
        lost = [index for index in self._told.roll.lost if index not in self._quarantine.indexes]
        self._blame.hung(stuck)
        for index in lost:
            self._quarantine.hold(index, self._config.kill_after)
        if stuck or (mute and not under_way):  # stopped, starved or dead-locked: no GPU is to blame
            at = ", ".join(troubles.place(word, call) for word, (call, _) in sorted(stuck.items())) or "no call"
            log.warning("%s: the sampler is stuck in %s: it is killed, and another one started", self.name, at)
            self._restarts["hang"] += 1
            self._child = None
            self._departures.kill(child)
        elif lost:
            # A lost GPU can be reset only when nobody holds it open.
            self._restarts["gpu_lost"] += 1
            self._child = None
            self._departures.end(child, grace=self._config.kill_after)
