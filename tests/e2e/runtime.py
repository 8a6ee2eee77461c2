# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's container runtime, which containerd starts for the runtime class `nvidia` in the place of runc.

It finds the GPUs in the library that the tests build, as on a node of NVIDIA's it would in the driver's, and puts library and
device files into a container that asks for them by NVIDIA_VISIBLE_DEVICES. The hook is the one that it and NVIDIA's driver of
claims have runc call, which tells the container's loader of the library.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from integration.programs import find

CLASS = "nvidia"
PROGRAMS = ("nvidia-container-runtime", "nvidia-cdi-hook")


def runtime_of(scratch: Path) -> Path:
    """Give the program that containerd starts."""
    return scratch / "nvidia-container-runtime"


def write_runtime(scratch: Path, root: Path, environment: Mapping[str, str]) -> None:
    """Write it, for a driver that is installed at a root; `environment` is what leads to its library."""
    config = scratch / "nvidia-container-runtime.toml"
    quoted = {key: json.dumps(str(value)) for key, value in (("root", root), ("runc", find("runc")))}
    config.write_text(
        f"[nvidia-container-cli]\nroot = {quoted['root']}\n"
        f"[nvidia-ctk]\npath = {json.dumps(str(find('nvidia-cdi-hook')))}\n"
        f'[nvidia-container-runtime]\nmode = "jit-cdi"\nruntimes = [{quoted["runc"]}]\n'
    )
    variables = {**environment, "NVIDIA_CTK_CONFIG_FILE_PATH": str(config)}
    exported = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    program = runtime_of(scratch)
    program.write_text(f'#!/bin/sh\n{exported}exec {find("nvidia-container-runtime")} "$@"\n')
    program.chmod(0o755)
