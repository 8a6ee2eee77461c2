# SPDX-License-Identifier: Apache-2.0
"""Peaks between two reads, in the sampler child: the highest of the samples that the driver takes by itself.

Source: `nvmlDeviceGetSamples` in `nvml.h` (CUDA 13.3): it gives the samples that are newer than a time stamp of its own clock,
and NOT_FOUND where there are none.
"""

from inferometer.sources.devices import codes
from inferometer.sources.devices.calls import Handle, Nvml

_LATEST = 1 << 56  # microseconds: a time stamp beyond the year 4000 is none, and must not become the newest


class Peaks:
    """The newest sample that was seen of a device, by sampling type."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._seen: dict[str, int] = {}

    def read(self, handle: Handle, constant: str) -> float | None:
        """Give the highest sample since the read before; None at the first read, and where there are no new ones.

        Raises what the binding raises, and FieldError for a value that is none.
        """
        seen = self._seen.get(constant)
        try:
            kind, samples = self._nvml.nvmlDeviceGetSamples(handle, getattr(self._nvml, constant), seen or 0)
        except self._nvml.NVMLError as error:
            if codes.name(error.value) != "not_found":
                raise
            return None
        told = codes.samples_of(int(kind), samples)
        self._seen[constant] = max((at for at, _ in told if at < _LATEST), default=seen or 0)
        if seen is None:
            return None
        values = [value for at, value in told if seen < at < _LATEST]
        for value in values:
            if isinstance(value, str):
                raise codes.FieldError(value)
        return max((value for value in values if not isinstance(value, str)), default=None)
