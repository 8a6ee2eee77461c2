# SPDX-License-Identifier: Apache-2.0
"""The engine, the library, the wards, and what the sampler asks in each of them."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fakenvml.build import build
from faults.scene import KINDS, Target, functions, values
from faults.ward import Ward

PAGE = b"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="m",engine="0"} 3
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="m",engine="0"} 2
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{model_name="m",engine="0"} 1234
"""

OpenWard = Callable[..., Ward]


class _Engine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def engine() -> Iterator[str]:
    """Serve an engine's page, the same all the time."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def open_ward(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[OpenWard]:
    """Open wards, with a directory and a driver of their own."""
    with engine() as url, pytest.MonkeyPatch.context() as patch:
        patch.delenv("FAKENVML", raising=False)

        def opened(deadline: float = 5.0, kill_after: float = 60.0) -> Ward:
            return Ward(tmp_path_factory.mktemp("ward"), library, url, deadline=deadline, kill_after=kill_after)

        yield opened


@pytest.fixture(scope="session")
def targets(tmp_path_factory: pytest.TempPathFactory, open_ward: OpenWard) -> tuple[Target, ...]:
    """Give everything that can fail, by the table and by the library's own log of who is asked what, and when."""
    log = tmp_path_factory.mktemp("log") / "calls.log"
    asked = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKENVML_LOG", str(log))
        ward = open_ward()
        try:
            for kind, moment in itertools.product(KINDS, ("always", "first")):
                ward.admit(kind)
                log.write_text("")
                ward.is_now(trace=True, another=kind if moment == "first" else "")
                if moment == "first":
                    ward.restart()
                    # The driver's own events are listened to a moment later, beside the reads.
                    ward.until(lambda page: not page.trouble and "nvmlSystemRegisterEvents" in log.read_text())
                for _ in range(3):
                    ward.step()
                asked[kind, moment] = {(call, of) for _, call, of in map(str.split, log.read_text().splitlines())}
        finally:
            ward.close()
    return (*functions(asked), *values())
