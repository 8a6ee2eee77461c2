# SPDX-License-Identifier: Apache-2.0
"""A BuildKit of our own for one build: no daemon before it, and no process, mount, folder or control group after it."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TOOLS = Path(__file__).parents[1] / "tools" / "build.sh"
_GROUPS = Path("/sys/fs/cgroup")
_PREFIX = "inferometer-image-"  # of a control group, before the number of this process
# Its mounts are in a namespace and its processes in another; both end with it, and it ends with this process.
_ENTER = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_START_TIMEOUT, _STOP_TIMEOUT, _BUILD_TIMEOUT = 60.0, 20.0, 900.0  # seconds
_TAIL = 4000  # characters of a log that an error shows


class MissingError(Exception):
    """A build is not possible here; the message says what is missing."""


class BuildError(Exception):
    """A build failed; the message ends with what was said last."""


def require() -> None:
    """Raise MissingError where BuildKit cannot run."""
    if os.geteuid() != 0:
        raise MissingError("BuildKit's mounts and namespaces need root")
    for tool in ("setpriv", "unshare"):
        if shutil.which(tool) is None:
            raise MissingError(f"{tool} is missing")
    for program in ("buildkitd", "buildctl", "runc"):
        find(program)


def find(program: str) -> Path:
    """Give where `make tools` built a program. Raises MissingError."""
    answer = subprocess.run((_TOOLS, "--path", program), capture_output=True, text=True, check=False, timeout=60)
    if answer.returncode != 0:
        raise MissingError(answer.stderr.strip())
    return Path(answer.stdout.strip())


def solve(arguments: Sequence[str]) -> None:
    """Build by buildctl's arguments of `build`. Raises MissingError and BuildError."""
    require()
    group = f"{_PREFIX}{os.getpid()}"
    try:
        with tempfile.TemporaryDirectory(prefix="image-") as scratch, _daemon(Path(scratch)) as address:
            command = [str(find("buildctl")), f"--addr={address}", f"--timeout={_START_TIMEOUT:.0f}", "build"]
            answer = subprocess.run(
                [*command, *arguments, f"--opt=cgroup-parent={group}", "--progress=plain"],
                capture_output=True,
                text=True,
                check=False,
                timeout=_BUILD_TIMEOUT,
            )
            if answer.returncode != 0:
                raise BuildError(f"the build failed:\n{answer.stderr[-_TAIL:]}")
    finally:
        _remove(group)


def _remove(group: str) -> None:
    """Remove the build's control groups, once the processes in them have ended."""
    end = time.monotonic() + _STOP_TIMEOUT
    while folders := [*_GROUPS.glob(group), *_GROUPS.glob(f"*/{group}")]:
        for folder in folders:
            for directory, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):  # a process in it still ends
                    Path(directory).rmdir()
        if time.monotonic() > end:
            break
        time.sleep(0.05)


@contextmanager
def _daemon(scratch: Path) -> Iterator[str]:
    """Run the daemon; gives its address."""
    socket, log = scratch / "socket", scratch / "log"
    command = (
        *(*_ENTER, str(find("buildkitd")), f"--root={scratch / 'state'}", f"--addr=unix://{socket}"),
        *("--oci-worker=true", "--containerd-worker=false", "--oci-worker-net=host", "--oci-worker-gc=false"),
        f"--oci-worker-binary={find('runc')}",
    )
    # Of the environment only the way to a registry.
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            env={"PATH": _PATH, "HOME": str(scratch), **proxies},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + _START_TIMEOUT
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise BuildError(f"buildkitd did not start:\n{log.read_text(errors='replace')[-_TAIL:]}")
            time.sleep(0.05)
        yield f"unix://{socket}"
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the daemon, which is the one child of what entered its namespaces, so that it can put its things away."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError):
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
