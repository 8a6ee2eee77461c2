# SPDX-License-Identifier: Apache-2.0
"""The exporter that the devices' side is compared with: nvitop-exporter, as its user starts it, in an environment of its own."""

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.measure import MissingPartError

PROGRAM = Path(__file__).parents[2] / ".venv-bench/bin/nvitop-exporter"
NAME = "nvitop-exporter"
_PATIENCE = 30.0


class Nvitop:
    """A running nvitop-exporter."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}/metrics"

    def processes(self) -> list[psutil.Process]:
        """Give its processes: it has one."""
        return [self._process]

    def page(self) -> str:
        """Give its page."""
        with urllib.request.urlopen(self._url, timeout=_PATIENCE) as answer:
            body: bytes = answer.read()
        return body.decode()

    def scrape_for(self, seconds: float, period: float) -> None:
        """Be its Prometheus: one scrape a period. It closes the connection after each."""
        until = time.monotonic() + seconds
        compressed = urllib.request.Request(self._url, headers={"Accept-Encoding": "gzip"})
        while time.monotonic() < until:
            with urllib.request.urlopen(compressed, timeout=_PATIENCE) as answer:
                answer.read()
            time.sleep(max(0.0, min(period, until - time.monotonic())))


@contextmanager
def nvitop(library: Path, driver: Path, period: int) -> Iterator[Nvitop]:
    """Run it until the block ends, reading each period; the block begins when it answers. Raises MissingPartError."""
    if not PROGRAM.exists():
        raise MissingPartError(f"{NAME} is missing: run `make setup-bench`")
    found = {"LD_LIBRARY_PATH": str(library.parent), "FAKENVML": str(driver)}
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [str(PROGRAM), "--hostname", "node", "--port", "0", "--interval", str(period)]
    with subprocess.Popen(command, env={**environ, **found}, stderr=subprocess.DEVNULL) as started:
        try:
            process = psutil.Process(started.pid)
            running = Nvitop(process, _port(process))
            running.page()
            yield running
        finally:
            started.kill()


def _port(process: psutil.Process) -> int:
    """Wait until it listens. It is told to take any port, and does not tell which."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    return int(connection.laddr.port)
        time.sleep(0.05)
    raise MissingPartError(f"{NAME} did not start")
