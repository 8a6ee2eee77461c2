# SPDX-License-Identifier: Apache-2.0
"""Third-party programs as children of a test: started in sessions of their own, ended whole."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_STOP_TIMEOUT = 20.0
_REQUEST_TIMEOUT = 30.0
_TAIL = 3_000  # characters of a log that an error shows

Process = subprocess.Popen[bytes]


class EngineError(Exception):
    """An engine did not start or did not answer; the message ends with the end of its logs."""


def spawn(command: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> Process:
    """Start a program in its log's folder, with this environment and no other."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=log.parent,
            env={"PATH": os.defpath, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def await_ready(is_ready: Callable[[], bool], processes: Sequence[Process], directory: Path, seconds: float) -> None:
    """Wait until an engine is ready; an `OSError` says not yet.

    Raises:
        EngineError: it is not in time, or a process ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if is_ready():
                return
        time.sleep(0.05)
    logs = "\n".join(path.read_text(errors="replace")[-_TAIL:] for path in sorted(directory.glob("*.log")))
    raise EngineError(f"it was not ready within {seconds:.0f} s, or ended:\n{logs}")


def end(processes: Sequence[Process]) -> None:
    """End processes and whatever they started; safe to call twice."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + _STOP_TIMEOUT
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what is left of its session
        process.wait()


def free_port() -> int:
    """Give a port that nobody listens on now; another may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(url: str) -> bytes:
    """GET a page, whatever proxy the machine has."""
    with _DIRECT.open(url, timeout=_REQUEST_TIMEOUT) as response:
        page: bytes = response.read()
        return page


def post(url: str, body: bytes) -> bytes:
    """POST JSON. Raises EngineError with what the engine answered."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with _DIRECT.open(request, timeout=_REQUEST_TIMEOUT) as response:
            answer: bytes = response.read()
            return answer
    except urllib.error.HTTPError as error:
        with error:
            said = error.read()[:500].decode(errors="replace")
        raise EngineError(f"{url} answered {error.code}: {said}") from None


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Running(ABC):
    """A server of one or more processes, from `with` to its end."""

    def __init__(self) -> None:
        self._processes: list[Process] = []

    @abstractmethod
    def _start(self) -> None:
        """Start it and wait until it serves."""

    def stop(self) -> None:
        """End all processes and whatever they started; safe to call twice."""
        end(self._processes)
        self._processes.clear()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
