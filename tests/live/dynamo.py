# SPDX-License-Identifier: Apache-2.0
"""A live third-party engine without a GPU: NVIDIA Dynamo's frontend with its mocker workers, on loopback.

The frontend is the OpenAI API server that users run; a mocker schedules, batches and caches as a worker would and
exports `dynamo_component_*` and `vllm:*`. Both come from the `ai-dynamo` 1.6.1 packages, in an environment of their own.
"""

import json
import re
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from live.processes import EngineError, Process, await_ready, end, free_port, get, post, spawn
from live.tinymodel import write_model

ENVIRONMENT = Path(__file__).parents[2] / ".venv-dynamo"

_START_TIMEOUT = 60.0
_WORKER_PORT = re.compile(rb"system status server bound to: 127\.0\.0\.1:(\d+)")  # in its log: it takes any free port
_ATTEMPTS = 3  # a free port may be taken between asking for it and using it
# The planes that need no broker; what can be bound to loopback is (the worker's ZeroMQ publishers cannot).
_PLANES = ("--discovery-backend", "file", "--request-plane", "tcp", "--event-plane", "zmq")


class Usage(NamedTuple):
    """What the engine said that a request cost, in tokens."""

    prompt_tokens: int
    completion_tokens: int


def is_installed() -> bool:
    """Whether `make setup-dynamo` has been run."""
    return (ENVIRONMENT / "bin" / "python").exists()


class Dynamo:
    """A running frontend and its workers; a context manager.

    Args:
        directory: where everything they write goes: the model, their home, their logs.
        model: the name that requests and metrics carry.
        speedup: how many times faster than a real GPU a worker pretends to be.
        workers: how many workers serve the model, each a process with a page of its own.
        worker_options: further options of `python -m dynamo.mocker`, such as `("--num-gpu-blocks-override", "64")`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        model: str = "tiny",
        speedup: float = 10.0,
        workers: int = 1,
        worker_options: tuple[str, ...] = (),
    ) -> None:
        self.model = model
        self._directory = directory
        self._speedup = speedup
        self._workers = workers
        self._worker_options = worker_options
        self._processes: list[Process] = []
        self.url = ""
        self.worker_urls: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._start(self._directory / f"attempt-{attempt}")
                return self
            except BaseException as error:
                self.stop()
                if attempt == _ATTEMPTS or not isinstance(error, EngineError):
                    raise
        raise AssertionError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids: frontend, workers."""
        return tuple(process.pid for process in self._processes)

    @property
    def worker_url(self) -> str:
        """Where the first worker's page is."""
        return self.worker_urls[0]

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
        return get(self.url + "/metrics").decode()

    def worker_metrics(self) -> str:
        """The first worker's metrics page."""
        return get(self.worker_url + "/metrics").decode()

    def stop(self) -> None:
        """End all processes and whatever they started; safe to call twice."""
        end(self._processes)
        self._processes.clear()

    def _start(self, directory: Path) -> None:
        home = directory / "home"
        scratch = directory / "tmp"
        for path in (home, scratch):
            path.mkdir(parents=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "HOME": str(home),
            "TMPDIR": str(scratch),
            "HF_HUB_OFFLINE": "1",
            "DYN_FILE_KV": str(directory / "discovery"),
            "DYN_TCP_RPC_HOST": "127.0.0.1",
            "DYN_TCP_RESPONSE_STREAM_HOST": "127.0.0.1",
            "DYN_EVENT_PLANE_HOST": "127.0.0.1",
        }
        model = write_model(directory / "model")
        python = ENVIRONMENT / "bin" / "python"
        frontend: tuple[str | Path, ...] = (
            python,
            "-m",
            "dynamo.frontend",
            "--http-host",
            "127.0.0.1",
            "--http-port",
            str(port),
            *_PLANES,
        )
        self._processes.append(spawn(frontend, directory / "frontend.log", environment))
        environment |= {"DYN_SYSTEM_HOST": "127.0.0.1", "DYN_SYSTEM_PORT": "0"}
        options = ("--model-path", str(model), "--model-name", self.model, "--speedup-ratio", str(self._speedup))
        mocker: tuple[str | Path, ...] = (python, "-m", "dynamo.mocker", *options, *self._worker_options, *_PLANES)
        logs = [directory / f"mocker-{number}.log" for number in range(self._workers)]
        self._processes += [spawn(mocker, log, environment) for log in logs]
        await_ready(lambda: self._is_ready(logs), self._processes, directory, _START_TIMEOUT)

    def _is_ready(self, logs: list[Path]) -> bool:
        """Whether the frontend lists the model and knows every worker of it, and each worker has a page."""
        bound = [_WORKER_PORT.search(log.read_bytes()) for log in logs]
        listed = json.loads(get(self.url + "/v1/models"))["data"]
        serving = [
            each for each in json.loads(get(self.url + "/health"))["instances"] if each["endpoint"] == "generate"
        ]
        self.worker_urls = tuple(f"http://127.0.0.1:{found[1].decode()}" for found in bound if found)
        return len(serving) == len(self.worker_urls) == self._workers and self.model in {e["id"] for e in listed}

    def _request(self, path: str, content: dict[str, object], max_tokens: int, *, stream: bool) -> Usage:
        body: dict[str, object] = {"model": self.model, "max_tokens": max_tokens, "ignore_eos": True, **content}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = post(self.url + path, json.dumps(body).encode())
        usage = _last_event(answer)["usage"] if stream else json.loads(answer)["usage"]
        return Usage(usage["prompt_tokens"], usage["completion_tokens"])


def _last_event(answer: bytes) -> dict[str, dict[str, int]]:
    """The last server-sent event before `[DONE]`: the one that has the usage."""
    events = [line.removeprefix("data:").strip() for line in answer.decode().splitlines() if line.startswith("data:")]
    event: dict[str, dict[str, int]] = json.loads([data for data in events if data != "[DONE]"][-1])
    return event
