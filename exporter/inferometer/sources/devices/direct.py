# SPDX-License-Identifier: Apache-2.0
"""The binding as the sampler child uses it: what is asked at each read, and costs it most, is prepared once.

`nvidia-ml-py` writes a request member by member, and makes every answer's type anew, at each call. Here are the same
functions of the same library, found by the binding, with its own structures; everything else is the binding's, as it is.
"""

from collections.abc import Callable, Collection
from ctypes import byref, c_char, c_uint, c_ulonglong
from types import ModuleType
from typing import Any

_MOST_REQUESTS = 64
_TEXT = c_char * 96  # NVML_DEVICE_UUID_V2_BUFFER_SIZE, NVML_DEVICE_NAME_V2_BUFFER_SIZE


def prepared(binding: Any) -> Any:
    """Prepare the binding; what stands in for it, to record, to replay or to simulate, is given as it is."""
    if not isinstance(binding, ModuleType) or "_nvmlGetFunctionPointer" not in vars(binding):
        return binding
    return Direct(binding)


class Direct:
    """The functions of `nvidia-ml-py` with their names, parameters, answers and errors. For any number of threads."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self._find = vars(binding)["_nvmlGetFunctionPointer"]
        self._requests: dict[tuple[Any, ...], Any] = {}
        self._memory = binding.c_nvmlMemory_v2_t(version=binding.nvmlMemory_v2)
        for name in (*_TEXTS, *_OTHERS):
            if not hasattr(binding, name):  # an older one
                continue
            self.__dict__[name] = self._text_of(name) if name in _TEXTS else getattr(self, f"_{name}")

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._binding, name)
        self.__dict__[name] = value  # found without this function from now on
        return value

    def _text_of(self, name: str) -> Any:
        def read(handle: Any) -> str:
            room = _TEXT()
            if code := self._find(name)(handle, room, len(room)):
                raise self.NVMLError(code)
            return room.value.decode()

        return read

    def _nvmlDeviceGetFieldValues(self, handle: Any, fieldIds: Any) -> Any:  # noqa: N802, N803  # NVML's name
        asked = tuple(fieldIds)
        request = self._requests.get(asked)
        if request is None:
            request = self._request(asked)
        values = type(request).from_buffer_copy(request)
        if code := self._find("nvmlDeviceGetFieldValues")(handle, len(asked), values):
            raise self.NVMLError(code)
        return values

    def _request(self, asked: tuple[Any, ...]) -> Any:
        request = (self.c_nvmlFieldValue_t * len(asked))()
        for value, field in zip(request, asked, strict=True):
            value.fieldId, value.scopeId = field if isinstance(field, tuple) else (field, 0)
        if len(self._requests) >= _MOST_REQUESTS:  # most of them are of devices that are no more
            self._requests = {}
        self._requests[asked] = request
        return request

    def _nvmlDeviceGetMemoryInfo(self, handle: Any, version: int | None = None) -> Any:  # noqa: N802  # NVML's name
        if version != self.nvmlMemory_v2:
            return self._binding.nvmlDeviceGetMemoryInfo(handle, version)
        memory = type(self._memory).from_buffer_copy(self._memory)
        if code := self._find("nvmlDeviceGetMemoryInfo_v2")(handle, byref(memory)):
            raise self.NVMLError(code)
        return memory

    def _nvmlDeviceGetSamples(self, device: Any, sampling_type: int, timeStamp: int) -> tuple[int, Any]:  # noqa: N802, N803  # NVML's names
        """As the binding's, but that the samples are an array."""
        find, since, kind, count = self._find("nvmlDeviceGetSamples"), c_ulonglong(timeStamp), c_uint(), c_uint()
        if code := find(device, sampling_type, since, byref(kind), byref(count), None):
            raise self.NVMLError(code)
        room = (self.c_nvmlSample_t * count.value)()
        if code := find(device, sampling_type, since, byref(kind), byref(count), room):
            raise self.NVMLError(code)
        return kind.value, (self.c_nvmlSample_t * min(count.value, len(room))).from_buffer(room)

    def takes(self, events: Any) -> Callable[[], Any]:
        """As `takes`."""
        nothing, room = self.NVML_ERROR_TIMEOUT, self.c_nvmlEventData_t()

        def take() -> Any:
            nonlocal room
            code = self._find("nvmlEventSetWait_v2")(events, byref(room), 0)
            if code == nothing:
                return None
            event, room = room, self.c_nvmlEventData_t()
            if code:
                raise self.NVMLError(code)
            return event

        return take

    def looks(self, events: Any) -> Callable[[], Collection[int]]:
        """As `looks`."""
        room = (self.c_nvmlSystemEventData_v1_t * 1)()
        request = self.c_nvmlSystemEventSetWaitRequest_v1_t()
        request.version, request.timeoutms = self.nvmlSystemEventSetWaitRequest_v1, 0
        request.set, request.data, request.dataSize = events, room, len(room)
        wait, asked, nothing = self._find("nvmlSystemEventSetWait"), byref(request), self.NVML_ERROR_TIMEOUT

        def look() -> Collection[int]:
            code = wait(asked)
            if code == nothing:
                return ()
            if code:
                raise self.NVMLError(code)
            told, request.numEvent = min(request.numEvent, len(room)), 0
            return [event.eventType for event in room[:told]]

        return look


def takes(nvml: Any, events: Any) -> Callable[[], Any]:
    """Give what takes the next event of a set, without waiting; it gives None where there is no more."""
    if isinstance(nvml, Direct):
        return nvml.takes(events)

    def take() -> Any:
        try:
            return nvml.nvmlEventSetWait_v2(events, 0)
        except nvml.NVMLError as error:
            if error.value != nvml.NVML_ERROR_TIMEOUT:
                raise
            return None

    return take


def looks(nvml: Any, events: Any) -> Callable[[], Collection[int]]:
    """Give what asks a set of system events, without waiting, of which types those are that have happened since."""
    if isinstance(nvml, Direct):
        return nvml.looks(events)
    room = (nvml.c_nvmlSystemEventData_v1_t * 1)()
    version = nvml.nvmlSystemEventSetWaitRequest_v1
    return lambda: [event["eventType"] for event in nvml.nvmlSystemEventSetWait(version, events, 0, room, len(room))]


_TEXTS = ("nvmlDeviceGetUUID", "nvmlDeviceGetName")
_OTHERS = ("nvmlDeviceGetFieldValues", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetSamples")
