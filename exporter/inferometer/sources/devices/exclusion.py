# SPDX-License-Identifier: Apache-2.0
"""GPUs that are left out, in the sampler child: those that an operator named, and those that the driver was told to leave out."""

import contextlib

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.subject import Mark

_MOST = 256  # a driver that says more is not believed


def parse(text: str) -> frozenset[str]:
    """Read UUIDs and PCI addresses (`0000:3b:00.0`, `00000000:3B:00.0`, `3b:00.0`), divided by commas."""
    return frozenset(plain(name.strip()) for name in text.split(",") if name.strip())


def find(nvml: calls.Nvml, handle: calls.Handle, uuid: str, names: frozenset[str], mark: Mark) -> str | None:
    """Give the model of a GPU that is named, "" where it cannot be told; None for a GPU that is not.

    Raises what the binding raises where an address is named and this GPU's cannot be had.
    """
    if not names:
        return None
    named = plain(uuid) in names
    if not named and any(":" in name for name in names):
        mark("nvmlDeviceGetPciInfo_v3")
        named = plain(nvml.nvmlDeviceGetPciInfo(handle).busId) in names
    if not named:
        return None
    mark("nvmlDeviceGetName")
    try:
        return str(nvml.nvmlDeviceGetName(handle))
    except Exception as error:
        codes.explain(nvml, error)
        return ""


def by_driver(nvml: calls.Nvml, mark: Mark) -> list[str]:
    """Give the GPUs that the driver leaves out (`nvidia-smi` lists them with -B), by UUID, else by PCI address.

    Empty where it does not tell. Raises GoneError where the driver is gone.
    """
    found = []
    try:
        mark("nvmlGetExcludedDeviceCount")
        for i in range(min(nvml.nvmlGetExcludedDeviceCount(), _MOST)):
            mark("nvmlGetExcludedDeviceInfoByIndex")
            info = nvml.nvmlGetExcludedDeviceInfoByIndex(i)
            if name := _text(info.uuid) or plain(_text(info.pci.busId)):
                found.append(name)
    except Exception as error:
        with contextlib.suppress(codes.LostError):
            codes.explain(nvml, error)
    return found


def plain(name: str) -> str:
    """Write a PCI address as the kernel does, `0000:3b:00.0`; a UUID in small letters."""
    name = name.lower()
    parts = name.split(":")
    if len(parts) == 2:
        return f"0000:{name}"
    if len(parts) == 3:
        return ":".join([parts[0].removeprefix("0000").rjust(4, "0"), *parts[1:]])
    return name


def _text(told: str | bytes) -> str:
    return told.decode() if isinstance(told, bytes) else told
