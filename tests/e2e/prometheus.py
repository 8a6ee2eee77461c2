# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus on the node, which finds the agents of a release by the API server."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from e2e.kube import wait
from e2e.node import Node
from integration.programs import find

_PORT = 9090  # of the node's loopback, where nobody else listens
_POD = "__meta_kubernetes_pod"


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    node: Node

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Evaluate an expression now; gives labels and value of each sample. Raises OSError while it does not answer."""
        told = self._ask(f"query?{urllib.parse.urlencode({'query': expression})}")
        return [(sample["metric"], float(sample["value"][1])) for sample in told["result"]]

    def targets(self) -> list[tuple[str, str]]:
        """Give health and last error of each target."""
        return [(target["health"], target["lastError"]) for target in self._ask("targets")["activeTargets"]]

    def _ask(self, path: str) -> Any:
        def ask() -> Any:
            with urllib.request.urlopen(f"http://127.0.0.1:{_PORT}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]

        return self.node.namespaces.call(ask)


@contextmanager
def scraping(node: Node, release: str) -> Iterator[Prometheus]:
    """Have one scrape a release's pods by their port `metrics`; `instance` is the node, as the chart's PodMonitor has it."""
    discovery = {"role": "pod", "kubeconfig_file": str(node.kubeconfig), "namespaces": {"names": [release]}}
    job = {
        "job_name": release,
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": [
            {"source_labels": [f"{_POD}_container_port_name"], "regex": "metrics", "action": "keep"},
            {"source_labels": [f"{_POD}_node_name"], "target_label": "instance"},
        ],
    }
    folder = node.scratch / f"prometheus-{release}"
    folder.mkdir()
    (folder / "prometheus.json").write_text(json.dumps({"scrape_configs": [job]}))
    program = node.run(
        "prometheus",
        (
            find("prometheus"),
            f"--config.file={folder / 'prometheus.json'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{_PORT}",
            "--scrape.discovery-reload-interval=100ms",
        ),
    )
    started = Prometheus(node)
    try:
        wait("Prometheus to answer", lambda: not program.has_ended and started.targets())
        yield started
    finally:
        program.end()
