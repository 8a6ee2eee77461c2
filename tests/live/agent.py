# SPDX-License-Identifier: Apache-2.0
"""The agent as a user starts it, with nothing to do but scrape engines that are named in its configuration."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from live.ledger import Ledger
from live.told import ENGINE, PLAIN, Bounds, Names, Told, differences
from whole.pages import Page, scrape, values

_LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")
_STOP_TIMEOUT = 30.0
_PATIENCE = 60.0  # until it has a page
_REST = 120.0  # until the numbers are the client's: an engine may go on for long with what nobody waits for


class Agent:
    """A running agent. `url` is where it listens."""

    def __init__(self, url: str) -> None:
        self.url = url

    def page(self) -> Page:
        """Scrape it, until every engine has answered not too long ago: a machine that stalls makes a page with less on it."""
        end = time.monotonic() + _PATIENCE
        while True:
            page = scrape(self.url)
            up = values(page, "inferometer_source_up", "inferometer_source_name", "inferometer_source_instance")
            if all(value for (name, _), value in up.items() if name == "engine") or time.monotonic() >= end:
                return page
            time.sleep(0.05)

    def told(self, names: Names = ENGINE, **labels: str) -> Told:
        """Scrape it, and read what it says of an engine."""
        return Told.read(self.page(), names, **labels)

    def settled(self, ledger: Ledger, bounds: Bounds = PLAIN, names: Names = ENGINE, **labels: str) -> list[str]:
        """Wait until what it says of an engine agrees with the books of its client; give what does not in the end."""
        return self.agreed(lambda page: differences(Told.read(page, names, **labels), ledger, bounds))

    def agreed(self, differ: Callable[[Page], list[str]]) -> list[str]:
        """Wait until a page of its differs in nothing; give in what it does in the end."""
        end = time.monotonic() + _REST
        while (said := differ(self.page())) and time.monotonic() < end:
            time.sleep(0.1)
        return said


@contextmanager
def agent_of(directory: Path, targets: Iterable[tuple[str, str]]) -> Iterator[Agent]:
    """Run the agent with these engines: the URL of each one's page, and the name of the pod that it is."""
    directory.mkdir(parents=True, exist_ok=True)
    off = {"enabled": False}
    config = {
        "period": "500ms",
        "devices": {"nvidia": off, "kernel_log": off},
        "identity": {"podresources": off, "pods": {"source": "off"}, "processes": off},
        "engines": {"targets": [{"url": url, "namespace": "default", "pod": pod} for url, pod in targets]},
    }
    file = directory / "inferometer.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")  # which is YAML
    log = directory / "agent.log"
    command = [sys.executable, "-m", "inferometer", "run", "--config", str(file), "--listen", "127.0.0.1:0"]
    environment = {"PATH": os.defpath, "HOME": str(directory), "NODE_NAME": "n1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield Agent(_await_page(process, log))
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_page(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the agent has a page, and give where."""
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        found = _LISTENING.search(log.read_text(encoding="utf-8"))
        if found:
            try:
                scrape(found[1])
                return found[1]
            except OSError:  # 503 until the first snapshot
                pass
        time.sleep(0.05)
    raise AssertionError(f"the agent has no page:\n{log.read_text(encoding='utf-8')[-2000:]}")
