# SPDX-License-Identifier: Apache-2.0
"""The wheels that the build installs, fetched before it by the locks' hashes, so that the build itself needs no network."""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

# What wheels for glibc are named by; pip takes only what it is told.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")


class DownloadError(Exception):
    """The wheels are not to be had; the message is pip's."""


def fetch(locks: Iterable[Path], python: str, folder: Path) -> None:
    """Fetch what the locks name for a version of Python; a folder that is there is complete. Raises DownloadError."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    platforms = [f"--platform={name}_{platform.machine()}" for name in _PLATFORMS]
    answer = subprocess.run(
        (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--only-binary=:all:", f"--python-version={python}", *platforms),
            *(f"--requirement={lock}" for lock in locks),
            f"--dest={scratch}",
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        shutil.rmtree(scratch)
        raise DownloadError(answer.stderr.strip())
    scratch.chmod(0o755)
    try:
        scratch.rename(folder)
    except OSError:  # another build was as quick
        shutil.rmtree(scratch)
        if not folder.exists():
            raise
