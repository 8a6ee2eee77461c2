# SPDX-License-Identifier: Apache-2.0
"""Builds the test's libnvidia-ml.so.1 with the C compiler."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
FLAGS = ("-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-null-dereference", "-pthread")


def build(directory: Path, without: Sequence[str] = ()) -> Path:
    """Link `libnvidia-ml.so.1` into a directory; `without` names symbols that it shall lack, as an old driver does."""
    library = directory / "libnvidia-ml.so.1"
    script = directory / "symbols.map"
    hidden = "".join(f" {symbol};" for symbol in without)
    script.write_text(f"FAKE {{ global: nvml*; local: *;{hidden} }};\n")
    link = ["-Wl,-soname,libnvidia-ml.so.1", f"-Wl,--version-script={script}"]
    subprocess.run(["gcc", "-shared", "-pthread", "-o", str(library), *map(str, compiled()), *link], check=True)
    return library


@functools.cache
def compiled() -> tuple[Path, ...]:
    """Compile the sources, once in a process; the objects are gone when the process ends."""
    directory = Path(tempfile.mkdtemp(prefix="fakenvml-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)

    def compile_one(source: Path) -> Path:
        made = directory / f"{source.stem}.o"
        subprocess.run(["gcc", "-c", *FLAGS, "-o", str(made), str(source)], check=True)
        return made

    with ThreadPoolExecutor(2) as pool:
        return tuple(pool.map(compile_one, SOURCES))
