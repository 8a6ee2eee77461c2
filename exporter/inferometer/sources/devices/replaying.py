# SPDX-License-Identifier: Apache-2.0
"""Stands in for `pynvml` in the sampler child, and answers from a capture; no driver is needed.

The rounds of the capture go by at the pace at which they were recorded, whatever the period of the one who asks: energy and
other counters then rise as fast as they did. After the last round its answers stay: a counter that jumped back would say
that the GPU was reset. A call that the capture does not have is not found, one that it has for others only not supported.
"""

import importlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inferometer.sources.devices.captures import asked, files, handles, shapes
from inferometer.sources.devices.captures.answers import FIELDS, METRICS, Answer, Answers
from inferometer.sources.devices.captures.shapes import Json

_GLANCE = 0.05  # seconds: how soon a call that hangs notices that it need not any more
_SLOW = 0.1  # seconds: a call that took longer takes as long again
_ROUND = "nvmlDeviceGetCount"
_WAIT = "nvmlEventSetWait"
# A call of these that the capture does not have succeeds: a recording that was ended early has no end of theirs.
_ALWAYS = ("nvmlInit", "nvmlShutdown", "nvmlEventSetFree", "nvmlGpmSampleFree")

_player: "Player | None" = None


def configure(argument: str) -> None:
    """Begin: `argument` is JSON with `directory`, `began` (monotonic), `each` (a sample a round, whatever the time), `binding`."""
    global _player  # noqa: PLW0603  # a module that stands in for a module has a module's state
    options = json.loads(argument)
    binding = importlib.import_module(options["binding"])
    _player = Player(binding, Path(options["directory"]), options["began"], each=options["each"])


def __getattr__(name: str) -> Any:
    """Give a name of the binding: a call is answered from the capture, everything else is the binding's own."""
    if _player is None or name.startswith("__"):
        raise AttributeError(name)
    if name == asked.POINTER:
        return _player.point
    value = getattr(_player.binding, name, None)
    if value is None and not _player.knows(name):
        raise AttributeError(name)
    if asked.is_call(name) and not isinstance(value, type | int):
        value = globals()[name] = _player.play(name, value)
    return value


class Player:
    """Answers calls from a capture. For any number of threads."""

    def __init__(self, binding: Any, directory: Path, began: float, *, each: bool = False) -> None:
        self.binding = binding
        self._names = handles.Handles(binding)
        self._answers = Answers(files.read(directory))
        self._slack = 0.0 if each else files.header(directory)["period"] / 2
        self._began = began
        self._wall = int((time.time() - time.monotonic() + began) * 1e6)
        self._each = each
        self._round = -1
        self._lock = threading.Lock()
        self._never = threading.Event()

    # What `shapes` asks for.

    def pointer(self, name: str) -> handles.Pointer:
        """Give the handle of a name."""
        return self._names.find(name)

    def moment(self, microseconds: int) -> int:
        """Give the time of day that lies so far after the beginning of this replay."""
        return self._wall + microseconds

    def text(self, where: str, text: str) -> str:
        """Write a text as it is: it came from the capture, or identifies nothing in it."""
        del where
        return text

    def data(self, where: str, data: bytes) -> str:
        """Write bytes."""
        del where
        return data.hex()

    def number(self, where: str, number: float) -> Json:
        """Write a number."""
        del where
        return number

    def handle(self, pointer: handles.Pointer) -> str | None:
        """Write a handle."""
        return self._names.name(pointer)

    # The calls.

    def knows(self, call: str) -> bool:
        """Tell whether the capture has this call, of whatever."""
        return call in self._answers.calls

    def play(self, call: str, function: Callable[..., Any] | None) -> Callable[..., Any]:
        """Give a function that takes what the binding's takes, and answers from the capture."""
        names = asked.parameters(function) if function else ()

        def played(*arguments: Any, **named: Any) -> Any:
            given = asked.positional(names, arguments, named)
            with self._lock:
                if call.startswith(_ROUND):
                    self._advance()
                self._names.follow(given)
                ask = asked.ask(call, names, given, self)
            while True:
                with self._lock:
                    answer = self._find(call, ask)
                    if answer is None or "hangs" not in answer:
                        break
                self._never.wait(_GLANCE)
            if answer is None:
                return self._unknown(call)
            if answer.get("us", 0) / 1e6 >= _SLOW:
                time.sleep(answer["us"] / 1e6)
            with self._lock:
                return self._give(call, ask, given, answer)

        return played

    def point(self, call: str) -> Callable[..., int]:
        """Give what stands for the library's own function, for a call that goes past the binding."""
        return asked.returning_codes(self.binding, self.play(call, None))

    def _advance(self) -> None:
        """A sample begins: choose its round."""
        if self._each:
            self._round = min(self._round + 1, self._answers.rounds - 1)
        else:
            now = time.monotonic() - self._began
            self._round = max(self._round, self._answers.round_at(now + self._slack))

    def _find(self, call: str, ask: list[Json]) -> Answer | None:
        if call.startswith(_WAIT):
            return self._answers.take(call, ask, self._round) or {"error": self.binding.NVML_ERROR_TIMEOUT}
        found = self._answers.find(call, ask, self._round)
        if found is None and call in (FIELDS, METRICS) and self.knows(call):
            return {"answer": None}  # others were asked together when it was recorded: each is answered by itself
        return found

    def _unknown(self, call: str) -> None:
        if call.startswith(_ALWAYS):
            return
        error = "NVML_ERROR_NOT_SUPPORTED" if self.knows(call) else "NVML_ERROR_FUNCTION_NOT_FOUND"
        raise self.binding.NVMLError(getattr(self.binding, error))

    def _give(self, call: str, ask: list[Json], given: Sequence[Any], answer: Answer) -> Any:
        """Do what the call did: raise, fill arguments, answer."""
        if "error" in answer:
            raise self.binding.NVMLError(answer["error"])
        if "raises" in answer:
            raise ValueError(f"{call} raised {answer['raises']} when it was recorded")
        if call == FIELDS:
            return self._fields(ask)
        if call == METRICS:
            return self._metrics(ask, given[0])
        try:
            for i, written in answer.get("filled", {}).items():
                shapes.fill(shapes.target(given[int(i)]), next(iter(written.values())), self)
            said = answer["answer"]
            if isinstance(said, dict) and "argument" in said:
                return given[said["argument"]]
            return shapes.build(said, self)
        except AttributeError as error:  # recorded with another binding
            raise self.binding.NVMLError(self.binding.NVML_ERROR_ARGUMENT_VERSION_MISMATCH) from error

    def _fields(self, ask: list[Json]) -> Any:
        """Answer each field by itself."""
        wanted = [item["tuple"] if isinstance(item, dict) else [item, 0] for item in ask[1]]
        values = (self.binding.c_nvmlFieldValue_t * len(wanted))()
        for value, (field, scope) in zip(values, wanted, strict=True):
            if found := self._answers.find(FIELDS, [ask[0], field, scope], self._round):
                shapes.fill(value, found["answer"], self)
            else:
                value.fieldId, value.scopeId = field, scope
                value.nvmlReturn = self.binding.NVML_ERROR_NOT_SUPPORTED
        return values

    def _metrics(self, ask: list[Json], into: Any) -> Any:
        """Answer each metric by itself."""
        ((_, held),) = ask[0].items()
        for metric in into.metrics[: into.numMetrics]:
            if found := self._answers.find(METRICS, [held.get("sample2"), metric.metricId], self._round):
                shapes.fill(metric, found["answer"], self)
            else:
                metric.nvmlReturn = self.binding.NVML_ERROR_NOT_SUPPORTED
        return into
