# SPDX-License-Identifier: Apache-2.0
"""The OpenTelemetry Collector as it is set up today for a node's engines: it scrapes their pages and pushes them by OTLP."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.densenode import Places
from bench.measure import MissingPartError

NAME = "OpenTelemetry Collector, of the engines' pages only"
_BUILD = Path(__file__).parents[2] / "tools" / "build.sh"
_PATIENCE = 30.0


class Collector:
    """A running Collector."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def processes(self) -> list[psutil.Process]:
        """Give its processes: it has one."""
        return [self._process]


def find() -> str:
    """Give where it is. Raises MissingPartError where it is not built."""
    found = subprocess.run((_BUILD, "--path", "otelcol"), capture_output=True, text=True, check=False)
    if found.returncode:
        raise MissingPartError(f"otelcol: {found.stderr.strip()}")
    return found.stdout.strip()


@contextmanager
def collector(places: Places, *, period: int, engines: int) -> Iterator[Collector]:
    """Run it until the block ends, scraping every page and pushing each period. Raises MissingPartError."""
    program = find()
    folder = Path(places.token).parent
    file, log = folder / f"otelcol-{period}.json", folder / f"otelcol-{period}.log"
    file.write_text(json.dumps(_configuration(places, period, engines)))  # JSON is YAML
    with log.open("wb") as said, subprocess.Popen([program, f"--config={file}"], stderr=said) as started:
        try:
            _await_ready(started, log)
            yield Collector(psutil.Process(started.pid))
        finally:
            started.kill()


def _configuration(places: Places, period: int, engines: int) -> dict[str, object]:
    """Give what its documentation advises for a node: one job for each page, all points of a period in one request."""
    jobs = [
        {
            "job_name": f"engine-{i}",
            "scrape_interval": f"{period}s",
            "metrics_path": f"/engines/{i}/metrics",
            "static_configs": [{"targets": [f"127.0.0.1:{places.port}"]}],
        }
        for i in range(engines)
    ]
    return {
        "receivers": {"prometheus": {"config": {"scrape_configs": jobs}}},
        "processors": {"batch": {"timeout": f"{period}s", "send_batch_size": 100_000}},
        "exporters": {"otlp_http": {"endpoint": f"http://127.0.0.1:{places.port}"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "metrics": {"receivers": ["prometheus"], "processors": ["batch"], "exporters": ["otlp_http"]}
            },
        },
    }


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if "Everything is ready" in log.read_text():
            return
        time.sleep(0.05)
    raise MissingPartError(f"the Collector did not start: {log.read_text()[-2000:]}")
