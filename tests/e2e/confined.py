# SPDX-License-Identifier: Apache-2.0
"""What a container may do, seen from inside: run with the container's own Python, it prints one JSON object.

    python3 -I -c "$(cat confined.py)"

gives `processes`, the status of each process that is seen; `writable`, the mounts that take a file or are one that can be
opened for writing; `devices`, the device files that there are; `mounts`, every mount point.
"""

import json
import os
import stat
from pathlib import Path

_STATUS = ("Name", "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")


def processes() -> list[dict[str, str]]:
    """Read /proc/PID/status of every process but this one."""
    found = []
    for file in Path("/proc").glob("[0-9]*/status"):
        if file.parent.name != str(os.getpid()):
            lines = dict(line.split(":\t", 1) for line in file.read_text().splitlines() if ":\t" in line)
            found.append({key: lines[key] for key in _STATUS})
    return found


def mounts() -> list[str]:
    """Give every mount point (proc_pid_mountinfo(5), fifth field)."""
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def is_writable(place: str) -> bool:
    """Try it."""
    path = Path(place)
    try:
        if path.is_dir():
            probe = path / "probe-of-the-test"
            probe.touch()
            probe.unlink()
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    except OSError:
        return False
    return True


def devices() -> list[str]:
    """Give the device files below /dev."""
    kinds = (stat.S_ISCHR, stat.S_ISBLK)
    return [str(path) for path in Path("/dev").rglob("*") if any(is_kind(path.lstat().st_mode) for is_kind in kinds)]


if __name__ == "__main__":
    seen = {
        "processes": processes(),
        "mounts": mounts(),
        "writable": [place for place in mounts() if is_writable(place)],
        "devices": devices(),
    }
    print(json.dumps(seen))
