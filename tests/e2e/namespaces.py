# SPDX-License-Identifier: Apache-2.0
"""Namespaces in which a node can run: what it mounts, sets, starts and listens to is not the machine's.

One kill of their first process ends everything in them, and they end with the process that made them, however it ends.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

ENTER = Path(__file__).with_name("enter.sh")
_UNSHARE = ("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_TIMEOUT = 60.0  # seconds; only a hang takes so long
_LONG = 300.0  # of a program that is waited for
_LAST_WORDS = 30.0  # of one that was told to end


class NamespaceError(Exception):
    """The namespaces could not be made; the message has what was said."""


class Namespaces:
    """Mount, network, process, IPC and host name namespaces of their own, from `start` to `end`.

    Args:
        scratch: an empty folder, where logs go and what would be written to /etc, /opt and /var.
        address: the IPv4 address of the node, of a /24 that exists in the namespaces only.
        service: another address of it.
        init: a static program that reaps its children, the first process.
    """

    def __init__(self, scratch: Path, address: str, service: str, init: Path) -> None:
        self.scratch = scratch
        self._command = (str(ENTER), str(scratch), address, service, str(init))
        self._outer: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._thread: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Make them. Raises NamespaceError."""
        log = self.scratch / "namespaces.log"
        with log.open("ab") as said:
            self._outer = subprocess.Popen(
                # The outer process dies with this one, and the first process of the namespaces with the outer one.
                ("setpriv", "--pdeathsig", "KILL", *_UNSHARE, *self._command),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        end = time.monotonic() + _TIMEOUT
        while not self._is_ready():
            if self._outer.poll() is not None or time.monotonic() > end:
                self.end()
                raise NamespaceError(f"no namespaces: {log.read_text()}")
            time.sleep(0.02)
        self._thread = ThreadPoolExecutor(1, initializer=_enter_network, initargs=(self._pid,))

    def end(self) -> None:
        """End every process in them; safe to call twice."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
        outer, self._outer = self._outer, None
        if outer is not None:
            if self._pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
            else:
                outer.kill()
            outer.wait()

    def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call a function in a thread that sees their network: what it connects to is there."""
        assert self._thread is not None
        return self._thread.submit(function, *args, **named).result()

    def run(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> "Inside":
        """Start a program in them; its log is NAME.log of the scratch folder."""
        with self.log_file(name).open("ab") as log:
            process = subprocess.Popen(
                (*self._enter, *command),
                env=dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Inside(name, process)

    def finish(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None, timeout: float = _LONG
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program in them to its end. Raises subprocess.TimeoutExpired."""
        return subprocess.run(
            (*self._enter, *command),
            env=dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    @property
    def _enter(self) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self._pid), "-m", "-n", "-p", "-i", "-u", "--")

    def log_file(self, name: str) -> Path:
        """Give where a program's words go."""
        return self.scratch / f"{name}.log"

    def _is_ready(self) -> bool:
        """Whether the first process is the program and no longer the script that prepares."""
        assert self._outer is not None
        children = _children(self._outer.pid)
        if not children:
            return False
        self._pid = children[0]
        with contextlib.suppress(OSError):
            return str(Path(f"/proc/{self._pid}/exe").readlink()) == self._command[-1]
        return False


class Inside:
    """A program in the namespaces."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.name = name
        self._entering = process  # nsenter: it waits for its child, the program

    @property
    def has_ended(self) -> bool:
        return self._entering.poll() is not None

    @property
    def pid(self) -> int:
        """Its process id outside of the namespaces."""
        end = time.monotonic() + _TIMEOUT
        while not (children := _children(self._entering.pid)):
            assert self._entering.poll() is None, f"{self.name} has ended"
            assert time.monotonic() < end, f"{self.name} did not start"
            time.sleep(0.01)
        return children[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal that ends it, and wait; after half a minute it is killed. Safe to call twice."""
        if self._entering.poll() is not None:
            return
        pid = self.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            try:
                self._entering.wait(_LAST_WORDS)
            except subprocess.TimeoutExpired:
                os.kill(pid, signal.SIGKILL)
        self.await_end()

    def await_end(self) -> None:
        """Wait for the end of what has been killed."""
        self._entering.wait(_TIMEOUT)


def _children(pid: int) -> list[int]:
    """Give the children of a process with one thread, the oldest first."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _enter_network(pid: int) -> None:
    """Move the calling thread into a process's network namespace."""
    library: Any = ctypes.CDLL(None, use_errno=True)
    file = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if library.setns(file, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(file)
