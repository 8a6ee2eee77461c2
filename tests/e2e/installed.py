# SPDX-License-Identifier: Apache-2.0
"""What an installed GPU driver puts on a node beside its library, as far as NVIDIA's programs look for it.

`nvidia-smi`, which does nothing but remember what it was asked; device files, which lead to no device; and in /proc the
numbers of the device files of MIG instances.
"""

import itertools
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from fakenvml.fakenvml import Node as Gpus

_MAJOR = 195  # of NVIDIA's device files
_CAPABILITIES = 508  # the major number of the device files of instances
_INSTANCES = 15  # of a GPU; no id of an instance is greater
_SMI = '#!/bin/sh\necho "$@" >>"$0.log"\n'


def install(root: Path, proc: Path, minors: Sequence[int]) -> None:
    """Write it for GPUs of these minor numbers: files below `root`, and what is to be the node's /proc/driver."""
    smi = _smi(root)
    smi.parent.mkdir(parents=True)
    smi.write_text(_SMI)
    smi.chmod(0o755)
    (root / "usr" / "lib64" / f"libcuda.so.{Gpus.driver}").touch()  # what it would give to containers
    (root / "dev").mkdir()
    for name, minor in (*((f"nvidia{minor}", minor) for minor in minors), ("nvidiactl", 255), ("nvidia-uvm", 254)):
        os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(_MAJOR, minor))
    proc_devices(root).write_text(f"Character devices:\n{_CAPABILITIES} nvidia-caps\n\nBlock devices:\n")
    _write_instances(proc, minors)


def proc_devices(root: Path) -> Path:
    """Give the file that stands for /proc/devices."""
    return root / "proc-devices"


def asked_of_smi(root: Path) -> list[str]:
    """Give the arguments that `nvidia-smi` was started with, each time."""
    log = _smi(root).with_suffix(".log")
    return log.read_text().splitlines() if log.exists() else []


def _smi(root: Path) -> Path:
    return root / "usr" / "bin" / "nvidia-smi"


def _write_instances(proc: Path, minors: Sequence[int]) -> None:
    """Number the device files of every instance that there can be, as /proc/driver/nvidia and nvidia-caps tell them."""
    numbers = itertools.count(3)
    lines = []
    for gpu, instance in itertools.product(minors, range(_INSTANCES)):
        folder = proc / "nvidia" / "capabilities" / f"gpu{gpu}" / "mig" / f"gi{instance}"
        for of, name in ((folder, f"gpu{gpu}/gi{instance}"), (folder / "ci0", f"gpu{gpu}/gi{instance}/ci0")):
            number = next(numbers)
            of.mkdir(parents=True)
            (of / "access").write_text(f"DeviceFileMinor: {number}\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
            lines.append(f"{name}/access {number}\n")
    (proc / "nvidia-caps").mkdir()
    (proc / "nvidia-caps" / "mig-minors").write_text("".join(lines))
