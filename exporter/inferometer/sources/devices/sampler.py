# SPDX-License-Identifier: Apache-2.0
"""The sampler child: reads GPUs through NVML when told to, one frame per GPU, and survives what hangs in the driver.

Run as `python -I -m inferometer.sources.devices.sampler KEY VALUE ...`, with the standard library and the NVML binding
only. It never outlives its agent: the end of its standard input ends it, hung or not.

- Standard input, lines: `sample N`, `sample N skip I J`, `sample N only I`. The newest command counts.
- Standard output, frames of a 4-byte big-endian length and JSON: one for each GPU (`gpu.Gpu.read`, or `lost` with a
  reason) with its sample's number `n`; `events` where there were any (`events.Events.take`), which are told once; then
  `done` with the count of GPUs. `fatal` says that the driver is no use.
- The page of `whereabouts` says which call is under way on which GPU.

NVML is called by one worker thread. When it has been on one GPU for longer than the patience, a spare takes over all the
other GPUs: a GPU that hangs costs only itself. The main thread never calls NVML, until the end.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
from typing import Any

from inferometer.sources.devices import calls, codes, library
from inferometer.sources.devices.events import Events
from inferometer.sources.devices.gpu import Gpu
from inferometer.sources.devices.whereabouts import EVENTS, LIBRARY, MAX_GPUS, Whereabouts

_GPUS = "/proc/driver/nvidia/gpus"  # a directory per GPU that the kernel module has; it tells a GPU that came or went
_GRACE = 3  # seconds for nvmlShutdown before the process ends itself
_MAX_WORKERS = 64
_COUNT = -1  # the job that opens the library and counts the GPUs
_EVENTS = EVENTS - 1  # the job that takes events, skipped like a GPU's: job i has word i + 1


class Sampler:
    """The jobs of the newest sample and the workers that do them; everything shared is under one condition."""

    def __init__(self, nvml: calls.Nvml, libraries: tuple[str, ...], page: Whereabouts, output: int) -> None:
        self._nvml = nvml
        self._libraries = libraries
        self._page = page
        self._output = output
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._wanted = 0  # the newest sample
        self._asked_at = 0.0
        self._skip: frozenset[int] = frozenset()
        self._only: int | None = None
        self._done: dict[int, int] = {}  # job -> the newest sample it was done for
        self._under_way: dict[int, float] = {}  # job -> when it began
        self._finished = 0  # the newest sample whose `done` was written
        self._workers = 0
        self._count = 0
        self._present: list[str] | None = None
        self._gpus: dict[int, Gpu] = {}
        self._driver: dict[str, str] = {}
        self._events = Events(nvml, lambda call: page.enter(EVENTS, calls.NUMBER[call]))

    def ask(self, number: int, skip: frozenset[int], only: int | None) -> None:
        """Start a sample; the one before is no longer of interest."""
        with self._changed:
            self._wanted, self._skip, self._only, self._asked_at = number, skip, only, time.monotonic()
            self._changed.notify_all()
        if not self._workers:
            self.add_worker()

    def is_idle(self) -> bool:
        """Tell whether the newest sample is done."""
        with self._changed:
            return self._finished == self._wanted

    def add_worker(self) -> None:
        """Start a worker, if there is a job that nobody does."""
        with self._changed:
            if self._workers >= _MAX_WORKERS or self._next() is None:
                return
            self._workers += 1
        threading.Thread(target=self._work, daemon=True).start()

    def close(self) -> None:
        """Let calls under way end, for a short while, and shut NVML down."""
        with self._changed:
            self._wanted = 0
            idle = self._changed.wait_for(lambda: not self._under_way, timeout=_GRACE / 2)
        if self._present is not None:
            if idle:  # else a set may be in use
                self._events.close()
                self._page.leave(EVENTS)
            self._page.enter(LIBRARY, calls.NUMBER["nvmlShutdown"])
            with contextlib.suppress(Exception):
                self._nvml.nvmlShutdown()

    def _jobs(self) -> list[int]:
        """Give what the newest sample wants: its GPUs, then the events. Condition held."""
        if self._only is not None:
            return [self._only] if self._only < self._count else []
        return [i for i in (*range(self._count), _EVENTS) if i not in self._skip]

    def _next(self) -> int | None:
        """Give a job that is to be done and that nobody does. Condition held."""
        if not self._wanted or _COUNT in self._under_way:
            return None
        if self._done.get(_COUNT) != self._wanted:
            return _COUNT
        return next((i for i in self._jobs() if self._done.get(i) != self._wanted and i not in self._under_way), None)

    def _work(self) -> None:
        while True:
            with self._changed:
                while (job := self._next()) is None:
                    self._changed.wait()
                number = self._wanted
                self._under_way[job] = time.monotonic()
            frame = self._do(job)
            if frame is not None:
                self._write({"n": number, **frame})
            with self._changed:
                self._done[job] = number
                del self._under_way[job]
                done = self._done_frame()
                self._changed.notify_all()
            if done is not None:
                self._write(done)

    def _do(self, job: int) -> dict[str, Any] | None:
        """Do a job; give its frame, if there is something to tell."""
        if job == _COUNT:
            return self._count_gpus()
        return self._take_events() if job == _EVENTS else self._read_gpu(job)

    def _done_frame(self) -> dict[str, Any] | None:
        """Give the frame that ends the newest sample, once. A GPU that hangs since before it is not waited for. Condition held."""
        if self._finished == self._wanted or self._done.get(_COUNT) != self._wanted:
            return None
        for job in self._jobs():
            if self._done.get(job) != self._wanted and self._under_way.get(job, self._asked_at) >= self._asked_at:
                return None
        self._finished = self._wanted
        return {"n": self._wanted, "done": self._count, "driver": self._driver}

    def _count_gpus(self) -> dict[str, Any] | None:
        """Open the library if need be, and count the GPUs; a count that changed makes all GPUs new ones."""

        def mark(call: str) -> None:
            self._page.enter(LIBRARY, calls.NUMBER[call])

        try:
            present = _kernel_gpus()
            alone = len(self._under_way) == 1
            if present != self._present:
                if self._present is not None and alone:
                    self._renew_events()
                    mark("nvmlShutdown")
                    self._nvml.nvmlShutdown()
                    self._present = None
                if self._present is None:
                    mark("nvmlInitWithFlags")
                    library.open_library(self._nvml, self._libraries)
                    self._driver = library.describe(self._nvml, mark)
                    self._present = present
                self._gpus = {}
            mark("nvmlDeviceGetCount_v2")
            count = min(self._nvml.nvmlDeviceGetCount(), MAX_GPUS)
        except Exception as error:
            return {"fatal": library.reason(self._nvml, error)}
        finally:
            self._page.leave(LIBRARY)
        if count != self._count:
            self._gpus = {}
            if alone:
                self._renew_events()
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

    def _read_gpu(self, index: int) -> dict[str, Any]:
        word = index + 1
        enter, numbers = self._page.enter, calls.NUMBER
        gpu = self._gpus.get(index)
        if gpu is None:

            def mark(call: str) -> None:
                enter(word, numbers[call])

            gpu = self._gpus[index] = Gpu(self._nvml, index, mark, self._driver, self._events)
        try:
            return gpu.read()
        except codes.GoneError as gone:
            return {"fatal": str(gone)}
        except Exception as error:
            self._gpus.pop(index, None)
            return {"gpu": index, "lost": library.reason(self._nvml, error)}
        finally:
            self._page.leave(word)

    def _write(self, frame: dict[str, Any]) -> None:
        body = json.dumps(frame, separators=(",", ":"), allow_nan=False).encode()
        data = memoryview(len(body).to_bytes(4, "big") + body)
        with self._writing:
            while data:
                data = data[os.write(self._output, data) :]


def _kernel_gpus() -> list[str]:
    """Give the PCI addresses that the kernel module has; empty where it does not show them."""
    try:
        return sorted(os.listdir(_GPUS))  # noqa: PTH208  # pathlib costs the child half a MiB
    except OSError:
        return []


def obey(sampler: Sampler, patience: float) -> None:
    """Take commands until standard input ends; add a worker when a sample makes no end for longer than the patience."""
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], None if sampler.is_idle() else patience)
        if not ready:
            sampler.add_worker()
            continue
        received = os.read(0, 4096)
        if not received:
            return
        *lines, pending = (pending + received).split(b"\n")
        if lines:
            _, number, *rest = lines[-1].split()
            indexes = frozenset(map(int, rest[1:]))
            only = next(iter(indexes), None) if rest[:1] == [b"only"] else None
            sampler.ask(int(number), frozenset() if only is not None else indexes, only)


def main(arguments: list[str]) -> None:
    """Sample until told to end. Keys: `page` (descriptor), `patience` (seconds), `nvml`, `argument`, `library`."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    # Frames have a descriptor of their own: whatever the driver's library prints goes to standard error.
    output = os.dup(1)
    os.dup2(2, 1)
    page = Whereabouts(int(options["page"]))
    os.close(int(options["page"]))
    page.enter(LIBRARY, calls.NUMBER["nvmlInitWithFlags"])  # loading the binding counts as the beginning of it
    nvml = importlib.import_module(options["nvml"])
    if options["argument"]:
        nvml.configure(options["argument"])
    libraries = (options["library"],) if options["library"] else ()
    sampler = Sampler(nvml, libraries, page, output)
    obey(sampler, float(options["patience"]))
    signal.alarm(_GRACE)  # the kernel ends the process if the driver does not let go
    sampler.close()


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)
