# SPDX-License-Identifier: Apache-2.0
"""The Python package `amdsmi` in the sampler child: how it is loaded, and what it raises in the sampler's own words.

The package finds `libamd_smi.so` when it is imported, so the place has to be said before; from ROCm 6.4 on it looks under
ROCM_HOME first, and the versions before under ROCM_PATH, after the loader's search path.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any

from inferometer.sources.devices import codes

# What AMD SMI's codes (`amdsmi_status_t`) are called in `codes`; those that are not here keep AMD's name.
_NAMES = {
    1: "invalid_argument",
    2: "not_supported",
    3: "not_supported",  # not yet implemented
    5: "function_not_found",
    10: "no_permission",
    15: "memory",
    30: "in_use",
    32: "uninitialized",
    34: "driver_not_loaded",
    51: "driver_not_loaded",
}
NOT_FOUND = "not_found"  # of a GPU itself: it is gone


class UnusableError(Exception):
    """The package cannot be loaded; the text is the reason."""


class Smi:
    """The package, whose functions raise RefusedError, FieldError and GoneError of `codes` instead of their own errors."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        """Give what the package has. Raises AttributeError for what its version does not."""
        found = getattr(self._module, name)
        if name.startswith("amdsmi_"):
            found = self._translated(found)
            setattr(self, name, found)  # the next time it is here
        return found

    def _translated(self, function: Callable[..., Any]) -> Callable[..., Any]:
        failure = self._module.AmdSmiLibraryException

        def call(*arguments: object) -> Any:
            try:
                return function(*arguments)
            except failure as error:
                reason = _reason(error)
            if reason in codes.GONE and self._is_gone():
                raise codes.GoneError(reason)
            raise (codes.RefusedError if reason in codes.REFUSED else codes.FieldError)(reason)

        return call

    def _is_gone(self) -> bool:
        """Ask for the GPUs, which concerns none of them; tell whether the library says that it is of no use."""
        try:
            self._module.amdsmi_get_processor_handles()
        except self._module.AmdSmiLibraryException as error:
            return _reason(error) in codes.GONE
        return False


def load(package: str, rocm: str) -> Smi:
    """Import the package, with the library of the ROCm that is installed at `rocm`, or of the usual places.

    Raises UnusableError where one of both is missing, or where they are of different versions.
    """
    if rocm:
        os.environ["ROCM_HOME"] = os.environ["ROCM_PATH"] = rocm
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise UnusableError(f"binding_not_found: {error}") from error
    except (KeyError, OSError) as error:  # the package goes on without the library until it misses it
        raise UnusableError("library_not_found") from error
    except AttributeError as error:  # it asks for all functions at once
        raise UnusableError(f"lib_rm_version_mismatch: {error}") from error
    return Smi(module)


def _reason(error: Any) -> str:
    """Name what `AmdSmiLibraryException` tells: a number, and a text that begins with AMD's name of it."""
    code = error.get_error_code()
    named = (
        str(error.get_error_info()).split(" - ", 1)[0].removeprefix("AMDSMI_STATUS_").removeprefix("AMD_SMI_").lower()
    )
    return _NAMES.get(code, named if code < 2**31 else f"error_{code}")
