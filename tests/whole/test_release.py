# SPDX-License-Identifier: Apache-2.0
"""An agent that is told to let go of the driver, as an operator tells it: by a signal, a file, or the node's annotation.

The real nvidia-ml-py on a C library, an engine's page, and an API server over HTTPS.
"""

import contextlib
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from commands import started
from fakenvml.build import build
from fakenvml.driver import Driver, wait_until
from fakenvml.fakenvml import Gpu, Instance, Node, Xid
from kubelet.api import ApiServer
from kubelet.certificates import issue
from whole.pages import Page, scrape, values
from whole.test_reload import line_with

KEY = "example.com/release-gpus"
TWO = Node((Gpu("GPU-0"), Gpu("GPU-1", minor=1)))
ENGINE_PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a-model"} 3.0
"""


class _Engine(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(ENGINE_PAGE)))
        self.end_headers()
        self.wfile.write(ENGINE_PAGE)


@dataclass(frozen=True)
class Running:
    """An agent, and what it runs on."""

    url: str
    process: "subprocess.Popen[str]"
    driver: Driver
    file: Path
    api: ApiServer

    def page_where(self, is_so: Callable[[Page], bool], seconds: float = 30.0) -> Page:
        """Scrape until something is so."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):  # 503 until the first snapshot
                if is_so(page := scrape(self.url)):
                    return page
            assert time.monotonic() < end, "it did not come to be in time"
            time.sleep(0.05)

    def holders(self) -> set[int]:
        """Give the processes that have the library open: of all that the agent started."""
        return {p.pid for p in psutil.Process(self.process.pid).children() if p.status() != psutil.STATUS_ZOMBIE}

    def openings(self) -> list[int]:
        """Give the processes that initialised the library, in their order."""
        return [pid for pid, call, _ in self.driver.calls() if call == "nvmlInitWithFlags"]


@contextmanager
def agent_on(
    folder: Path, *, pause: str = "5s", annotations: dict[str, str] | None = None, fault: int | None = None
) -> Iterator[Running]:
    """Start an agent on two GPUs and an engine, and where annotations are given on a node that it asks for them."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing: the C library cannot be built")
    driver = Driver(folder, build(folder))
    driver.is_now(TWO)
    file = folder / "release"
    certificates = issue(folder)
    (folder / "token").write_text("a-token")
    with ExitStack() as stack:
        api = stack.enter_context(ApiServer(certificates))
        engine = ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
        serving = threading.Thread(target=engine.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        stack.callback(engine.server_close)
        stack.callback(engine.shutdown)
        api.put_node("n1", annotations)
        api.node_fault = fault
        release = {"file": str(file), "annotation": KEY if annotations else "", "pause": pause}
        config = {
            "period": "500ms",
            "server": {"listen": "127.0.0.1:0"},
            "devices": {"nvidia": {"library": str(driver.library), "release": release}},
            "identity": {
                "podresources": {"enabled": False},
                "pods": {"server": api.url, "token_file": str(folder / "token"), "ca_file": str(certificates.ca)},
            },
            "engines": {"targets": [{"url": f"http://127.0.0.1:{engine.server_address[1]}/metrics"}]},
        }
        settings = folder / "inferometer.yaml"
        settings.write_text(yaml.safe_dump(config))
        variables = {"FAKENVML": str(driver.text), "FAKENVML_LOG": str(driver.log), "NODE_NAME": "n1"}
        process = stack.enter_context(
            started(("run", "--config", str(settings)), env=variables, stdout=subprocess.DEVNULL)
        )
        url = line_with(process, "listening on").split()[
            -1
        ]  # a port that was looked for before may be another's by now
        yield Running(url, process, driver, file, api)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def gpus(page: Page) -> set[str | None]:
    """Give the GPUs that are read."""
    return {key[0] for key in values(page, "hw_energy_joules_total", "hw_id")}


def is_read(page: Page) -> bool:
    return gpus(page) == {"GPU-0", "GPU-1"}


def running_requests(page: Page) -> dict[tuple[str | None, ...], float]:
    return values(page, "inference_requests_running")


def is_left_alone(page: Page) -> bool:
    """Tell whether nothing of a GPU is told, and the source says why."""
    reasons = values(page, "inferometer_source_errors_total", "inferometer_source_name", "inferometer_reason")
    up = values(page, "inferometer_source_up", "inferometer_source_name")
    return not gpus(page) and ("nvidia", "released") in reasons and up[("nvidia",)] == 0


def test_sigusr1_lets_go_and_all_else_goes_on(tmp_path: Path) -> None:
    """The sampler shuts NVML down, the engine is read on, and the GPUs come back by themselves with what changed meanwhile."""
    with agent_on(tmp_path) as running:
        running.page_where(is_read)
        (holder,) = running.holders()

        running.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: holder not in running.holders())
        assert (holder, "nvmlShutdown", "system") in running.driver.calls()

        page = running.page_where(lambda page: is_left_alone(page) and running_requests(page) == {(): 3.0})
        assert not {name for name, _ in page} & {"gpu_info", "gpu_devices", "hw_status", "hw_power_watts"}
        split = Gpu("GPU-0", mig=1, instances=(Instance("MIG-5"),), energy=200_000_000)
        running.driver.is_now(Node((split, Gpu("GPU-1", minor=1)), xids=(Xid(1, 31, 1),)))

        def is_new(page: Page) -> bool:
            instances = list(values(page, "gpu_mig_info", "hw_id", "hw_parent"))
            return is_read(page) and instances == [("MIG-5", "GPU-0")]

        page = running.page_where(is_new)
        assert values(page, "hw_energy_joules_total", "hw_id")[("GPU-0",)] == 200_000.0
        assert len(running.openings()) == 2


def test_counters_outlive_it(tmp_path: Path) -> None:
    """XIDs that were counted before the driver was let go stand where they stood, and count on."""

    def xids(page: Page) -> float | None:
        counted = values(page, "gpu_xid_errors_total", "hw_id", "gpu_xid_code")
        return counted.get(("GPU-1", "31"))

    with agent_on(tmp_path) as running:
        running.page_where(is_read)
        running.driver.is_now(replace(TWO, xids=(Xid(1, 31, 1), Xid(1, 31, 2))))
        running.page_where(lambda page: xids(page) == 2)

        running.process.send_signal(signal.SIGUSR1)
        running.page_where(is_left_alone)

        assert xids(running.page_where(is_read)) == 2
        running.driver.is_now(replace(TWO, xids=(Xid(1, 31, 1), Xid(1, 31, 2), Xid(1, 31, 3))))
        running.page_where(lambda page: xids(page) == 3)


def test_it_is_told_once_as_information(tmp_path: Path) -> None:
    """The log has one line when the driver is let go, one with the reason, and one when it is read again; no warning."""
    with agent_on(tmp_path, pause="1s") as running:
        running.page_where(is_read)
        running.process.send_signal(signal.SIGUSR1)
        running.process.send_signal(signal.SIGUSR1)
        line = line_with(running.process, "is left alone")
        again = line_with(running.process, "nvidia: reads again", "is left alone")

        assert "INFO" in line
        assert "SIGUSR1 was sent" in line
        assert "reads again" in again


def test_the_pause_outlives_a_new_configuration(tmp_path: Path) -> None:
    """SIGHUP within the pause does not take the driver again."""
    with agent_on(tmp_path, pause="10m") as running:
        running.page_where(is_read)
        running.process.send_signal(signal.SIGUSR1)
        running.page_where(is_left_alone)

        running.process.send_signal(signal.SIGHUP)
        line_with(running.process, "configuration read again")
        for _ in range(10):
            running.page_where(is_left_alone)

        assert len(running.openings()) == 1
        assert not running.holders()


def test_the_file_holds_as_long_as_it_is_there(tmp_path: Path) -> None:
    """Made, the driver is let go; removed, the GPUs are read again."""
    with agent_on(tmp_path) as running:
        running.page_where(is_read)

        running.file.touch()
        wait_until(lambda: not running.holders())
        running.page_where(is_left_alone)

        running.file.unlink()
        running.page_where(is_read)


def test_a_node_that_says_so_keeps_its_driver_to_itself(tmp_path: Path) -> None:
    """An agent that starts while the annotation is true never opens the driver; when it is false the GPUs are read."""
    with agent_on(tmp_path, annotations={KEY: "true"}) as running:

        def says_so(page: Page) -> bool:
            up = values(page, "inferometer_source_up", "inferometer_source_name")
            return is_left_alone(page) and up[("node",)] == 1

        for _ in range(6):
            running.page_where(says_so)
        assert running.openings() == []

        running.api.put_node("n1", {KEY: "false"})
        running.page_where(is_read)


def test_a_node_that_says_so_later_is_heard_without_a_question(tmp_path: Path) -> None:
    """The driver is let go of as the API server tells it, before it is asked again; and what the node takes back is heard too."""
    with agent_on(tmp_path, annotations={KEY: "false"}) as running:
        running.page_where(is_read)
        wait_until(lambda: bool(running.api.nodes_watched))
        asked = len(running.api.nodes_asked)

        running.api.put_node("n1", {KEY: "true"})
        wait_until(lambda: not running.holders())
        running.page_where(is_left_alone)
        running.api.put_node("n1", {KEY: "false"})
        running.page_where(is_read)

        assert len(running.api.nodes_asked) == asked == 1


def test_a_node_that_cannot_be_asked_changes_nothing(tmp_path: Path) -> None:
    """Without the right to read its node the agent says so and reads the GPUs."""
    with agent_on(tmp_path, annotations={KEY: "true"}, fault=403) as running:

        def says_so(page: Page) -> bool:
            reasons = values(page, "inferometer_source_errors_total", "inferometer_source_name", "inferometer_reason")
            return is_read(page) and ("node", "permission") in reasons

        running.page_where(says_so)


def test_no_effect_without_gpus(tmp_path: Path) -> None:
    """Where NVIDIA GPUs are not read, SIGUSR1 is logged and the agent goes on."""
    settings = tmp_path / "inferometer.yaml"
    settings.write_text(
        "period: 500ms\nserver: {listen: '127.0.0.1:0'}\ndevices: {nvidia: {enabled: false}}\n"
        "identity: {podresources: {enabled: false}}\n"
    )
    with started(("run", "--config", str(settings)), stdout=subprocess.DEVNULL) as process:
        line_with(process, "listening on")

        process.send_signal(signal.SIGUSR1)

        assert "SIGUSR1 has no effect" in line_with(process, "SIGUSR1")
        assert process.poll() is None
