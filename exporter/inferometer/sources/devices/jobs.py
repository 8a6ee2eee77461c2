# SPDX-License-Identifier: Apache-2.0
"""The jobs of a sample, and the threads that do them: the GPUs one by one, their events, who uses them.

The driver is called by one worker thread. When it has been on one GPU for longer than the patience, a spare takes over all the
other GPUs: a GPU that hangs costs only itself, and a list of its users that hangs only that list.
"""

import contextlib
import os
import signal
import threading
import time
from typing import Any

from inferometer.sources.devices import codes, frames
from inferometer.sources.devices.meter import Meter, Spent, add, told
from inferometer.sources.devices.subject import Mark
from inferometer.sources.devices.telling import DriverTelling, Telling
from inferometer.sources.devices.vendor import Device, Users, Vendor
from inferometer.sources.devices.whereabouts import EVENTS, LIBRARY, MAX_GPUS, UNBIND, USERS, Whereabouts

GRACE = 3  # seconds for closing the library before the process ends itself
_UNBIND_GRACE = 0.3  # and where somebody waits for it
_MAX_WORKERS = 64
# Job i has word i + 1, and is skipped by its number.
_COUNT = LIBRARY - 1  # the job that opens the library and counts the GPUs
_EVENTS = EVENTS - 1  # the job that takes events
_USERS = USERS - 1  # the first of those that read who uses a GPU


class Sampler:
    """The jobs of the newest sample and the workers that do them; everything shared is under one condition."""

    def __init__(
        self,
        vendor: Vendor,
        page: Meter,
        output: int,
    ) -> None:
        self._vendor = vendor
        self._page = page
        self._output = output
        self._writing = threading.Lock()
        self._unsent: list[bytes] = []
        self._tellings: dict[int, Telling] = {}  # of each GPU: never forgotten, as the agent does not forget either
        self._driver_telling = DriverTelling()
        self._changed = threading.Condition()
        self._wanted = 0  # the newest sample
        self._asked_at = 0.0
        self._skip: frozenset[int] = frozenset()
        self._only: int | None = None
        self._counted = 0  # the newest sample that the GPUs were counted for
        self._left: list[int] = []  # the jobs of that sample that are not done, in order
        self._under_way: dict[int, float] = {}  # job -> when it began
        self._finished = 0  # the newest sample whose `done` was written
        self._workers = 0
        self._count = 0
        self._present: list[str] | None = None
        self._gpus: dict[int, Device] = {}
        self._no_witness: set[int] = set()  # GPUs that tell nothing else of the driver than that it is gone, or nothing
        self._users: dict[int, Users | None] = {}
        self._driver: dict[str, str] = {}
        self._excluded: list[str] = []  # by the driver
        self._spent: Spent = {}  # since the last `done`
        self._events = vendor.events(self._marks(EVENTS))
        mark = Whereabouts.marks(page, UNBIND, vendor.numbers)  # what that costs is not told: nobody takes it
        self._unbind = vendor.unbind(mark, lambda: page.leave(UNBIND), self._let_go)

    def ask(self, number: int, skip: frozenset[int], only: int | None) -> None:
        """Start a sample; the one before is no longer of interest."""
        with self._changed:
            self._wanted, self._skip, self._only, self._asked_at = number, skip, only, time.monotonic()
            self._no_witness = set()
            self._changed.notify_all()
        if not self._workers:
            self.add_worker()

    def is_idle(self) -> bool:
        """Tell whether the newest sample is done."""
        with self._changed:
            return self._finished == self._wanted

    def add_worker(self) -> None:
        """Start a worker, if there is a job that nobody does, and send what was found before the one that hangs."""
        self._write()
        with self._changed:
            if self._workers >= _MAX_WORKERS or self._next() is None:
                return
            self._workers += 1
        threading.Thread(target=self._work, daemon=True).start()

    def close(self) -> None:
        """Let calls under way end, for a short while, and shut NVML down."""
        with self._changed:
            self._wanted = 0
            idle = self._changed.wait_for(lambda: not self._under_way, timeout=GRACE / 2)
        if self._present is not None:
            self._unbind.end()
            if idle:  # else a set, or a sample, may be in use
                self._close_gpus()
                self._events.close()
                self._page.leave(EVENTS)
            with contextlib.suppress(Exception):
                self._vendor.shut_down(self._marks(LIBRARY))

    def _jobs(self) -> list[int]:
        """Give what the newest sample wants: its GPUs, then the events; see `_finish` for who uses them. Condition held."""
        if self._only is not None:
            return [self._only] if self._only < self._count else []
        return [job for job in (*range(self._count), _EVENTS) if job not in self._skip]

    def _are_due(self, index: int) -> bool:
        """Tell whether a GPU's users are to be read, now that it was read itself."""
        if self._only is not None or _USERS + index in self._skip:
            return False
        gpu, users = self._gpus.get(index), self._users.get(index)
        return gpu is not None and users is not None and users.is_due(gpu.seen)

    def _next(self) -> int | None:
        """Give a job that is to be done and that nobody does. Condition held."""
        if not self._wanted or _COUNT in self._under_way:
            return None
        if self._counted != self._wanted:
            return _COUNT
        return next((job for job in self._left if job not in self._under_way), None)

    def _work(self) -> None:
        while True:
            with self._changed:
                job = self._next()
                while job is None and not self._unsent:
                    if self._workers - len(self._under_way) > 1:  # one that waits is enough: each holds memory
                        self._workers -= 1
                        return
                    self._changed.wait()
                    job = self._next()
                if job is not None:
                    number = self._wanted
                    self._under_way[job] = time.monotonic()
            if job is None:
                self._write()
                continue
            frame = self._do(job)
            passed = self._page.take(job + 1)
            if frame is not None:
                # One of a GPU waits for the next, so that the agent is woken once for all; not what is told only once.
                self._write({"n": number, **frame}, at_once="values" not in frame)
            with self._changed:
                add(self._spent, passed)
                del self._under_way[job]
                if number == self._wanted:
                    self._finish(job)
                done = self._done_frame()
                self._changed.notify_all()
            if done is not None:
                self._write(done)

    def _finish(self, job: int) -> None:
        """Note that a job of the newest sample is done, and what is to be done now that it is. Condition held."""
        if job == _COUNT:
            self._counted = self._wanted
            self._left = self._jobs()
            return
        self._left.remove(job)
        if job < self._count and self._are_due(job):
            self._left.append(_USERS + job)

    def _do(self, job: int) -> dict[str, Any] | None:
        """Do a job; give its frame, if there is something to tell."""
        if job == _COUNT:
            return self._count_gpus()
        if job == _EVENTS:
            return self._take_events()
        return self._read_users(job - _USERS) if job >= _USERS else self._read_gpu(job)

    def _done_frame(self) -> dict[str, Any] | None:
        """Give the frame that ends the newest sample, once. A GPU that hangs since before it is not waited for. Condition held."""
        if self._finished == self._wanted or self._counted != self._wanted:
            return None
        if any(self._under_way.get(job, self._asked_at) >= self._asked_at for job in self._left):
            return None
        self._finished = self._wanted
        spent, self._spent = self._spent, {}
        return {
            "n": self._wanted,
            "done": self._count,
            "spent": told(spent),
            "about": {"driver": self._driver, "excluded": self._excluded},
        }

    def _count_gpus(self) -> dict[str, Any] | None:
        """Open the library if need be, and count the GPUs; a count that changed makes all GPUs new ones."""
        mark = self._marks(LIBRARY)
        try:
            present = self._vendor.present()
            alone = len(self._under_way) == 1
            if present != self._present:
                if self._present is not None and alone:
                    self._renew_events()
                    self._close_gpus()
                    self._unbind.end()
                    self._vendor.shut_down(mark)
                    self._present = None
                if self._present is None:
                    self._driver = self._vendor.open(mark)
                    self._present = present
                    self._count = -1  # whatever is counted now is new
                    self._unbind.begin()
                self._gpus = {}
            count = min(self._vendor.count(mark), MAX_GPUS)
            if count != self._count:
                self._excluded = self._vendor.excluded(mark)
        except Exception as error:
            return {"fatal": self._vendor.reason(error)}
        finally:
            self._page.leave(LIBRARY)
        if count != self._count:
            if alone:
                self._close_gpus()
                self._renew_events()
            self._gpus = {}
        self._count = count
        return None

    def _take_events(self) -> dict[str, Any] | None:
        try:
            return self._events.take()
        finally:
            self._page.leave(EVENTS)

    def _renew_events(self) -> None:
        """Tell the last events of the event sets and let go of them: the GPUs make new ones. Only while no job uses them."""
        if frame := self._take_events():
            self._write(frame)
        self._events.close()
        self._page.leave(EVENTS)

    def _close_gpus(self) -> None:
        """Let go of what the GPUs hold in the driver. Only while no job reads one."""
        for index, gpu in self._gpus.items():
            gpu.close()
            self._page.leave(index + 1)

    def _let_go(self) -> None:
        """End at once, whatever is under way: somebody waits for the driver to be held by nobody."""
        signal.setitimer(signal.ITIMER_REAL, _UNBIND_GRACE)  # the kernel ends the process, whoever hangs
        self._write({"released": "driver_unbind"})
        self.close()
        os._exit(0)

    def _read_gpu(self, index: int) -> dict[str, Any]:
        word = index + 1
        gpu = self._gpus.get(index)
        if gpu is None:
            gpu = self._gpus[index] = self._vendor.gpu(index, self._marks(word), self._driver)
        try:
            return self._believe(index, gpu.read())
        except codes.GoneError as gone:
            return {"fatal": str(gone)}
        except Exception as error:
            self._gpus.pop(index).close()
            return self._believe(index, {"gpu": index, "lost": self._vendor.reason(error)})
        finally:
            self._page.leave(word)
            if index not in self._users:
                self._users[index] = self._vendor.users(index, self._marks(USERS + index))

    def _believe(self, index: int, frame: dict[str, Any]) -> dict[str, Any]:
        """Give a GPU's frame. One that says that the driver is gone has lost only itself, unless no other GPU tells more."""
        why = codes.says_gone(frame)
        with self._changed:
            if not why and "excluded" not in frame:
                self._no_witness.discard(index)
                return frame
            self._no_witness.add(index)
            asked = set(range(self._count)) - self._skip if self._only is None else {self._only}
            alone = asked <= self._no_witness
        if not why:
            return frame
        return {"fatal": why} if alone else {"gpu": index, "lost": why}

    def _read_users(self, index: int) -> dict[str, Any] | None:
        gpu, users = self._gpus.get(index), self._users.get(index)
        if gpu is None or gpu.seen is None or users is None:  # it went meanwhile
            return None
        try:
            return users.read(gpu.seen)
        except codes.GoneError as gone:
            return {"fatal": str(gone)}
        except codes.LostError:
            return None  # the GPU's own job tells it
        finally:
            self._page.leave(USERS + index)

    def _marks(self, word: int) -> Mark:
        """Give what marks the calls of a word."""
        return self._page.marks(word, self._vendor.numbers)

    def _write(self, frame: dict[str, Any] | None = None, *, at_once: bool = True) -> None:
        """Send a frame, with those that were not sent yet; or leave it to the next time."""
        data = b"" if frame is None else self._tell(frame)
        with self._writing:
            if data:
                self._unsent.append(data)
            if not at_once:
                return
            rest = memoryview(b"".join(self._unsent))
            self._unsent = []
            while rest:
                rest = rest[os.write(self._output, rest) :]

    def _tell(self, frame: dict[str, Any]) -> bytes:
        """Give a frame as it is sent; of what does not change at each sample, what was not told before."""
        if "values" in frame:
            # One job at a time reads a GPU, and tells it: what it tells comes in order.
            return self._tellings.setdefault(frame["gpu"], Telling()).tell(frame)
        if "done" in frame:
            return self._driver_telling.tell(frame["n"], frame["done"], frame["spent"], frame["about"])
        return frames.write(frame)
