# SPDX-License-Identifier: Apache-2.0
"""A live third-party engine without a GPU: NVIDIA Dynamo's frontend with its mocker worker, on loopback.

The frontend is the OpenAI API server that users run; the mocker schedules, batches and caches as a worker would and
exports `dynamo_component_*` and `vllm:*`. Both come from the `ai-dynamo` 1.6.1 packages, in an environment of their own.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from live.tinymodel import write_model

ENVIRONMENT = Path(__file__).parents[2] / ".venv-dynamo"

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 10.0
_REQUEST_TIMEOUT = 30.0
_WORKER_PORT = re.compile(rb"system status server bound to: 127\.0\.0\.1:(\d+)")  # in its log: it takes any free port
_ATTEMPTS = 3  # a free port may be taken between asking for it and using it


class Usage(NamedTuple):
    """What the engine said that a request cost, in tokens."""

    prompt_tokens: int
    completion_tokens: int


class DynamoError(Exception):
    """The engine did not start or did not answer; the message ends with the end of its log."""


def is_installed() -> bool:
    """Whether `make setup-dynamo` has been run."""
    return (ENVIRONMENT / "bin" / "python").exists()


class Dynamo:
    """A running frontend and worker; a context manager.

    Args:
        directory: where everything they write goes: the model, their home, their logs.
        model: the name that requests and metrics carry.
        speedup: how many times faster than a real GPU the worker pretends to be.
        worker_options: further options of `python -m dynamo.mocker`, such as `("--num-gpu-blocks-override", "64")`.
    """

    def __init__(
        self, directory: Path, *, model: str = "tiny", speedup: float = 10.0, worker_options: tuple[str, ...] = ()
    ) -> None:
        self.model = model
        self._directory = directory
        self._speedup = speedup
        self._worker_options = worker_options
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = ""
        self.worker_url = ""

    def __enter__(self) -> Self:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._start(self._directory / f"attempt-{attempt}")
                return self
            except BaseException as error:
                self.stop()
                if attempt == _ATTEMPTS or not isinstance(error, DynamoError):
                    raise
        raise AssertionError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids: frontend, worker."""
        return tuple(process.pid for process in self._processes)

    def chat(self, content: str, *, max_tokens: int = 16, stream: bool = False) -> Usage:
        """Send one chat completion and wait for its end; the prompt has as many tokens as `content` has UTF-8 bytes."""
        return self._request(
            "/v1/chat/completions", {"messages": [{"role": "user", "content": content}]}, max_tokens, stream=stream
        )

    def complete(self, prompt: str, *, max_tokens: int = 16) -> Usage:
        """Send one text completion and wait for its end; the prompt has as many tokens as `prompt` has UTF-8 bytes.

        Never streamed: version 1.6.1 leaves a streamed text completion out of its token and latency metrics.
        """
        return self._request("/v1/completions", {"prompt": prompt}, max_tokens, stream=False)

    def frontend_metrics(self) -> str:
        """The frontend's metrics page."""
        return _get(self.url + "/metrics").decode()

    def worker_metrics(self) -> str:
        """The worker's metrics page."""
        return _get(self.worker_url + "/metrics").decode()

    def stop(self) -> None:
        """End both processes and whatever they started; safe to call twice."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _kill_group(process)
        self._processes.clear()

    def _start(self, directory: Path) -> None:
        home = directory / "home"
        scratch = directory / "tmp"
        for path in (home, scratch):
            path.mkdir(parents=True)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        # The planes that need no broker; what can be bound to loopback is (the worker's ZeroMQ publishers cannot).
        planes = ("--discovery-backend", "file", "--request-plane", "tcp", "--event-plane", "zmq")
        environment = {
            "PATH": os.defpath,
            "HOME": str(home),
            "TMPDIR": str(scratch),
            "HF_HUB_OFFLINE": "1",
            "DYN_FILE_KV": str(directory / "discovery"),
            "DYN_TCP_RPC_HOST": "127.0.0.1",
            "DYN_TCP_RESPONSE_STREAM_HOST": "127.0.0.1",
            "DYN_EVENT_PLANE_HOST": "127.0.0.1",
        }
        model = write_model(directory / "model")
        self._spawn(directory, environment, "frontend", "--http-host", "127.0.0.1", "--http-port", str(port), *planes)
        environment |= {"DYN_SYSTEM_HOST": "127.0.0.1", "DYN_SYSTEM_PORT": "0"}
        options = (
            "--model-path",
            str(model),
            "--model-name",
            self.model,
            "--speedup-ratio",
            str(self._speedup),
            *self._worker_options,
        )
        self._spawn(directory, environment, "mocker", *options, *planes)
        self._await_ready(directory)

    def _spawn(self, directory: Path, environment: dict[str, str], module: str, *options: str) -> None:
        command = (str(ENVIRONMENT / "bin" / "python"), "-m", f"dynamo.{module}", *options)
        with (directory / f"{module}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)

    def _await_ready(self, directory: Path) -> None:
        """Wait until the frontend lists the model, which it does once the worker has registered."""
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and all(process.poll() is None for process in self._processes):
            try:
                listed = json.loads(_get(self.url + "/v1/models"))["data"]
                bound = _WORKER_PORT.search((directory / "mocker.log").read_bytes())
                if bound and any(entry["id"] == self.model for entry in listed):
                    self.worker_url = f"http://127.0.0.1:{bound[1].decode()}"
                    return
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(0.05)
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(directory.glob("*.log")))
        raise DynamoError(f"Dynamo was not ready within {_START_TIMEOUT:.0f} s, or ended:\n{logs}")

    def _request(self, path: str, content: dict[str, object], max_tokens: int, *, stream: bool) -> Usage:
        body: dict[str, object] = {"model": self.model, "max_tokens": max_tokens, "ignore_eos": True, **content}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = _post(self.url + path, json.dumps(body).encode())
        usage = _last_event(answer)["usage"] if stream else json.loads(answer)["usage"]
        return Usage(usage["prompt_tokens"], usage["completion_tokens"])


def _last_event(answer: bytes) -> dict[str, dict[str, int]]:
    """The last server-sent event before `[DONE]`: the one that has the usage."""
    events = [line.removeprefix("data:").strip() for line in answer.decode().splitlines() if line.startswith("data:")]
    event: dict[str, dict[str, int]] = json.loads([data for data in events if data != "[DONE]"][-1])
    return event


def _get(url: str) -> bytes:
    with _DIRECT.open(url, timeout=_REQUEST_TIMEOUT) as response:
        page: bytes = response.read()
        return page


def _post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with _DIRECT.open(request, timeout=_REQUEST_TIMEOUT) as response:
            answer: bytes = response.read()
            return answer
    except urllib.error.HTTPError as error:
        with error:
            raise DynamoError(f"{url} answered {error.code}: {error.read()[:500].decode(errors='replace')}") from None


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever proxy the machine has


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process' own session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
