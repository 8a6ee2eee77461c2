# SPDX-License-Identifier: Apache-2.0
"""The driver's word that it is being unbound from a GPU, heard in the sampler child by a thread of its own.

Whoever unbinds a GPU, to hand it to a virtual machine or to unload the driver, waits until nobody holds it open. A period
may be a minute, and a read may hang: so neither is waited for. The thread has a word of its own among the whereabouts; when
it hangs nothing else is lost. It asks again and again and never waits within the driver, so that it is never in the way of
`nvmlShutdown`.

Source: the comments of `nvmlSystemEventSetCreate`, `nvmlSystemRegisterEvents` and `nvmlSystemEventSetWait` in `nvml.h`
(CUDA 13.3).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from inferometer.sources.devices import calls, codes, direct, library
from inferometer.sources.devices.subject import Mark

_GLANCE = 0.6  # seconds between two questions; each wakes a processor
_AGAIN = 30.0  # seconds after a question that failed
_BUSY = 0.1  # seconds that the closing of the library waits for a question under way


class Unbind:
    """Listens while the library is open. `heard` is called in the listening thread, and ends the process; None: never listen."""

    def __init__(
        self, nvml: calls.Nvml, mark: Mark, leave: Callable[[], None], heard: Callable[[], None] | None
    ) -> None:
        self._nvml = nvml
        self._mark = mark
        self._leave = leave
        self._heard = heard
        self._asking = threading.Lock()
        self._open = False
        self._events: Any = None
        self._look: Callable[[], Collection[int]] = tuple
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Listen: the library is open."""
        self._open = True
        if self._thread is None and self._heard is not None:
            self._thread = threading.Thread(target=self._listen, daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Let go of the events: the library is about to be closed. A question that hangs is left alone."""
        self._open = False
        if self._asking.acquire(timeout=_BUSY):
            try:
                self._free()
            finally:
                self._asking.release()
        else:
            self._events = None

    def _listen(self) -> None:
        pause = _GLANCE
        while True:
            time.sleep(pause)
            pause = _GLANCE
            with self._asking:
                reason = self._ask() if self._open else "timeout"
                self._leave()
                if reason == "timeout":
                    continue
                if reason and self._open:
                    self._free()
            if not reason and self._heard is not None:
                self._heard()
                return
            if reason in codes.REFUSED:
                return  # a driver without system events, which it will not learn
            pause = _AGAIN

    def _ask(self) -> str:
        """Ask whether it has happened; give why there is no answer: `timeout` is a plain no, empty is a yes."""
        nvml = self._nvml
        try:
            if self._events is None:
                self._register()
            self._mark("nvmlSystemEventSetWait")
            told = self._look()
        except Exception as error:
            return library.reason(nvml, error)
        # An event is of one type: one that is of all of them is garbage.
        return "" if told and nvml.nvmlSystemEventTypeGpuDriverUnbind in told else "timeout"

    def _register(self) -> None:
        nvml = self._nvml
        self._mark("nvmlSystemEventSetCreate")
        events = nvml.nvmlSystemEventSetCreate(nvml.nvmlSystemEventSetCreateRequest_v1)
        self._events = events
        self._look = direct.looks(nvml, events)
        self._mark("nvmlSystemRegisterEvents")
        nvml.nvmlSystemRegisterEvents(
            nvml.nvmlSystemRegisterEventRequest_v1, nvml.nvmlSystemEventTypeGpuDriverUnbind, events
        )

    def _free(self) -> None:
        """Free the events, if there are any. Lock held."""
        events, self._events = self._events, None
        if events is not None:
            self._mark("nvmlSystemEventSetFree")
            with contextlib.suppress(Exception):
                self._nvml.nvmlSystemEventSetFree(self._nvml.nvmlSystemEventSetFreeRequest_v1, events)
            self._leave()
