# SPDX-License-Identifier: Apache-2.0
"""AMD's driver, as the sampler child asks it: AMD SMI, through the package `amdsmi`."""

import os
from collections.abc import Callable, Mapping

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.amd import binding, table
from inferometer.sources.devices.amd.gpu import Gpu
from inferometer.sources.devices.subject import Mark
from inferometer.sources.devices.vendor import Options

_GPUS = (
    "/sys/bus/pci/drivers/amdgpu"  # beside others, a link per GPU that the kernel module has, named by its PCI address
)

OPENING = table.NUMBER["amdsmi_init"]  # loading the package counts as the beginning of it


class Silence:
    """What this driver does not tell: events, and that it is being unbound."""

    def take(self) -> None:
        """Tell nothing."""

    def close(self) -> None:
        """Let go of nothing."""

    def begin(self) -> None:
        """Hear nothing."""

    def end(self) -> None:
        """Hear nothing any more."""


class AmdSmi:
    """AMD SMI: a `Vendor`. `rocm` is where ROCm is installed, empty for the usual places."""

    def __init__(self, package: str, rocm: str, options: Options) -> None:
        self._package = package
        self._rocm = rocm
        self._options = options
        self._smi = binding.Smi(None)
        self._handles: list[calls.Handle] = []

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each call."""
        return table.NUMBER

    def present(self) -> list[str]:
        """Give the PCI addresses that the kernel module has; empty where it is not loaded."""
        try:
            return sorted(name for name in os.listdir(_GPUS) if ":" in name)  # noqa: PTH208  # pathlib costs half a MiB
        except OSError:
            return []

    def open(self, mark: Mark) -> dict[str, str]:
        """Load the package, and initialise the library. Each GPU tells the driver's version itself."""
        mark("amdsmi_init")
        self._smi = binding.load(self._package, self._rocm)
        self._smi.amdsmi_init()
        return {}

    def shut_down(self, mark: Mark) -> None:
        """Close the library."""
        mark("amdsmi_shut_down")
        self._smi.amdsmi_shut_down()

    def count(self, mark: Mark) -> int:
        """Count the GPUs; the partitions of one that is partitioned count as GPUs."""
        mark("amdsmi_get_processor_handles")
        self._handles = self._smi.amdsmi_get_processor_handles()
        return len(self._handles)

    def excluded(self, mark: Mark) -> list[str]:  # noqa: ARG002  # as with every vendor
        """Give nothing: this driver leaves no GPU out."""
        return []

    def events(self, mark: Mark) -> Silence:  # noqa: ARG002  # as with every vendor
        """Give what is silent."""
        return Silence()

    def unbind(self, mark: Mark, leave: Callable[[], None], heard: Callable[[], None]) -> Silence:  # noqa: ARG002  # as with every vendor
        """Give what is silent."""
        return Silence()

    def gpu(self, index: int, mark: Mark, driver: dict[str, str]) -> Gpu:  # noqa: ARG002  # as with every vendor
        """Give the GPU at an index."""
        options = self._options
        return Gpu(self._smi, index, self._handles[index], mark, options.periods, options.exclude)

    def users(self, index: int, mark: Mark) -> None:
        """Give nothing: who uses a GPU is not asked."""

    def reason(self, error: Exception) -> str:
        """Give a return code's name, or text."""
        if isinstance(error, binding.UnusableError):
            return str(error)
        try:
            return codes.explain(self._smi, error)
        except (codes.LostError, codes.GoneError) as known:
            return str(known)


def make(package: str, argument: str, rocm: str, options: Options) -> AmdSmi:  # noqa: ARG001  # nothing stands in for it
    """Give the driver; the package is loaded when it is opened."""
    return AmdSmi(package, rocm, options)
