# SPDX-License-Identifier: Apache-2.0
"""Builds the test's libnvidia-ml.so.1 with the C compiler."""

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
    """Put `libnvidia-ml.so.1` into a directory; `without` names symbols that it shall lack, as an old driver does.

    Such a symbol is there under another name: a process that looks for its own finds none.
    """
    contents = linked()
    for symbol in without:
        name = b"\0%s\0" % symbol.encode()
        assert name in contents, f"the library has no {symbol}"
        contents = contents.replace(name, b"\0no" + name[3:])
    library = directory / "libnvidia-ml.so.1"
    library.write_bytes(contents)
    library.chmod(0o755)
    return library


@functools.cache
def linked() -> bytes:
    """Build the library, once in a process."""
    directory = Path(tempfile.mkdtemp(prefix="fakenvml-"))
    try:
        library, script = directory / "library", directory / "symbols.map"
        script.write_text("FAKE { global: nvml*; local: *; };\n")
        link = ["-Wl,-soname,libnvidia-ml.so.1", f"-Wl,--version-script={script}"]
        objects = map(str, _compile(directory))
        subprocess.run(["gcc", "-shared", "-pthread", "-o", str(library), *objects, *link], check=True)
        return library.read_bytes()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _compile(directory: Path) -> tuple[Path, ...]:
    """Compile the sources."""

    def compile_one(source: Path) -> Path:
        made = directory / f"{source.stem}.o"
        subprocess.run(["gcc", "-c", *FLAGS, "-o", str(made), str(source)], check=True)
        return made

    with ThreadPoolExecutor(2) as pool:
        return tuple(pool.map(compile_one, SOURCES))
