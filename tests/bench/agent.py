# SPDX-License-Identifier: Apache-2.0
"""The agent as a user starts it, on the dense node, and what all its processes together cost."""

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench import densenode, scraper
from bench.densenode import Places
from bench.measure import MissingPartError, cpu_seconds
from bench.memory import held

_PATIENCE = 30.0


@contextmanager
def surroundings(folder: Path, engines: int) -> Iterator[Places]:
    """Start everything that is around the agent, in one process."""
    folder.mkdir()
    command = [sys.executable, "-m", "bench.surroundings", str(folder), str(engines)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            raise MissingPartError("the dense node's surroundings did not start")
        try:
            yield Places(*json.loads(said))
        finally:
            process.kill()


class Cost(NamedTuple):
    """CPU seconds that processes have used, and when that was (monotonic)."""

    cpu: float
    at: float


def spent(processes: Iterable[psutil.Process]) -> Cost:
    """Give what processes have used until now."""
    return Cost(sum(cpu_seconds(process.pid) for process in processes), time.monotonic())


class Running:
    """A running agent: its address, its first page, and how long that took from the start of the process."""

    first = ""
    start = 0.0

    def __init__(self, process: psutil.Process, host: str, port: int, log: Path) -> None:
        self.host, self.port = host, port
        self._process = process
        self._log = log

    def said(self) -> str:
        """Give the end of its log."""
        return self._log.read_text()[-2000:]

    def processes(self) -> list[psutil.Process]:
        """Give the agent and everything that it has started."""
        return [self._process, *self._process.children(recursive=True)]

    def page(self) -> str:
        """Give its page."""
        with closing(socket.create_connection((self.host, self.port), timeout=_PATIENCE)) as connection:
            return gzip.decompress(scraper.ask(connection, self.host)).decode()

    def scrape_for(self, seconds: float, period: float) -> None:
        """Be the Prometheus of this node: one scrape a period."""
        until = time.monotonic() + seconds
        with socket.create_connection((self.host, self.port), timeout=_PATIENCE) as connection:
            while time.monotonic() < until:
                scraper.ask(connection, self.host)
                time.sleep(max(0.0, min(period, until - time.monotonic())))

    def cpu(self, seconds: float, period: float) -> float:
        """Give the share of one core that all processes together use, being scraped."""
        before = spent(self.processes())
        self.scrape_for(seconds, period)
        after = spent(self.processes())
        return (after.cpu - before.cpu) / (after.at - before.at)

    def memory(self, seconds: float, period: float) -> float:
        """Give the most that all processes together hold (MiB, see `memory.held`) in a while of being scraped."""
        most = 0.0
        for _ in range(5):
            self.scrape_for(seconds / 5, period)
            most = max(most, held(process.pid for process in self.processes()))
        return most

    def latencies(self, clients: int, gap: float, rounds: int) -> list[float]:
        """Give the seconds of all answers to clients of a process each that ask at the same moments."""
        begin = time.monotonic() + 1.0 + 0.1 * clients
        arguments = [self.host, str(self.port), repr(begin), repr(gap), str(rounds)]
        command = [sys.executable, "-m", "bench.scraper", *arguments]
        asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(clients)]
        return [took for client in asking for took in json.loads(client.communicate()[0])]

    @contextmanager
    def slow_clients(self, count: int) -> Iterator[None]:
        """Have clients that ask for the page and do not take it, until the block ends."""
        with ExitStack() as stack:
            for _ in range(count):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(_PATIENCE)
                client.connect((self.host, self.port))
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")
            time.sleep(1.0)
            yield


@contextmanager
def agent(places: Places, *, period: int, engines: int) -> Iterator[Running]:
    """Run the agent on the dense node until the block ends. It starts when everything around it is there."""
    configuration = densenode.configuration(places, period, engines)
    with running(configuration, Path(places.token).parent, places.driver) as started:
        if missing := densenode.missing(started.first, engines):
            raise MissingPartError(f"the first page is not complete: {', '.join(missing)}; {started.said()}")
        yield started


@contextmanager
def running(configuration: Mapping[str, Any], folder: Path, driver: str) -> Iterator[Running]:
    """Run the agent with a configuration until the block ends; the block begins when it has given its first page."""
    file, log = folder / "inferometer.yaml", folder / "agent.log"
    file.write_text(json.dumps(configuration))  # JSON is YAML
    # A user's agent finds its bytecode made; who sets this variable would measure the compiler.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "inferometer", "run", "--config", str(file)],
            env={**environ, "FAKENVML": driver},
            stderr=errors,
        )
    try:
        host, port = _address(process, log)
        _await_ready(f"http://{host}:{port}/readyz")
        started = Running(psutil.Process(process.pid), host, port, log)
        started.first = started.page()
        started.start = time.monotonic() - began
        yield started
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _address(process: subprocess.Popen[bytes], log: Path) -> tuple[str, int]:
    """Wait for the agent to say where it listens."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"listening on http://([0-9.]+):(\d+)", log.read_text()):
            return found[1], int(found[2])
        time.sleep(0.005)
    raise MissingPartError(f"the agent did not start: {log.read_text()[-2000:]}")


def _await_ready(url: str) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE):
                return
        except urllib.error.HTTPError:
            time.sleep(0.005)
    raise MissingPartError("the agent did not become ready")
