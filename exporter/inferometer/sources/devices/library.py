# SPDX-License-Identifier: Apache-2.0
"""Opens the driver's library in the sampler child, wherever it lies, and describes it.

`nvidia-ml-py` loads `libnvidia-ml.so.1` by that name, so the loader's search path (`LD_LIBRARY_PATH`, `ld.so.cache`) comes
first. A library given by path is loaded before: the loader then answers that name with the library of that soname that
it already has.
"""

import contextlib
import ctypes
import importlib
import os
import sys
from types import ModuleType
from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.subject import Mark

# Where drivers lie that the loader does not know: the GPU Operator's driver container, GKE, older device plugins, WSL.
ROOTS = (
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
    "/run/nvidia/driver/usr/lib/aarch64-linux-gnu",
    "/run/nvidia/driver/usr/lib64",
    "/usr/local/nvidia/lib64",
    "/home/kubernetes/bin/nvidia/lib64",
    "/usr/lib/wsl/lib",
)
NAME = "libnvidia-ml.so.1"
_SEARCH = "ctypes.util"


def load_binding(name: str) -> Any:
    """Import the binding, a module, without what it imports and does not use.

    `nvidia-ml-py` imports the search of `ctypes.util`, for Windows. With that come `tempfile`, `shutil`, `subprocess` and what
    they import: 1.4 MiB. Here it comes when something is searched for.
    """
    search: Any = ModuleType(_SEARCH)

    def withdraw() -> None:
        if sys.modules.get(_SEARCH) is search:
            del sys.modules[_SEARCH]

    def find_library(wanted: str) -> Any:
        withdraw()
        return importlib.import_module(_SEARCH).find_library(wanted)

    search.find_library = find_library
    sys.modules.setdefault(_SEARCH, search)
    try:
        return importlib.import_module(name)
    finally:
        withdraw()


def open_library(nvml: calls.Nvml, paths: tuple[str, ...]) -> None:
    """Load the library from one of `paths`, or else by name, or else from a usual root; and initialise it.

    NVML_INIT_FLAG_NO_GPUS: a node whose driver has no GPU yet is a normal state. Initialising touches no GPU.
    Raises OSError where a given path cannot be loaded, and what the binding raises.
    """
    for path in paths:
        ctypes.CDLL(path)
    try:
        nvml.nvmlInitWithFlags(nvml.NVML_INIT_FLAG_NO_GPUS)
    except nvml.NVMLError as error:
        paths_there = (path for root in ROOTS if os.path.exists(path := f"{root}/{NAME}"))  # noqa: PTH110  # no pathlib in the child
        found = next(paths_there, None)
        if codes.name(error.value) != "library_not_found" or found is None:
            raise
        ctypes.CDLL(found)
        nvml.nvmlInitWithFlags(nvml.NVML_INIT_FLAG_NO_GPUS)


def describe(nvml: calls.Nvml, mark: Mark) -> dict[str, str]:
    """Give what describes the driver; what cannot be had is left out."""
    facts = {}
    for fact in calls.DRIVER_FACTS:
        mark(fact.call)
        try:
            facts[fact.attribute] = fact.read(nvml, None)
        except Exception as error:
            with contextlib.suppress(codes.LostError):  # of a GPU, which is for its own calls to say
                codes.explain(nvml, error)
    return facts


def reason(nvml: Any, error: Exception) -> str:
    """Give the reason why the library, or a whole GPU, cannot be used: a return code's name, or text."""
    if isinstance(error, OSError):
        return f"library_not_found: {error}"
    try:
        return codes.explain(nvml, error)
    except (codes.LostError, codes.GoneError) as known:
        return str(known)
