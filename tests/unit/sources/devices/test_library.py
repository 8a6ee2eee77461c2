# SPDX-License-Identifier: Apache-2.0
"""Where the driver's library is found."""

import subprocess
import sys
from ctypes.util import find_library

import pytest

from fakenvml.driver import Driver
from fakenvml.fakenvml import Gpu, Node

_OPEN = """
import pynvml
from inferometer.sources.devices import library
library.ROOTS = ("/nowhere", {root!r})
library.open_library(pynvml, {paths!r})
print(pynvml.nvmlDeviceGetCount())
"""


def count(root: str, paths: tuple[str, ...]) -> str:
    """Open the library in a process of its own, and count the GPUs."""
    command = [sys.executable, "-I", "-c", _OPEN.format(root=root, paths=paths)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or result.stderr.splitlines()[-1]


@pytest.mark.skipif(find_library("nvidia-ml") is not None, reason="the loader finds a real driver's library here")
def test_a_driver_that_the_loader_does_not_know_is_found_in_its_root(driver: Driver) -> None:
    """Without a path, and where the loader finds nothing, the usual driver roots are looked at."""
    driver.is_now(Node((Gpu("GPU-0"), Gpu("GPU-1"))))

    assert count(str(driver.library.parent), ()) == "2"
    assert count("/nowhere", ()) == "pynvml.NVMLError_LibraryNotFound: NVML Shared Library Not Found"


def test_a_library_given_by_path_is_the_one_that_is_used(driver: Driver) -> None:
    """A path wins over the loader's search path."""
    driver.is_now(Node((Gpu("GPU-0"), Gpu("GPU-1"), Gpu("GPU-2"))))

    assert count("/nowhere", (str(driver.library),)) == "3"
