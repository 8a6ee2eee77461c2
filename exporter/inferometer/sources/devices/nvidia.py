# SPDX-License-Identifier: Apache-2.0
"""NVIDIA GPUs: the source that asks the sampler child, and lives on when the driver hangs, crashes or goes away."""

import logging
import os
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType

from inferometer import config as configuration
from inferometer.model import EMPTY, DeviceReport, Reason, Trouble, Unsupported
from inferometer.sources.devices import report, troubles
from inferometer.sources.devices.backoff import Backoff
from inferometer.sources.devices.bindings import BINDINGS
from inferometer.sources.devices.child import Child, Departures
from inferometer.sources.devices.quarantine import Quarantine
from inferometer.sources.devices.report import Answer
from inferometer.sources.devices.whereabouts import EVENTS, LIBRARY
from inferometer.sources.devices.xids import UnderWay, Xids

__all__ = ["BINDINGS", "Nvidia"]

log = logging.getLogger(__name__)

_MARGIN = 0.5  # seconds that a read may take beyond its deadline, to sort out what did not answer
_MAX_UNKILLABLE = 2
_CRASH_PROBE = 1.0  # seconds until a GPU whose call crashed the child is tried again


class Nvidia:
    """The NVIDIA GPUs of this node (a `Source[DeviceReport]`).

    A GPU that does not answer within the deadline contributes no readings and is named in `unresponsive`, with the age of
    its last answer; it stays among the devices as it was last seen, so that who holds it is still known.
    """

    name = "nvidia"
    instance = ""

    def __init__(
        self, config: configuration.Nvidia, period: float, *, nvml: str = "pynvml", nvml_argument: str = ""
    ) -> None:
        self.period = period
        self.deadline = config.deadline + _MARGIN
        self._config = config
        self._nvml = nvml
        self._nvml_argument = nvml_argument
        self._reading = threading.Lock()
        self._closed = False
        self._number = 0
        self._child: Child | None = None
        self._departures = Departures()
        self._quarantine = Quarantine(self._start, self._departures, config.kill_after)
        self._backoff = Backoff()
        self._xids = Xids(config.kill_after)
        self._answers: dict[int, Answer] = {}  # the last good answer of every GPU, by NVML index
        self._driver: Mapping[str, str] = EMPTY
        self._mute_since: float | None = None  # monotonic: the first question since which the child has said nothing
        self._silent: frozenset[int] = frozenset()
        self._why_silent: dict[int, str] = {}

    def read(self) -> DeviceReport:
        """Read all GPUs once.

        Raises Trouble: MISSING without a driver or library, TIMEOUT where the library as a whole does not answer, CRASHED
        where the child ended, REJECTED or PERMISSION where NVML refuses to be opened.
        """
        with self._reading:
            self._departures.sweep()
            child = self._running()
            self._number += 1
            try:
                answered, complete = self._sample(child)
            except EOFError:
                self._child = None
                raise self._crash(child) from None
            except Trouble as trouble:
                self._child = None
                self._departures.end(child, grace=1)
                raise self._backoff.failed(trouble) from None
            self._backoff.succeeded()
            under_way = child.busy()
            self._release_stuck(child, under_way)
            self._quarantine.step()
            return self._report(answered, complete, under_way)

    def close(self) -> None:
        """End the child: it closes NVML. Waits for it for about a second, and for a read under way."""
        self._closed = True
        if (child := self._child) is not None:
            child.end()
        with self._reading:
            self._quarantine.close()
            if self._child is not None:
                self._departures.end(self._child, grace=1)
                self._child = None
            until = time.monotonic() + 1.5
            while self._departures and time.monotonic() < until:
                self._departures.sweep()
                time.sleep(0.01)

    def _start(self) -> Child:
        try:
            return Child(
                nvml=self._nvml,
                argument=self._nvml_argument,
                library=self._config.library,
                patience=self._config.deadline / 4,
            )
        except OSError as error:
            raise Trouble(Reason.CRASHED, f"the NVML sampler cannot be started: {error}") from error

    def _running(self) -> Child:
        """Give the child; start it where there is none, unless it is too early or must not be."""
        if self._closed:
            raise Trouble(Reason.REFUSED, "the NVIDIA source is closed")
        if self._child is not None:
            return self._child
        stuck = self._departures.unkillable
        if len(stuck) >= _MAX_UNKILLABLE:
            pids = ", ".join(map(str, stuck))
            raise Trouble(
                Reason.TIMEOUT,
                f"NVML is not read any more: {len(stuck)} samplers hang in the driver and cannot be killed (processes {pids})",
                "Reset the GPU or restart the node.",
            )
        self._backoff.check()
        path = self._config.library
        if path and not os.path.exists(path):  # noqa: PTH110  # a look, before a process is started
            raise Trouble(Reason.MISSING, f"{path} was not found", troubles.INSTALL)
        self._child, self._mute_since = self._start(), None
        return self._child

    def _sample(self, child: Child) -> tuple[set[int], bool]:
        """Ask for a sample; give the GPUs that answered it in time, and whether the child saw its end."""
        until = time.monotonic() + self._config.deadline
        skip = (*self._quarantine.indexes, *(() if self._xids.begin() else (EVENTS - 1,)))
        if self._mute_since is None:
            self._mute_since = time.monotonic()
        child.ask(" ".join(["sample", str(self._number), *(["skip", *map(str, skip)] if skip else [])]))
        answered: set[int] = set()
        for frame in child.frames(until):
            self._mute_since = None
            if "events" in frame:
                self._xids.take(frame)  # of whichever sample: they are told once
                continue
            if "fatal" in frame:
                self._answers = {}  # whatever GPUs the next driver shows are found anew
                raise troubles.gave_up(str(frame["fatal"]))
            if frame.get("n") != self._number:
                continue  # the late end of an earlier sample
            if "done" in frame:
                self._driver = MappingProxyType(frame["driver"])
                self._forget(beyond=int(frame["done"]))
                return answered, True
            index = int(frame["gpu"])
            if "lost" in frame:
                self._why_silent[index] = str(frame["lost"])
                continue
            try:
                self._answers[index] = report.answer(frame, time.monotonic())
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise troubles.malformed(error) from error
            answered.add(index)
            self._why_silent.pop(index, None)
        return answered, False

    def _forget(self, beyond: int) -> None:
        """Forget GPUs that are no more."""
        self._answers = {index: answer for index, answer in self._answers.items() if index < beyond}
        self._why_silent = {index: why for index, why in self._why_silent.items() if index < beyond}
        self._quarantine.forget(beyond)

    def _crash(self, child: Child) -> Trouble:
        """Make sense of a child that ended by itself; the GPU that it was at is left out of the next one."""
        if self._closed:
            self._departures.end(child, grace=1)
            return Trouble(Reason.REFUSED, "the NVIDIA source is closed")
        where = child.busy()
        self._blame(where, _CRASH_PROBE)
        how = child.how_it_ended()
        self._departures.end(child, grace=1)
        at = ", ".join(troubles.place(word, call) for word, (call, _) in sorted(where.items()))
        message = f"the NVML sampler ended{f' in {at}' if at else ''}: {how}"
        return self._backoff.failed(Trouble(Reason.CRASHED, message, "It is started again."))

    def _blame(self, where: UnderWay, delay: float) -> None:
        """Leave out what hung or crashed the sampler: GPUs until a probe reads them, the events for a while."""
        for word, (call, _) in where.items():
            if word == EVENTS:
                self._xids.blame(call)
            elif word != LIBRARY:
                self._quarantine.hold(word - 1, delay)

    def _release_stuck(self, child: Child, under_way: UnderWay) -> None:
        """Kill a child that is stuck in a call, or outside of one, for too long, or that holds on to a GPU that is lost."""
        now = time.monotonic()
        mute = self._mute_since is not None and now - self._mute_since >= self._config.kill_after
        stuck = {word: call for word, call in under_way.items() if now - call[1] >= self._config.kill_after}
        lost = [
            index
            for index, reason in self._why_silent.items()
            if reason == "gpu_is_lost" and index not in self._quarantine.indexes
        ]
        self._blame(stuck, self._config.kill_after)
        for index in lost:
            self._quarantine.hold(index, self._config.kill_after)
        if stuck or (mute and not under_way):  # stopped, starved or dead-locked: no GPU is to blame
            at = ", ".join(troubles.place(word, call) for word, (call, _) in sorted(stuck.items())) or "no call"
            log.warning("nvidia: the sampler is stuck in %s: it is killed, and another one started", at)
            self._child = None
            self._departures.kill(child)
        elif lost:
            # A lost GPU can be reset only when nobody holds it open.
            self._child = None
            self._departures.end(child, grace=self._config.kill_after)

    def _report(self, answered: set[int], complete: bool, under_way: UnderWay) -> DeviceReport:
        """Put together what is known; a GPU without an answer to this sample is unresponsive."""
        now = time.monotonic()
        fresh = {self._answers[index].uuid for index in answered if index in self._answers}
        # A GPU whose index changed has answered under its new one.
        known = {i: a for i, a in sorted(self._answers.items()) if i in answered or a.uuid not in fresh}
        silent = {index: known[index] for index in known if index not in answered}
        if not complete and not known:
            raise Trouble(
                Reason.TIMEOUT,
                f"NVML has not answered for {self._config.deadline:g} s",
                "The driver may be starting, or hang.",
            )
        self._tell(silent, now, under_way)
        nameless = [
            Unsupported(f"index {index}", "gpu.info", "nvmlDeviceGetHandleByIndex_v2", why)
            for index, why in sorted(self._why_silent.items())
            if index not in known  # it never told its UUID
        ]
        answers = [known[index] for index in known if index in answered]
        return DeviceReport(
            devices=tuple(device for answer in known.values() for device in answer.devices),
            readings=tuple(reading for answer in answers for reading in answer.readings),
            unsupported=tuple(complaint for answer in known.values() for complaint in answer.unsupported),
            unresponsive=MappingProxyType({answer.uuid: now - answer.at for answer in silent.values()}),
            details=self._driver,
            failed=(
                *(complaint for answer in answers for complaint in answer.failed),
                *nameless,
                *self._xids.failed(under_way, complete=complete),
            ),
            events=self._xids.newest,
        )

    def _tell(self, silent: Mapping[int, Answer], now: float, under_way: UnderWay) -> None:
        """Log GPUs that fell silent or answer again, once each."""
        for index in sorted(silent.keys() - self._silent):
            uuid, age = silent[index].uuid, now - silent[index].at
            word = index + 1 if index + 1 in under_way else LIBRARY
            place = troubles.place(word, under_way[word][0]) if word in under_way else "it was not reached"
            why = self._why_silent.get(index, place)
            log.warning("nvidia: GPU %d (%s) is unresponsive, its last answer is %.1f s old: %s", index, uuid, age, why)
        for index in sorted(self._silent - silent.keys()):
            log.info("nvidia: GPU %d answers again, or is gone", index)
        self._silent = frozenset(silent)
