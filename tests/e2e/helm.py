# SPDX-License-Identifier: Apache-2.0
"""Releases of the chart on the node: installed, changed and removed by Helm, as the administrator."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charts import CHART, Manifest, parse
from e2e.node import Node
from integration.programs import find

Values = Mapping[str, Any]

_PATIENCE = "180s"  # only what will never be takes so long


class HelmError(Exception):
    """Helm refused; the message is its own."""


@dataclass(frozen=True)
class Release:
    """A release by its name, in a namespace of its own name that is there."""

    node: Node
    name: str

    def install(self, values: Values, *options: str, chart: Path = CHART) -> str:
        """Install it and wait until its pods are ready; gives the notes. Raises HelmError."""
        return self._run("install", chart, *self._values(values), "--wait", f"--timeout={_PATIENCE}", *options)

    def upgrade(self, values: Values, *options: str, chart: Path = CHART) -> str:
        """Put other values or another chart in their place, and wait. Raises HelmError."""
        return self._run("upgrade", chart, *self._values(values), "--wait", f"--timeout={_PATIENCE}", *options)

    def roll_back(self, revision: int) -> None:
        """Go back to a revision, and wait. Raises HelmError."""
        self._run("rollback", str(revision), "--wait", f"--timeout={_PATIENCE}")

    def test(self) -> str:
        """Run the chart's own tests; gives what they said. Raises HelmError."""
        return self._run("test", "--logs", f"--timeout={_PATIENCE}")

    def uninstall(self) -> None:
        """Remove it, and wait until it is gone. Raises HelmError."""
        self._run("uninstall", "--wait", "--ignore-not-found", f"--timeout={_PATIENCE}")

    def render(self, values: Values, server: str) -> tuple[Manifest, ...]:
        """Render what an installation would make, in a cluster by another of its API servers. Raises HelmError."""
        options = (f"--kube-apiserver={server}", "--dry-run=server", "--hide-notes", "--output=json")
        told = json.loads(self._run("install", CHART, *self._values(values), *options))
        return parse(told["manifest"])

    def history(self) -> list[tuple[int, str, str]]:
        """Give revision, chart and status of each revision, the oldest first."""
        told = json.loads(self._run("history", "--output=json"))
        return [(line["revision"], line["chart"], line["status"]) for line in told]

    def _values(self, values: Values) -> tuple[str, str]:
        file = self.node.scratch / f"values-{self.name}.json"
        file.write_text(json.dumps(values))
        return ("--values", str(file))

    def _run(self, verb: str, *arguments: str | Path) -> str:
        kubeconfig = f"--kubeconfig={self.node.kubeconfig}"
        answer = self.node.finish((find("helm"), verb, self.name, *arguments, f"--namespace={self.name}", kubeconfig))
        if answer.returncode != 0:
            raise HelmError(answer.stderr.strip())
        return answer.stdout
