# SPDX-License-Identifier: Apache-2.0
"""The programs of tools/: where they are, and one running until it is stopped.

Every program listens on 127.0.0.1 only, on a port that the kernel chose and its log tells. What it says goes to a file,
the end of which stands in every error.
"""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BUILD = Path(__file__).parents[2] / "tools" / "build.sh"

Needs = Callable[..., None]  # the fixture `needs`: called with the names of programs

_NOT_BUILT, _NO_GO = 3, 4  # what `tools/build.sh --path` exits with where a part is missing
_START_TIMEOUT = 120.0  # seconds; only what will never be takes so long
_STOP_TIMEOUT = 10.0
_REQUEST_TIMEOUT = 30.0
_TAIL = 6_000  # characters of a log that a failure shows


class MissingError(Exception):
    """A program is not here; the message says what to do."""


class ProgramError(Exception):
    """A program did not start, ended, or answered with an error; the message ends with the end of its log."""


@functools.cache
def find(program: str) -> Path:
    """Give where a program is. Raises MissingError if it is not built or there is no Go."""
    answer = subprocess.run((BUILD, "--path", program), capture_output=True, text=True, check=False, timeout=60)
    if answer.returncode in {_NOT_BUILT, _NO_GO}:
        raise MissingError(answer.stderr.strip())
    assert answer.returncode == 0, answer.stderr
    return Path(answer.stdout.strip())


def call(program: str, *arguments: str | Path, text: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, with `text` on its standard input."""
    return subprocess.run(
        (find(program), *arguments), input=text, capture_output=True, text=True, check=False, timeout=300
    )


class Program:
    """A program of tools/ that runs from `with` to its end, in a folder of its own.

    Args:
        program: its name.
        directory: where it runs and where its log is kept.
        arguments: its command line.
        ready: what its log says once it serves; its named groups are kept in `told`.
        environment: what it finds in its environment besides PATH and HOME.
    """

    def __init__(
        self,
        program: str,
        directory: Path,
        arguments: Sequence[str | Path],
        ready: Sequence[re.Pattern[str]],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = program
        self.told: dict[str, str] = {}
        self._directory = directory
        self._command = (find(program), *arguments)
        self._ready = ready
        self._environment = {"PATH": os.defpath, "HOME": str(directory), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0  # where in the log this run begins

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it serves; safe to call again after `stop` or `kill`. Raises ProgramError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as log:
            self._began = log.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self not in STARTED:
            STARTED.append(self)
        try:
            self._await_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it as an administrator would; safe to call twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a last word."""
        self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    @property
    def log(self) -> str:
        """What it has said, over all its runs."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def log_tail(self) -> str:
        """The end of what it has said."""
        return self.log[-_TAIL:]

    @property
    def _log_file(self) -> Path:
        return self._directory / f"{self.name}.log"

    def _await_ready(self) -> None:
        end = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < end:
            assert self._process is not None
            ended = self._process.poll()
            said = self._log_file.read_bytes()[self._began :].decode(errors="replace")
            found = [pattern.search(said) for pattern in self._ready]
            if all(found):
                self.told = {key: value for match in found if match for key, value in match.groupdict().items()}
                return
            if ended is not None:
                raise ProgramError(f"{self.name} ended with {ended}:\n{self.log_tail}")
            time.sleep(0.02)
        raise ProgramError(f"{self.name} did not serve within {_START_TIMEOUT:.0f} s:\n{self.log_tail}")

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its session is its own: nothing that it started stays
        process.wait()


STARTED: list[Program] = []  # what a failing test shows the logs of


def get_json(url: str, parameters: Sequence[tuple[str, str]] = ()) -> Any:
    """GET JSON. Raises ProgramError with what the server answered."""
    if parameters:
        url = f"{url}?{urllib.parse.urlencode(parameters)}"
    return json.loads(_answer(urllib.request.Request(url)))


def post(url: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """POST bytes. Raises ProgramError with what the server answered."""
    return _answer(urllib.request.Request(url, data=body, headers={"Content-Type": content_type}, method="POST"))


def _answer(request: urllib.request.Request) -> bytes:
    try:
        with _DIRECT.open(request, timeout=_REQUEST_TIMEOUT) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        with error:
            said = error.read()[:2000].decode(errors="replace")
        raise ProgramError(f"{request.full_url} answered {error.code}: {said}") from None


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever proxy the machine has
