# SPDX-License-Identifier: Apache-2.0
"""The node's processes as a `/proc` shows them: which node's they are, how old each is, and its cgroups (proc(5))."""

import os
from pathlib import Path
from typing import NamedTuple

from inferometer.model import Reason, Trouble
from inferometer.sources.identity.cgroup_paths import depth, paths, place

_INITIAL = "pid:[4026531836]"  # PROC_PID_INIT_INO, the machine's own namespace since Linux 3.8: include/linux/proc_ns.h
_LONGEST = 64 * 1024  # bytes of one file; a line per cgroup controller is some hundred each
_EXITING = 0x4  # PF_EXITING, include/linux/sched.h
_DEAD = "ZXx"
_TICKS = os.sysconf("SC_CLK_TCK")

_HOW = "set hostPID on the agent's pod, or identity.processes.enabled to false"


class View(NamedTuple):
    """How this process sees the node's. `foreign` is whether they have other numbers here than it has of them itself."""

    own_depth: int = 0
    private: bool = False
    foreign: bool = False


class Life(NamedTuple):
    """A process's beginning, seconds since boot, and whether it is about to end: its cgroup may be gone already."""

    began: float
    ending: bool


def view(proc: str) -> View:
    """Find out whether this `/proc` shows the node's processes.

    It does in the machine's first pid namespace. A node can itself be a container, as kind's are. So in another one process 1
    decides: it is either the node's init, or the first process of the agent's container or pod. Its cgroup tells. (Comparing
    `/proc/1/ns/pid` with our own never would: what this `/proc` numbers 1 is always in its namespace.)

    Raises:
        Trouble: UNSUPPORTED without hostPID; MISSING or PERMISSION where not even process 1 can be seen.
    """
    try:
        own, first = (paths(_text(f"{proc}/{pid}/cgroup")) for pid in ("self", "1"))
        numbers = next((line for line in _text(f"{proc}/self/status").splitlines() if line.startswith("NSpid:")), "")
    except OSError as error:
        denied = isinstance(error, PermissionError) or Path(f"{proc}/self").is_dir()  # hidepid=2 hides, others refuse
        how = (
            f"mount the node's /proc there without hidepid, or {_HOW}" if denied else "correct identity.processes.proc"
        )
        reason = Reason.PERMISSION if denied else Reason.MISSING
        raise Trouble(reason, f"{proc}: process 1 cannot be seen: {error.strerror}", how) from None
    private = any(path.startswith("/..") for path in first)
    if not _is_initial(proc) and (
        first == own
        or depth(first) >= max(depth(own), 1)
        or place(first, private=private).container_id  # the pod's, where its containers share their processes
    ):
        message = (
            f"{proc}: process 1 is the agent's own pod's, so whose the GPUs' processes are is not seen: no hostPID"
        )
        raise Trouble(Reason.UNSUPPORTED, message, _HOW)
    return View(depth(own), private, foreign=len(numbers.split()) > 2)


def life(proc: str, pid: int) -> Life | None:
    """Read when a process began; None if there is none, or none that says so."""
    try:
        # The name, in parentheses, may hold spaces and parentheses: what follows begins with field 3.
        fields = _text(f"{proc}/{pid}/stat").rpartition(")")[2].split()
        ending = fields[0] in _DEAD or bool(int(fields[6]) & _EXITING)
        return Life(int(fields[19]) / _TICKS, ending)
    except (OSError, IndexError, ValueError):
        return None


def cgroups(proc: str, pid: int) -> tuple[str, ...]:
    """Read a process's cgroups; none if there is no such process."""
    try:
        return paths(_text(f"{proc}/{pid}/cgroup"))
    except OSError:
        return ()


def _is_initial(proc: str) -> bool:
    try:
        return str(Path(f"{proc}/self/ns/pid").readlink()) == _INITIAL
    except OSError:
        return False


def _text(path: str) -> str:
    with Path(path).open("rb") as file:
        return file.read(_LONGEST).decode("utf-8", "replace")
