# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's driver, as the sampler child asks it: NVML, through the binding `pynvml`, or what stands in for that."""

import os
from collections.abc import Callable, Mapping

from inferometer.sources.devices import calls, direct, exclusion, library
from inferometer.sources.devices.events import Events
from inferometer.sources.devices.gpu import Gpu
from inferometer.sources.devices.subject import Mark
from inferometer.sources.devices.unbind import Unbind
from inferometer.sources.devices.users import Users
from inferometer.sources.devices.vendor import Options

_GPUS = "/proc/driver/nvidia/gpus"  # a directory per GPU that the kernel module has

OPENING = calls.NUMBER["nvmlInitWithFlags"]  # loading the binding counts as the beginning of it


class Nvml:
    """NVML: a `Vendor`. `path` is the library's, empty for the usual places."""

    def __init__(self, module: str, argument: str, path: str, options: Options) -> None:
        binding: calls.Nvml = library.load_binding(module)
        if argument:
            binding.configure(argument)
        self._nvml = direct.prepared(binding)
        self._paths = (path,) if path else ()
        self._options = options
        self._events: Events | None = None

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each call."""
        return calls.NUMBER

    def present(self) -> list[str]:
        """Give the PCI addresses that the kernel module has; empty where it does not show them."""
        try:
            return sorted(os.listdir(_GPUS))  # noqa: PTH208  # pathlib costs the child half a MiB
        except OSError:
            return []

    def open(self, mark: Mark) -> dict[str, str]:
        """Load and initialise the library."""
        mark("nvmlInitWithFlags")
        library.open_library(self._nvml, self._paths)
        return library.describe(self._nvml, mark)

    def shut_down(self, mark: Mark) -> None:
        """Close the library."""
        mark("nvmlShutdown")
        self._nvml.nvmlShutdown()

    def count(self, mark: Mark) -> int:
        """Count the GPUs."""
        mark("nvmlDeviceGetCount_v2")
        return int(self._nvml.nvmlDeviceGetCount())

    def excluded(self, mark: Mark) -> list[str]:
        """Give the GPUs that the driver leaves out."""
        return exclusion.by_driver(self._nvml, mark)

    def events(self, mark: Mark) -> Events:
        """Give what takes XIDs; the GPUs of this vendor register themselves with it."""
        self._events = Events(self._nvml, mark)
        return self._events

    def unbind(self, mark: Mark, leave: Callable[[], None], heard: Callable[[], None]) -> Unbind:
        """Give what hears of the unbinding, unless that is not wanted."""
        return Unbind(self._nvml, mark, leave, heard if self._options.hears_unbind else None)

    def gpu(self, index: int, mark: Mark, driver: dict[str, str]) -> Gpu:
        """Give the GPU at an NVML index."""
        events = self._events or self.events(mark)
        return Gpu(self._nvml, index, mark, driver, events, self._options.periods, self._options.exclude)

    def users(self, index: int, mark: Mark) -> Users:
        """Give what reads the processes and vGPUs of the GPU at an NVML index."""
        period = self._options.periods.get(calls.SLOW, 0.0)
        return Users(self._nvml, index, mark, period, with_processes=self._options.with_processes)

    def reason(self, error: Exception) -> str:
        """Give a return code's name, or text."""
        return library.reason(self._nvml, error)


def make(binding: str, argument: str, library_path: str, options: Options) -> Nvml:
    """Load the binding, a module that is told the argument if there is one."""
    return Nvml(binding, argument, library_path, options)
