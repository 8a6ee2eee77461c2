# SPDX-License-Identifier: Apache-2.0
"""A control group of the node's own, in every hierarchy of either version, removed with all that is below it."""

import contextlib
import os
import time
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
_PREFIX = "inferometer-e2e-"
_INHERITED = ("cpuset.cpus", "cpuset.mems")  # empty in a new group of version 1, and then nothing can enter it
_TIMEOUT = 60.0  # seconds; only a hang takes so long


class Groups:
    """A control group below the root of each hierarchy, named by this process."""

    def __init__(self) -> None:
        name = f"{_PREFIX}{os.getpid()}"
        self.root = f"/{name}"
        self._folders = [hierarchy / name for hierarchy in _hierarchies()]

    def make(self) -> None:
        """Make it, without what a run that was killed has left of its own."""
        for folder in self._folders:
            for left in folder.parent.glob(f"{_PREFIX}*"):
                if not Path("/proc", left.name.removeprefix(_PREFIX)).exists():
                    _remove(left)
            folder.mkdir()
            for setting in _INHERITED:
                if (folder / setting).exists() and not (folder / setting).read_text().strip():
                    (folder / setting).write_text((folder.parent / setting).read_text())

    def remove(self) -> None:
        """Remove it, once the processes in it are gone. Safe to call twice, and before `make`."""
        end = time.monotonic() + _TIMEOUT
        for folder in self._folders:
            while not _remove(folder):
                assert time.monotonic() < end, f"{folder} is still in use"
                time.sleep(0.05)


def _remove(folder: Path) -> bool:
    """Remove a group and those below it; False where one is busy, while a killed process still ends."""
    for directory, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
    return not folder.exists()


def _hierarchies() -> list[Path]:
    """Give the root folders: one of version 2, or one for each controller of version 1 and perhaps one of version 2."""
    if (MOUNT / "cgroup.controllers").exists():
        return [MOUNT]
    return [child for child in sorted(MOUNT.iterdir()) if child.is_dir() and not child.is_symlink()]
