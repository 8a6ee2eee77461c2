# SPDX-License-Identifier: Apache-2.0
"""What the sampler child asks of a vendor's driver, whichever vendor's it is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from inferometer.sources.devices.gpu import Seen
from inferometer.sources.devices.subject import Mark


class Options(NamedTuple):
    """What is wanted: the slower tiers' periods in seconds, GPUs to leave out (see `exclusion`), process lists, the unbinding."""

    periods: dict[str, float] = {}  # noqa: RUF012  # never written to
    exclude: frozenset[str] = frozenset()
    with_processes: bool = True
    hears_unbind: bool = True


class Device(Protocol):
    """One GPU; `seen` is what the last read found, for those who ask who uses it."""

    seen: Seen | None

    def read(self) -> dict[str, Any]:
        """Give its frame. Raises LostError where the GPU is lost, GoneError where the driver is, and what the binding raises."""

    def close(self) -> None:
        """Let go of what it holds in the driver."""


class Users(Protocol):
    """Who uses one GPU: see `users`."""

    def is_due(self, seen: Seen | None) -> bool:
        """Tell whether a GPU that was read is to be asked."""

    def read(self, seen: Seen) -> dict[str, Any]:
        """Give the frame."""


class Events(Protocol):
    """What the driver tells once: see `events`."""

    def take(self) -> dict[str, Any] | None:
        """Give the frame, if there is something to tell."""

    def close(self) -> None:
        """Let go of what it holds in the driver."""


class Unbind(Protocol):
    """Hears that the driver is being unbound from a GPU: see `unbind`."""

    def begin(self) -> None:
        """Listen: the library is open."""

    def end(self) -> None:
        """Listen no more: the library is about to be closed."""


class Vendor(Protocol):
    """A driver. Marks are made before each call; a method that makes calls may hang, or take the process with it."""

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each call."""

    def present(self) -> list[str]:
        """Give the GPUs that the kernel's driver has, without a call: one that came or went changes it."""

    def open(self, mark: Mark) -> dict[str, str]:
        """Open the library; give what describes the driver. Raises what `reason` makes sense of, as all below."""

    def shut_down(self, mark: Mark) -> None:
        """Close the library."""

    def count(self, mark: Mark) -> int:
        """Count the GPUs."""

    def excluded(self, mark: Mark) -> list[str]:
        """Give the GPUs that the driver was told to leave out."""

    def events(self, mark: Mark) -> Events:
        """Give what takes the driver's events."""

    def unbind(self, mark: Mark, leave: Callable[[], None], heard: Callable[[], None]) -> Unbind:
        """Give what hears of the driver's unbinding; `leave` ends a call."""

    def gpu(self, index: int, mark: Mark, driver: dict[str, str]) -> Device:
        """Give the GPU at an index; `driver` is what describes the driver."""

    def users(self, index: int, mark: Mark) -> Users | None:
        """Give what reads who uses the GPU at an index; None where that is not asked."""

    def reason(self, error: Exception) -> str:
        """Give the reason why the library, or a whole GPU, cannot be used: the name of a return code, or text."""
