# SPDX-License-Identifier: Apache-2.0
"""GPM in the sampler child: what the parts of a GPU or GPU instance did between this read and the one before.

A value needs two samples, at least 100 ms apart (`nvmlGpmMetricsGet` in `nvml.h`, CUDA 13.3): the older one is kept from read
to read, and nothing ever sleeps for it.
"""

import contextlib
import time
from collections.abc import Callable, Iterable
from ctypes import memmove, sizeof
from itertools import chain
from typing import Any, NamedTuple

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.calls import Handle, Nvml
from inferometer.sources.devices.columns import row

Mark = Callable[[str], None]  # says which call is entered
Take = Callable[[Handle, Any], None]  # takes a sample of a device

_SHORTEST = 0.1  # seconds between two samples
_LONGEST = 600.0  # an average over more says nothing of now
# Metrics came with CUDA 12, 12.9 and 13.2: a driver may refuse a call that has an id it does not know.
_GENERATIONS = (100, 248, 1 << 31)


class _Query(NamedTuple):
    """A `nvmlGpmMetricsGet_t` that asks for `ids`, and its array of metrics."""

    ids: tuple[int, ...]
    question: Any
    metrics: Any
    blank: bytes  # what the metrics that are asked for are before the driver writes them


# One that nobody uses now for each choice of ids: one has 19 KB, too much to keep one for every device, and takes long to
# write.
_spare: dict[tuple[int, ...], _Query] = {}
_MOST_SPARE = 8
_ANSWER = ("nvmlReturn", "value")
_UNKNOWN = 999  # NVML_ERROR_UNKNOWN
Wanted = tuple[tuple[int, ...], ...]  # ids of metrics, those of one generation together


def wanted(ids: Iterable[int]) -> Wanted:
    """Sort ids of metrics by generation, for `Gpm.read`."""
    numbers = sorted(set(ids))
    bounds = zip((0, *_GENERATIONS), _GENERATIONS, strict=False)
    parts = (tuple(number for number in numbers if first <= number < last) for first, last in bounds)
    return tuple(part for part in parts if part)


class Gpm:
    """The samples of one device. Once refused, it is not asked again."""

    def __init__(self, nvml: Nvml, mark: Mark, take: Take) -> None:
        self._nvml = nvml
        self._mark = mark
        self._take = take
        self._refused = ""
        self._older: Any = None
        self._newer: Any = None
        self._at: float | None = None  # monotonic seconds when the older sample was taken

    def read(self, handle: Handle, wanted: Wanted) -> dict[int, float | str]:
        """Give each metric's value since the read before, or why there is none; nothing where it is too early.

        `handle` is the GPU's, for an instance too. Raises LostError where the GPU is lost, GoneError where the driver is.
        """
        try:
            if not self._refused and self._older is None:
                self._prepare(handle)
            if self._refused:
                return dict.fromkeys(chain(*wanted), self._refused)
            return self._measure(handle, wanted)
        except Exception as error:
            self._at = None
            reason = codes.explain(self._nvml, error)
            if reason in codes.REFUSED:
                self._refused = reason
            return dict.fromkeys(chain(*wanted), reason)

    def close(self) -> None:
        """Free the samples."""
        samples, self._older, self._newer, self._at = (self._older, self._newer), None, None, None
        for sample in samples:
            if sample is not None:
                self._mark("nvmlGpmSampleFree")
                with contextlib.suppress(Exception):
                    self._nvml.nvmlGpmSampleFree(sample)

    def _prepare(self, handle: Handle) -> None:
        """Ask whether there is GPM at all, and get room for two samples."""
        self._mark("nvmlGpmQueryDeviceSupport")
        if not self._nvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
            self._refused = "not_supported"
            return
        self._mark("nvmlGpmSampleAlloc")
        older = self._nvml.nvmlGpmSampleAlloc()
        self._newer = self._nvml.nvmlGpmSampleAlloc()
        self._older = older

    def _measure(self, handle: Handle, wanted: Wanted) -> dict[int, float | str]:
        now = time.monotonic()
        if self._at is not None and now - self._at < _SHORTEST:
            return {}
        self._take(handle, self._newer)
        # The sample is as old as the end of the call: one that took long is not too close to the next.
        before, self._at = self._at, time.monotonic()
        self._older, self._newer = self._newer, self._older  # from here on the older is this read's
        if before is None or now - before > _LONGEST:
            return {}
        values: dict[int, float | str] = {}
        for ids in wanted:
            values.update(self._query(ids))
        return values

    def _query(self, ids: tuple[int, ...]) -> dict[int, float | str]:
        """Ask for metrics of one generation between the two samples."""
        query = self._borrow(ids)
        # A driver that wrote nothing must not seem to tell what it told of another device.
        memmove(query.metrics, query.blank, len(query.blank))
        codes.put(query.question, "sample1", self._newer)
        codes.put(query.question, "sample2", self._older)
        self._mark(calls.GPM_CALL)
        try:
            self._nvml.nvmlGpmMetricsGet(query.question)
        except self._nvml.NVMLError as error:
            reason = codes.explain(self._nvml, error)
            # The first ids are as old as GPM: what is wrong with their call is not that they are unknown, and may pass.
            unknown = reason == "invalid_argument" and ids[0] >= _GENERATIONS[0]
            return dict.fromkeys(ids, "not_supported" if unknown else reason)
        told = row(query.metrics, _ANSWER, len(ids))
        if len(_spare) >= _MOST_SPARE:  # most of them are of devices that are no more
            _spare.clear()
        _spare[ids] = query
        returned, numbers = told[::2], told[1::2]
        if not any(returned):
            return dict(zip(ids, numbers, strict=True))
        return {number: _answer(code, value) for number, code, value in zip(ids, returned, numbers, strict=True)}

    def _borrow(self, ids: tuple[int, ...]) -> _Query:
        """Give a query for metrics that no other thread uses; one that fails is not given back."""
        structure = self._nvml.c_nvmlGpmMetricsGet_t
        query = _spare.pop(ids, None)
        if query is not None and type(query.question) is structure:
            return query
        question = structure()
        question.version = self._nvml.NVML_GPM_METRICS_GET_VERSION
        question.numMetrics = len(ids)
        metrics = question.metrics
        for i, number in enumerate(ids):
            metrics[i].metricId, metrics[i].nvmlReturn = number, _UNKNOWN
        return _Query(ids, question, metrics, bytes(metrics)[: sizeof(metrics[0]) * len(ids)])


def _answer(code: int, value: float) -> float | str:
    """Give a metric's value (`nvmlGpmMetric_t`), or the name of its return code."""
    if not code:
        return value
    reason = codes.name(code)
    return "not_supported" if reason in codes.REFUSED_FIELD else reason
