# SPDX-License-Identifier: Apache-2.0
"""The agent on the node, as its DaemonSet runs it: the host's processes and network, the chart's service account."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import yaml

from charts import CHART, Manifest, parse
from e2e.kube import wait
from e2e.namespaces import Inside, Namespaces
from e2e.node import NAME, Node
from integration.programs import find
from whole.pages import Page, scrape

NAMESPACE = "inferometer"
PERIOD = 0.5  # seconds
_RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")


@dataclass(frozen=True)
class Agent:
    """An agent that runs, and the way to its endpoint."""

    url: str
    namespaces: Namespaces
    process: Inside

    def page(self) -> Page:
        """Scrape it."""
        assert not self.process.has_ended, "the agent has ended"
        return self.namespaces.call(scrape, self.url)


def grant(node: Node) -> str:
    """Give the agent the rights that the chart gives it, and no others; returns the name of its service account."""
    node.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    account = ""
    for manifest in chart():
        if manifest["kind"] in _RIGHTS:
            node.api.create(manifest)
            account = manifest["metadata"]["name"] if manifest["kind"] == "ServiceAccount" else account
    return account


def chart() -> tuple[Manifest, ...]:
    """Render the chart with its defaults."""
    command = (find("helm"), "template", "inferometer", CHART, "--namespace", NAMESPACE)
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return parse(answer.stdout)


@contextmanager
def running(
    node: Node,
    account: str,
    gpus: Mapping[str, str],
    name: str = "agent",
    server: str = "",
    auth: Mapping[str, object] = MappingProxyType({}),
) -> Iterator[Agent]:
    """Run the agent on the node until it is no longer needed.

    `server` is a way to the API server other than the direct one, `auth` what the endpoint asks for.
    """
    folder = node.scratch / name
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(node.api.token(account, NAMESPACE))
    config = {
        "period": f"{PERIOD}s",
        "node": {"name": NAME},
        "server": {"listen": "127.0.0.1:0", "auth": dict(auth)},
        "identity": {
            "pods": {
                "server": server or node.api_url,
                "token_file": str(folder / "token"),
                "ca_file": str(node.ca_file),
            }
        },
    }
    (folder / "inferometer.yaml").write_text(yaml.safe_dump(config))
    log = node.namespaces.log_file(name)
    began = log.stat().st_size if log.exists() else 0
    command = (sys.executable, "-m", "inferometer", "run", "--config", folder / "inferometer.yaml")
    python = {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}
    process = node.run(name, command, {**gpus, **python})

    def listening() -> str | None:
        said = log.read_text()[began:]
        assert not process.has_ended, f"the agent has ended:\n{said}"
        found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", said)
        return found[1] if found else None

    try:
        yield Agent(wait("the agent to listen", listening), node.namespaces, process)
    finally:
        process.end()
