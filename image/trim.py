# SPDX-License-Identifier: Apache-2.0
"""Run in the image, with nothing but Python: remove what installs, take back what makes root, compile what is not."""

import compileall
import os
import py_compile
import re
import shutil
import site
import stat
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Each by the name of its folder, its metadata or its command.
INSTALLERS = re.compile(r"(pip|setuptools|wheel|ensurepip|pkg_resources|easy_install|_distutils_hack)([-\d.].*)?")
# Of the standard library: what the agent never imports.
UNUSED = re.compile(r"/(test|tests|idlelib|lib2to3|turtledemo|tkinter|site-packages|dist-packages)/")
_SET_ID = stat.S_ISUID | stat.S_ISGID


def main() -> None:
    """Trim the file system that this runs in."""
    for path in installers():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    take_back()
    # Else every start compiles it anew: the root is read-only, and most images of Python leave it out.
    compiled = compileall.compile_dir(
        sysconfig.get_path("stdlib"),
        quiet=1,
        rx=UNUSED,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    sys.exit(not compiled)


def installers() -> list[Path]:
    """Give what can install packages, where Python keeps packages and commands."""
    folders = {*site.getsitepackages(), *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "scripts"))}
    return sorted(
        path
        for folder in folders
        if Path(folder).is_dir()
        for path in Path(folder).iterdir()
        if INSTALLERS.fullmatch(path.name)
    )


def take_back() -> None:
    """Take the set-user-ID and set-group-ID bits from every program."""
    for path in _programs(Path("/")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & _SET_ID:
            path.chmod(stat.S_IMODE(mode) & ~_SET_ID)


def _programs(root: Path) -> Iterator[Path]:
    """Give every file of this file system; what is mounted in it is none of the image."""
    device = root.lstat().st_dev
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if (Path(folder) / name).lstat().st_dev == device]
        yield from (Path(folder) / name for name in files)


if __name__ == "__main__":
    main()
