# SPDX-License-Identifier: Apache-2.0
"""Builds the test's libamd_smi.so with the C compiler, with every function that the installed package `amdsmi` asks for."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(__file__).with_name("fakeamdsmi.c")
FLAGS = ("-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")
NOT_SUPPORTED = 2


def build(rocm: Path, without: str = "") -> Path:
    """Link `lib/libamd_smi.so` below a directory, as ROCm has it; `without` names a function that it shall lack."""
    library = rocm / "lib" / "libamd_smi.so"
    library.parent.mkdir(parents=True)
    asked = set(re.findall(r"_libraries\['libamd_smi\.so'\]\.(\w+)", wrapper().read_text()))
    ours = set(re.findall(r"^int (amdsmi_\w+)\(", SOURCE.read_text(), re.MULTILINE))
    stubs = rocm / "stubs.c"
    missing = sorted(asked - ours - {without})
    stubs.write_text(
        "".join(f"int {name}(void);\nint {name}(void) {{ return {NOT_SUPPORTED}; }}\n" for name in missing)
    )
    subprocess.run(["gcc", "-shared", *FLAGS, "-o", str(library), str(SOURCE), str(stubs)], check=True)
    return library


def wrapper() -> Path:
    """Find the part of the package that asks for functions, without importing it: without a library that fails."""
    spec = find_spec("amdsmi")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("amdsmi_wrapper.py")
