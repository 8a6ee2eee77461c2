# SPDX-License-Identifier: Apache-2.0
"""A container of an unpacked image by runc alone: read-only root, no capability, the machine's network, gone at its end."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integration.programs import find

_GROUPS = Path("/sys/fs/cgroup")
_PREFIX = "inferometer-container-"
# In namespaces of its own: what it mounts and starts ends with the test's process.
_ENTER = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_PATIENCE = 60.0  # seconds; only a hang takes so long


@dataclass(frozen=True)
class Container:
    """A container that runs, and what it has said."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def await_said(self, pattern: str) -> str:
        """Wait until its words match, and give the first group."""
        end = time.monotonic() + _PATIENCE
        while not (found := re.search(pattern, self.said)):
            assert self.process.poll() is None, f"the container has ended:\n{self.said}"
            assert time.monotonic() < end, f"it has not said {pattern}:\n{self.said}"
            time.sleep(0.05)
        return found[1]

    def stop(self) -> int:
        """End it as a kubelet does; gives its exit code."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for runc in children.read_text().split():
            os.kill(int(runc), signal.SIGTERM)  # it passes it on
        return self.process.wait(_PATIENCE)


@contextmanager
def started(
    root: Path,
    folder: Path,
    config: Mapping[str, object],
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    mounts: Mapping[Path, str] | None = None,
    *,
    scratch: bool = False,
) -> Iterator[Container]:
    """Run a container with an image's own entrypoint, user and environment; it does not outlive the test.

    Args:
        root: the unpacked image.
        folder: where its log is and what runc keeps.
        config: the image's, of which it takes `Entrypoint`, `User` and `Env`.
        arguments: in the place of the image's `Cmd`.
        environment: variables beside the image's.
        mounts: files or folders of the machine that it may read, with their places in it.
        scratch: whether /tmp is memory that it may write to.
    """
    group = f"{_PREFIX}{os.getpid()}-{folder.name}"
    folder.mkdir()
    bound = ["rbind", "ro", "nosuid", "nodev"]
    more: list[dict[str, object]] = [
        {"destination": place, "type": "bind", "source": str(source), "options": bound}
        for source, place in (mounts or {}).items()
    ]
    if scratch:
        more.append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=1777"]})
    spec = _spec(root, config, arguments, environment or {}, more, group)
    (folder / "config.json").write_text(json.dumps(spec))
    command = (*_ENTER, find("runc"), f"--root={folder / 'runc'}", "run", f"--bundle={folder}", folder.name)
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
    try:
        yield Container(process, log)
    finally:
        process.kill()  # and with it its namespaces
        process.wait()
        _remove(group)


def _spec(
    root: Path,
    config: Mapping[str, object],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    mounts: Sequence[Mapping[str, object]],
    group: str,
) -> dict[str, object]:
    """Give runc's config.json (OCI runtime-spec 1.0)."""
    entrypoint, variables, user = config["Entrypoint"], config["Env"], str(config["User"])
    assert isinstance(entrypoint, list)
    assert isinstance(variables, list)
    uid, _, gid = user.partition(":")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": int(uid), "gid": int(gid)},
            "args": [*entrypoint, *arguments],
            "env": [*variables, *(f"{name}={value}" for name, value in environment.items())],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            *mounts,
        ],
        "linux": {
            "cgroupsPath": f"/{group}",
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def _remove(group: str) -> None:
    """Remove its control groups, once what was in them is gone."""
    end = time.monotonic() + _PATIENCE
    while folders := [*_GROUPS.glob(group), *_GROUPS.glob(f"*/{group}")]:
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        assert time.monotonic() < end, f"{folders} are still in use"
        time.sleep(0.02)
