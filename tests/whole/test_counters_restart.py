# SPDX-License-Identifier: Apache-2.0
"""`inferometer run` that is ended and started again, as a scraper sees it: its counters go on, and say since when."""

import signal
import socket
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from commands import PATIENCE, PROGRAM, environment
from fakenvml.build import build
from fakenvml.driver import Driver
from fakenvml.fakenvml import Gpu, Node, Xid
from inferometer.simulation.node import SimulatedNode
from whole.agents import await_that
from whole.pages import Page, scrape, values

CONFIG = """
period: 500ms
server: {{listen: "127.0.0.1:{port}", created_timestamps: true}}
devices: {{nvidia: {{library: "{library}"}}, kernel_log: {{enabled: false}}}}
identity:
  podresources: {{socket: "{there.kubelet_socket}"}}
  pods: {{source: api, server: "{there.api_server}", token_file: "", ca_file: ""}}
  slices: {{enabled: false}}
  processes: {{enabled: false}}
engines: {{enabled: false}}
accounting: {{state: "{state}"}}
"""


class Stage:
    """A kubelet that gave a pod one GPU, the driver of that GPU, and the program that runs on both, one at a time."""

    def __init__(self, directory: Path, node: SimulatedNode) -> None:
        there = node.start()
        ledger = node.ledger()
        alone = {
            device.uuid
            for device in ledger.devices
            if len([h for h in ledger.holdings if h.device == device.uuid]) == 1
        }
        self.gpu = Gpu(next(h.device for h in ledger.holdings if h.device in alone and h.device.startswith("GPU-")))
        self.driver = Driver(directory, build(directory))
        self.state = directory / "kept" / "counters"
        self.state.parent.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self._config = directory / "inferometer.yaml"
        self._config.write_text(
            CONFIG.format(port=self.port, library=self.driver.library, there=there, state=self.state)
        )
        self._env = environment({"FAKENVML": str(self.driver.text), "NODE_NAME": there.node_name})

    def is_now(self, *xids: Xid) -> None:
        """Have the driver tell of these XIDs."""
        self.driver.is_now(Node((self.gpu,), xids=xids))

    def page(self) -> Page:
        """Scrape; nothing while nobody listens yet."""
        try:
            return scrape(f"http://127.0.0.1:{self.port}")
        except OSError:
            return {}

    @contextmanager
    def running(self, end: int = signal.SIGTERM) -> Iterator[None]:
        """Run the program, and end it by this signal."""
        with subprocess.Popen(
            [*PROGRAM, "run", "--config", str(self._config)], env=self._env, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield
                process.send_signal(end)
                _, said = process.communicate(timeout=PATIENCE)
                assert "Traceback" not in said
                assert process.returncode == (0 if end == signal.SIGTERM else -end), said
            finally:
                process.kill()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    node = SimulatedNode(seed=7)
    try:
        yield Stage(tmp_path, node)
    finally:
        node.stop()


def owned(page: Page, name: str = "gpu_owner_time_seconds_total") -> dict[str, float]:
    """Give a value of each owner, by its pod's UID."""
    found = values(page, name, "k8s_pod_uid")
    return {uid: value for (uid,), value in found.items() if uid}


def page_with(stage: Stage, owners: Collection[str]) -> Page:
    """Scrape until all of some owners are there."""
    pages: list[Page] = []

    def are_there() -> bool:
        pages[:] = [stage.page()]
        return owned(pages[0]).keys() >= set(owners)

    await_that(are_there, "owners")
    return pages[0]


def hits(page: Page) -> float:
    """Count the owners' XIDs."""
    return sum(values(page, "gpu_owner_xid_errors_total", "k8s_pod_uid", "gpu_xid_severity").values())


def tell_xid(stage: Stage, count: float) -> None:
    """Have an XID heard, as the `count`-th, with its owner; again where nobody heard it.

    A sampler that was killed when the machine stalled has heard nothing of what came until the next one listened.
    """
    for number in range(1, 6):
        stage.is_now(Xid(0, 79, number))
        with suppress(AssertionError):
            await_that(lambda: xids(stage.page()) == count, "an XID", seconds=10.0)
            break
    await_that(lambda: xids(stage.page()) == count and hits(stage.page()) == count, "an XID and its owner")


def xids(page: Page, name: str = "gpu_xid_errors_total", code: str = "79") -> float | None:
    return values(page, name, "gpu_xid_code").get((code,))


def test_counters_go_on_where_the_agent_before_left_them(stage: Stage) -> None:
    """Owners' time and XIDs, with the starts that they had; the file is there only while no agent is."""
    stage.is_now()
    with stage.running():
        await_that(lambda: any(seconds > 1.0 for seconds in owned(stage.page()).values()), "an owner's time")
        tell_xid(stage, 1.0)
        before = stage.page()
    assert stage.state.exists()
    stage.is_now()
    with stage.running():
        after = page_with(stage, owned(before))
        assert not stage.state.exists()
        tell_xid(stage, 2.0)

    for uid, seconds in owned(before).items():
        assert owned(after)[uid] >= seconds
    assert owned(after, "gpu_owner_time_seconds_created") == owned(before, "gpu_owner_time_seconds_created")
    assert xids(after) == 1.0
    assert hits(after) == 1.0
    created = "gpu_xid_errors_created"
    assert xids(after, created) == xids(before, created) is not None


def test_after_a_crash_counters_begin_again(stage: Stage) -> None:
    """At 0 and with a new start: from an older value that was told before they would seem to count all of it anew."""
    stage.is_now()
    with stage.running():
        await_that(lambda: owned(stage.page()), "owners")
    with stage.running(signal.SIGKILL):
        await_that(lambda: any(seconds > 2.0 for seconds in owned(stage.page()).values()), "an owner's time")
        before = stage.page()
    assert not stage.state.exists()
    with stage.running():
        after = page_with(stage, owned(before))

    created = "gpu_owner_time_seconds_created"
    assert all(owned(after, created)[uid] > at for uid, at in owned(before, created).items())
