# SPDX-License-Identifier: Apache-2.0
"""The prepared functions ask the library what the binding's own ask, and give what those give."""

import ctypes
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pynvml  # noqa: TID251  # what is prepared; no driver is asked here
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sources.devices import codes, direct

HANDLE = ctypes.cast(ctypes.c_void_p(0x1000), pynvml.c_nvmlDevice_t)
EVENTS = ctypes.cast(ctypes.c_void_p(0x2000), pynvml.c_nvmlEventSet_t)
SYSTEM_EVENTS = ctypes.cast(ctypes.c_void_p(0x3000), pynvml.c_nvmlSystemEventSet_t)
TIMEOUT, UNKNOWN = 10, 999
PREPARATIONS: tuple[Callable[[Any], Any], ...] = (lambda binding: binding, direct.prepared)


class Library:
    """Stands for the library: notes what it is asked, has an answer written, and gives a code."""

    def __init__(self, write: Callable[..., None] = lambda *_: None, code: int = 0) -> None:
        self.asked: list[tuple[str, list[Any]]] = []
        self._write = write
        self._code = code

    def find(self, name: str) -> Callable[..., int]:
        """Give a function."""

        def function(*arguments: Any) -> int:
            targets = [getattr(argument, "_obj", argument) for argument in arguments]
            self.asked.append((name, [plain(target) for target in targets]))
            if not self._code:
                self._write(*targets)
            return self._code

        return function


def plain(argument: Any) -> Any:
    """Write an argument as the library sees it; what a pointer to other memory points to is not asked."""
    if isinstance(argument, pynvml.c_nvmlSystemEventSetWaitRequest_v1_t):
        return argument.version, argument.timeoutms, argument.dataSize
    if isinstance(argument, ctypes.Structure | ctypes.Array):
        return bytes(argument)
    if hasattr(argument, "contents"):
        return ctypes.cast(argument, ctypes.c_void_p).value
    return getattr(argument, "value", argument)


def seen(answer: Any) -> Any:
    """Write an answer for a comparison."""
    if isinstance(answer, ctypes.Structure | ctypes.Array):
        return bytes(answer)
    if isinstance(answer, tuple | list):
        return [seen(item) for item in answer]
    return answer


def both(call: Callable[[Any], Any], write: Callable[..., None], code: int = 0) -> tuple[list[Any], list[Any]]:
    """Make a call twice, by the binding and prepared; give what each asked and answered."""
    outcomes: list[list[Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        for prepare in PREPARATIONS:
            library = Library(write, code)
            patch.setattr(pynvml, "_nvmlGetFunctionPointer", library.find)
            nvml = prepare(pynvml)
            answers = []
            for _ in range(2):  # what was prepared is not spoilt by the answer
                try:
                    answers.append(seen(call(nvml)))
                except pynvml.NVMLError as error:
                    answers.append(type(error).__name__)
            outcomes.append([library.asked, answers])
    return outcomes[0], outcomes[1]


def write_text(_: Any, room: Any, __: Any) -> None:
    room.value = b"GPU-1"


def write_memory(_: Any, memory: Any) -> None:
    memory.total, memory.reserved, memory.free, memory.used = 1 << 40, 1, 2, 3


@pytest.mark.parametrize("code", [0, 15, UNKNOWN])
@pytest.mark.parametrize(
    ("call", "write"),
    [
        (lambda nvml: nvml.nvmlDeviceGetUUID(HANDLE), write_text),
        (lambda nvml: nvml.nvmlDeviceGetName(HANDLE), write_text),
        (lambda nvml: nvml.nvmlDeviceGetMemoryInfo(HANDLE, nvml.nvmlMemory_v2), write_memory),
        (lambda nvml: nvml.nvmlDeviceGetMemoryInfo(HANDLE), lambda *_: None),
    ],
)
def test_a_prepared_call_is_the_binding_s(call: Callable[[Any], Any], write: Callable[..., None], code: int) -> None:
    """The same arguments, the same answer, the same error."""
    by_binding, prepared = both(call, write, code)

    assert prepared == by_binding


FIELD = st.tuples(st.integers(0, 300), st.integers(0, 20)) | st.integers(0, 300)


@given(st.lists(FIELD, max_size=8), st.sampled_from([0, UNKNOWN]))
def test_fields_are_asked_as_the_binding_asks(fields: list[Any], code: int) -> None:
    """Whichever fields, with a scope or without; and asked again, the request is as fresh as the first."""

    def write(_: Any, __: Any, values: Any) -> None:
        for i, value in enumerate(values):
            value.nvmlReturn, value.valueType, value.latencyUsec, value.value.uiVal = i % 2, 1, i, i

    by_binding, prepared = both(lambda nvml: nvml.nvmlDeviceGetFieldValues(HANDLE, fields), write, code)

    assert prepared == by_binding


def test_few_requests_are_kept() -> None:
    """However many different ones there were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pynvml, "_nvmlGetFunctionPointer", Library().find)
        nvml = direct.prepared(pynvml)
        for number in range(3 * direct._MOST_REQUESTS):
            nvml.nvmlDeviceGetFieldValues(HANDLE, [number])

    assert len(nvml._requests) <= direct._MOST_REQUESTS


@pytest.mark.parametrize("told", [0, 1, 3, 7])
def test_samples_are_those_of_the_binding(told: int) -> None:
    """A library that has room for more than there are, and one that claims to have written more than there was room for."""

    def write(_: Any, __: Any, ___: Any, kind: Any, count: Any, room: Any) -> None:
        kind.value = 1
        if room is None:
            count.value = 5
            return
        for i, sample in enumerate(room):
            sample.timeStamp, sample.sampleValue.uiVal = i + 1, 10 * i
        count.value = told

    outcomes = both(lambda nvml: _samples(nvml.nvmlDeviceGetSamples(HANDLE, 1, 77)), write)

    assert outcomes[0][1] == outcomes[1][1]
    kept = [[name, arguments[1], arguments[2]] for name, arguments in outcomes[1][0]]
    assert kept == [["nvmlDeviceGetSamples", 1, 77]] * 4


def _samples(answer: tuple[int, Sequence[Any]]) -> Any:
    return codes.samples_of(*answer)


def test_an_event_is_taken_once() -> None:
    """Each event has memory of its own, and a library that has none says so without an exception."""

    def write(_: Any, event: Any, __: Any) -> None:
        assert not event.eventData
        event.eventType, event.eventData = 8, 79

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pynvml, "_nvmlGetFunctionPointer", Library(write).find)
        take = direct.takes(direct.prepared(pynvml), EVENTS)
        first, second = take(), take()
        assert (first.eventData, second.eventData) == (79, 79)
        assert first is not second
        for code, answer in ((TIMEOUT, None), (UNKNOWN, "NVMLError_Unknown")):
            patch.setattr(pynvml, "_nvmlGetFunctionPointer", Library(code=code).find)
            assert taken(direct.takes(direct.prepared(pynvml), EVENTS)) == answer
            assert taken(direct.takes(pynvml, EVENTS)) == answer


def taken(take: Callable[[], Any]) -> Any:
    """Give what was taken, or the error's name."""
    try:
        return take()
    except pynvml.NVMLError as error:
        return type(error).__name__


@pytest.mark.parametrize("events", [0, 1, 5])
@pytest.mark.parametrize("code", [0, TIMEOUT, UNKNOWN])
def test_a_look_is_the_binding_s_wait(events: int, code: int) -> None:
    """A library that says that it wrote more than there was room for is not believed, and what was told is told once."""
    once = iter([events])

    def write(request: Any) -> None:
        request.numEvent = count = next(once, 0)
        if count:
            request.data[0].eventType = 1

    outcomes = []
    with pytest.MonkeyPatch.context() as patch:
        for prepare in PREPARATIONS:
            once = iter([min(events, 1) if prepare is not direct.prepared else events])
            library = Library(write, code)
            patch.setattr(pynvml, "_nvmlGetFunctionPointer", library.find)
            look = direct.looks(prepare(pynvml), SYSTEM_EVENTS)
            outcomes.append(([taken(lambda: list(look())) for _ in range(2)], library.asked))  # noqa: B023  # called at once

    assert outcomes[0] == outcomes[1]


def test_what_stands_in_for_the_binding_is_given_as_it_is() -> None:
    """A module that only passes the binding's pointers on, to record them or to answer for them, is asked by its own names."""
    other = SimpleNamespace(_nvmlGetFunctionPointer=pynvml._nvmlGetFunctionPointer)

    assert direct.prepared(other) is other
    assert isinstance(direct.prepared(pynvml), direct.Direct)


def test_everything_else_is_the_binding_s_own() -> None:
    """Constants, types, errors and calls; and what the binding lacks is lacking."""
    nvml = direct.prepared(pynvml)

    assert nvml.nvmlInitWithFlags is pynvml.nvmlInitWithFlags
    assert nvml.NVMLError is pynvml.NVMLError
    assert not hasattr(nvml, "nvmlOfAnotherCentury")
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(pynvml, "nvmlDeviceGetName")
        assert not hasattr(direct.prepared(pynvml), "nvmlDeviceGetName")
