# SPDX-License-Identifier: Apache-2.0
"""The images of the node's containers, as OCI archives: one static program that waits, and the agent."""

import subprocess
from pathlib import Path

import pytest

from image.build import cached
from image.buildkit import MissingError
from image.debian import NotDebianError
from image.layout import build_layout, entry, pack, write_archive
from image.wheels import DownloadError

IMAGE = "docker.io/inferometer/pause:1"
AGENT_IMAGE = "docker.io/inferometer/agent:test"
SOURCE = Path(__file__).with_name("pause.c")


def compile_pause(folder: Path) -> Path:
    """Compile the static program that waits."""
    made = folder / "pause"
    subprocess.run(("gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", made, SOURCE), check=True)
    return made


def write(archive: Path, name: str, program: Path) -> None:
    """Write an image whose one process is the program."""
    layer = pack([(entry(program.name, 0o755), program.read_bytes())])
    write_archive(archive, build_layout(layer, {"Entrypoint": [f"/{program.name}"]}, name=name))


def agent_archive() -> Path:
    """Give the archive of this checkout's agent, AGENT_IMAGE: built once for each content; without its parts a skip."""
    try:
        return cached(AGENT_IMAGE)
    except (DownloadError, MissingError, NotDebianError) as error:
        pytest.skip(str(error))
