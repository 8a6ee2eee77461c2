# SPDX-License-Identifier: Apache-2.0
"""Stands in for `pynvml` in the sampler child, asks the real one, and writes down what it was asked and what it answered.

Constants, types and errors are the binding's own. A recording that fails, or is full, costs the sampler nothing.
"""

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from inferometer.sources.devices.captures import asked, handles, shapes
from inferometer.sources.devices.captures.masks import Masker
from inferometer.sources.devices.captures.shapes import Json

_DAY = 86_400_000_000  # microseconds
SLOW = (
    100_000  # microseconds: a call that takes longer is written whatever it answers, and is as slow when it is replayed
)
_ROUND = "nvmlDeviceGetCount"  # the sampler counts the GPUs when a sample begins

_recorder: "Recorder | None" = None


def configure(argument: str) -> None:
    """Begin: `argument` is JSON with `path`, `began` (monotonic), `key` (hexadecimal), `limit` (bytes), `binding`."""
    global _recorder  # noqa: PLW0603  # a module that stands in for a module has a module's state
    options = json.loads(argument)
    binding = importlib.import_module(options["binding"])
    _recorder = Recorder(binding, options["path"], options["began"], bytes.fromhex(options["key"]), options["limit"])


def __getattr__(name: str) -> Any:
    """Give a name of the binding: a call is wrapped, everything else is given as it is."""
    if _recorder is None or name.startswith("__"):
        raise AttributeError(name)
    value = getattr(_recorder.binding, name)
    if name == asked.POINTER:
        return partial(_recorder.point, value)
    if asked.is_call(name) and callable(value) and not isinstance(value, type) and not asked.is_unrecorded(name):
        value = _recorder.wrap(name, value)
        globals()[name] = value  # found without this function from now on
    return value


class View:
    """Writes single values: masked, and times of day as the time since the beginning."""

    def __init__(self, masker: Masker, names: handles.Handles, began: float) -> None:
        self.text = masker.text
        self.data = masker.data
        self.handle = names.name
        self._masked = masker.number
        self._began = int((time.time() - time.monotonic() + began) * 1e6)

    def number(self, where: str, number: float) -> Json:
        """Write a number."""
        if asked.is_time(where) and abs(number - self._began) < _DAY:
            return {"time": int(number) - self._began}
        return self._masked(where, number)


class Recorder:
    """One process's part of a recording; several may write to one file, whole lines each. For any number of threads."""

    def __init__(self, binding: Any, path: str, began: float, key: bytes, limit: int) -> None:
        self.binding = binding
        self._names = handles.Handles(binding)
        self._view = View(Masker(key), self._names, began)
        self._began = began
        self._limit = limit
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._stopped = False
        self._lock = threading.Lock()
        self._last: dict[str, list[Any]] = {}  # question -> its last answer, and how often it came again in this round
        self._under_way: dict[int, tuple[str, list[Json], float]] = {}
        self._told: set[int] = set()  # threads of which it was written that they hang
        self._round = 0
        self._costs: dict[str, list[int]] = {}

    def wrap(self, call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function that does the same, and is recorded."""
        names = asked.parameters(function)

        def recorded(*arguments: Any, **named: Any) -> Any:
            given = asked.positional(names, arguments, named)
            ask = self._enter(call, names, given)
            begin = time.perf_counter()
            try:
                answer = function(*arguments, **named)
            except Exception as error:
                self._leave(call, ask, begin, partial(self._failure, error))
                raise
            self._leave(call, ask, begin, partial(self._answer, call, ask, given, answer))
            return answer

        return recorded

    def point(self, find: Callable[[str], Callable[..., int]], call: str) -> Callable[..., int]:
        """Give the library's own function, for a call that goes past the binding: it is recorded as the binding's are."""
        function = find(call)

        def checked(*arguments: Any) -> None:
            if code := function(*arguments):
                raise self.binding.NVMLError(code)

        return asked.returning_codes(self.binding, self.wrap(call, checked))

    def _enter(self, call: str, names: Sequence[str], given: Sequence[Any]) -> list[Json]:
        with self._lock:
            if call.startswith(_ROUND):
                self._begin_round()
            self._names.follow(given)
            ask = asked.ask(call, names, given, self._view)
            self._under_way[threading.get_ident()] = call, ask, time.monotonic()
            return ask

    def _begin_round(self) -> None:
        """Write that a sample begins, and which calls have not answered since the one before."""
        now = time.monotonic()
        for thread, (call, ask, since) in self._under_way.items():
            if thread not in self._told:
                self._told.add(thread)
                self._write({"call": call, "ask": ask, "hangs": round(now - since, 3)})
        self._write({"round": self._round, "t": round(now - self._began, 3)})
        self._round += 1
        for entry in self._last.values():
            entry[1] = 0

    def _leave(self, call: str, ask: list[Json], begin: float, outcome: Callable[[], dict[str, Json]]) -> None:
        took = int((time.perf_counter() - begin) * 1e6)
        with self._lock:
            del self._under_way[threading.get_ident()]
            hung = threading.get_ident() in self._told
            self._told.discard(threading.get_ident())
            cost = self._costs.setdefault(call, [0, 0, 0])
            cost[:] = [cost[0] + 1, cost[1] + took, max(cost[2], took)]
            try:
                said = {"call": call, "ask": ask, **outcome()}
            except Exception as error:  # a defect of ours must not be the sampler's
                sys.stderr.write(f"{call} cannot be recorded: {error!r}\n")
                return
            self._tell(said, took, again=hung or took >= SLOW)
            if call.startswith("nvmlShutdown"):
                self._write({"costs": self._costs})
                self._costs = {}

    def _failure(self, error: Exception) -> dict[str, Json]:
        """Write how a call has failed."""
        if isinstance(error, self.binding.NVMLError):
            return {"error": int(getattr(error, "value"))}  # noqa: B009  # the binding has no types
        return {"raises": type(error).__name__}

    def _answer(self, call: str, ask: list[Json], given: Sequence[Any], answer: Any) -> dict[str, Json]:
        """Write what a call has answered, and what it has written into its arguments."""
        same = next((i for i, argument in enumerate(given) if argument is answer and answer is not None), None)
        if same is not None and not isinstance(answer, int | float | str):
            said: dict[str, Json] = {"answer": {"argument": same}}
        else:
            for item in answer if isinstance(answer, list) else [answer]:
                if handles.is_handle(item):
                    self._names.christen(item, ask)
            said = {"answer": shapes.plain(answer, call, self._view)}
        targets = [shapes.target(argument) for argument in given]
        filled = {
            str(i): shapes.plain(argument, call, self._view)
            for i, argument in enumerate(targets)
            if shapes.is_filled(argument) and not handles.is_handle(argument)
        }
        return {**said, "filled": filled} if filled else said

    def _tell(self, said: dict[str, Json], took: int, *, again: bool) -> None:
        """Write an answer, unless it is the one that this question had the last time; the order in a round is kept."""
        question = json.dumps([said["call"], said["ask"]])
        entry = self._last.setdefault(question, [None, 0])
        again = again or (said["call"].startswith("nvmlEventSetWait") and "answer" in said)  # each is told once
        if said == entry[0] and not again:
            entry[1] += 1
            return
        for _ in range(entry[1]):
            self._write({**entry[0], "us": 0})
        entry[:] = [said, 0]
        self._write({**said, "us": took})

    def _write(self, line: dict[str, Json]) -> None:
        if self._stopped and "costs" not in line:
            return
        data = json.dumps(line).encode() + b"\n"
        try:
            if os.fstat(self._file).st_size + len(data) > self._limit and "costs" not in line:
                self._stopped = True
                data = json.dumps({"full": self._limit}).encode() + b"\n"
            os.write(self._file, data)
        except OSError as error:
            self._stopped = True
            sys.stderr.write(f"the recording ends: {error}\n")
