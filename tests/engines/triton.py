# SPDX-License-Identifier: Apache-2.0
"""A real Triton on the CPU, started by Python (nvidia-pytriton 0.7.0), its client, and what must hold between them."""

import http.client
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from live.ledger import Exchange, Ledger, Outcome
from live.processes import Running, await_ready, free_port, get, spawn
from whole.pages import Page, values

ENVIRONMENT = Path(__file__).parents[2] / ".venv-triton"
TAKES = 0.02  # seconds that the model takes for a request at least

_PROGRAM = Path(__file__).with_name("doubler.py")
_START_TIMEOUT = 120.0
_TIMEOUT = 60.0


class Triton(Running):
    """A running server with one model, `doubler`; a context manager."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._exchanges: list[Exchange] = []
        self._sockets = TemporaryDirectory(prefix="triton.", dir="/tmp")  # as in engines/vllm.py
        self._port = 0
        self.metrics_url = ""

    def double(self, number: float) -> Exchange:
        """Have a number doubled; the model fails on a negative one."""
        value = {"name": "number", "shape": [1, 1], "datatype": "FP32", "data": [number]}
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            connection.request("POST", "/v2/models/doubler/infer", json.dumps({"inputs": [value]}))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        outcome: Outcome = "finished" if response.status == http.HTTPStatus.OK else "refused"
        assert outcome == "refused" or answer["outputs"][0]["data"] == [2 * number]
        exchange = Exchange(outcome, 0, 0, 0, 1, None, time.monotonic() - began)
        self._exchanges.append(exchange)
        return exchange

    def ledger(self) -> Ledger:
        """Give the books of all that was asked."""
        return Ledger("Triton of nvidia-pytriton 0.7.0", (), tuple(self._exchanges))

    def page(self) -> bytes:
        """Its metrics page."""
        return get(self.metrics_url)

    def stop(self) -> None:
        """End it with all its processes; safe to call twice."""
        super().stop()
        self._sockets.cleanup()

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        ports = [free_port() for _ in range(3)]
        self._port = ports[0]
        self.metrics_url = f"http://127.0.0.1:{ports[2]}/metrics"
        command: tuple[str | Path, ...] = (ENVIRONMENT / "bin" / "python", _PROGRAM, *map(str, ports))
        environment = {"HOME": str(self._directory), "TMPDIR": self._sockets.name}
        self._processes.append(spawn(command, self._directory / "triton.log", environment))
        await_ready(self._is_ready, self._processes, self._directory, _START_TIMEOUT)

    def _is_ready(self) -> bool:
        get(f"http://127.0.0.1:{self._port}/v2/models/doubler/ready")
        return True


def is_installed() -> bool:
    """Whether `make setup-engines` has been run."""
    return (ENVIRONMENT / "bin" / "python").exists()


def triton_differences(page: Page, ledger: Ledger) -> list[str]:
    """Say where the exporter's numbers of a Triton at rest are not what its client's books allow.

    Outcomes are exact. Its time counts what succeeded: at least what the model takes, at most what the client waited.
    """
    good = [each.whole for each in ledger.finished]
    bad = sum(1 for each in ledger.exchanges if each.outcome == "refused")
    outcomes = values(page, "inference_requests_finished_total", "inference_finish_reason")
    found = []
    if outcomes != {("success",): len(good), ("error",): bad, ("abort",): 0}:
        found.append(f"finished: {outcomes}, and the client knows {len(good)} and {bad}")
    if values(page, "inference_requests_waiting") != {(): 0}:
        found.append("waiting: at rest there is nothing to wait for")
    spent = values(page, "inference_requests_time_seconds_total").get((), 0.0)
    if not TAKES * len(good) <= spent <= sum(good):
        found.append(f"time: {spent:g} s, and the client knows {TAKES * len(good):g} to {sum(good):g} s")
    phases = values(page, "inference_requests_phase_time_seconds_total", "inference_request_phase")
    if not TAKES * len(good) <= phases.get(("compute",), 0.0) <= sum(phases.values()) <= spent:
        found.append(f"phases: {phases}, and all is {spent:g} s")
    return found
