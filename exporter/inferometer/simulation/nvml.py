# SPDX-License-Identifier: Apache-2.0
"""A stand-in for `pynvml` inside the sampler child: its function names, constants, errors and answers, for simulated GPUs.

It answers from the node's registers. Imported by the child, so it imports nothing but the standard library. What a real
H100 refuses (utilisation while MIG is on, power of an instance, ...) is refused here with the same error.
"""
# ruff: noqa: F403, N802  # to the child the stand-in is one module, as pynvml is; the names are NVML's

from types import SimpleNamespace

from inferometer.simulation.nvml_codes import *
from inferometer.simulation.nvml_codes import NVML_ERROR_LIBRARY_NOT_FOUND, NVML_ERROR_UNINITIALIZED, TEXT, NVMLError
from inferometer.simulation.nvml_events import *
from inferometer.simulation.nvml_fields import *
from inferometer.simulation.nvml_gpm import *
from inferometer.simulation.nvml_handles import Library, read_node
from inferometer.simulation.nvml_inventory import *
from inferometer.simulation.nvml_links import *
from inferometer.simulation.nvml_memory import *
from inferometer.simulation.nvml_power import *
from inferometer.simulation.nvml_processes import *
from inferometer.simulation.nvml_structures import *
from inferometer.simulation.nvml_utilization import *
from inferometer.simulation.registers import Reader


def configure(argument: str) -> None:
    """Name the file of the registers. The sampler calls this before anything else."""
    Library.path = argument


def nvmlInitWithFlags(flags: int) -> None:
    """Load the registers; without the file there is no library. `flags` change nothing here."""
    del flags
    try:
        Library.registers = Reader(Library.path)
    except OSError as error:
        raise NVMLError(NVML_ERROR_LIBRARY_NOT_FOUND) from error
    read_node()


def nvmlInit() -> None:
    """As nvmlInitWithFlags(0)."""
    nvmlInitWithFlags(0)


def nvmlShutdown() -> None:
    """Let go of the registers."""
    if Library.registers is None:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    Library.registers.close()
    Library.registers = None


def nvmlErrorString(result: int) -> str:
    """The text of a return code."""
    return TEXT.get(result, "Unknown Error")


def nvmlSystemGetDriverVersion() -> str:
    """The driver's version, which says what it is."""
    return str(read_node()["driver"])


def nvmlSystemGetNVMLVersion() -> str:
    """The library's version."""
    return f"12.{read_node()['driver']}"


def nvmlSystemGetCudaDriverVersion() -> int:
    """CUDA version: 12080 is 12.8."""
    return int(read_node()["cuda"])


nvmlSystemGetCudaDriverVersion_v2 = nvmlSystemGetCudaDriverVersion  # noqa: N816  # NVML's own name


def nvmlSystemGetConfComputeState() -> SimpleNamespace:
    """Confidential computing is off."""
    read_node()
    return SimpleNamespace(environment=0, ccFeature=0, devToolsMode=0)
