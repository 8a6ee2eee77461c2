# SPDX-License-Identifier: Apache-2.0
"""Builds the test's libnvidia-ml.so.1 with the C compiler."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("fakenvml.c")


def build(directory: Path, without: Sequence[str] = ()) -> Path:
    """Compile `libnvidia-ml.so.1` into a directory; `without` names symbols that it shall lack, as an old driver does."""
    library = directory / "libnvidia-ml.so.1"
    script = directory / "symbols.map"
    hidden = "".join(f" {symbol};" for symbol in without)
    script.write_text(f"FAKE {{ global: nvml*; local: *;{hidden} }};\n")
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-null-dereference", "-pthread"]
    link = ["-Wl,-soname,libnvidia-ml.so.1", f"-Wl,--version-script={script}"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(SOURCE), *link], check=True)
    return library
