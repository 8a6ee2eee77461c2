# SPDX-License-Identifier: Apache-2.0
"""The agent that a release of the chart runs on the node: its one pod, its page, and commands in its container."""

import itertools
import json
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

from e2e.drivers import root_of, text_of
from e2e.images import AGENT_IMAGE
from e2e.kube import wait
from e2e.node import Node
from integration.programs import find
from whole.pages import Page, get, read

CONFINED = Path(__file__).with_name("confined.py")
_EXECS = itertools.count(1)
_REPOSITORY, _, _TAG = AGENT_IMAGE.rpartition(":")
GPUS_FOLDER = (
    "/run/nvidia-gpus"  # what the tests' library stands for would be in the kernel: no container sees it as a folder
)


def values_on(node: Node, **more: Any) -> dict[str, Any]:
    """Give what every installation on this node needs: its image, a page that is soon told, and GPUs behind the library."""
    volume = {"name": "gpus", "hostPath": {"path": str(root_of(node)), "type": "Directory"}}
    return {
        "image": {"repository": _REPOSITORY, "tag": _TAG, "pullPolicy": "Never"},
        "config": {"period": "0.5s", **more.pop("config", {})},
        "extraEnv": [{"name": "FAKENVML", "value": f"{GPUS_FOLDER}/{text_of(node).name}"}],
        "extraVolumes": [volume],
        "extraVolumeMounts": [{"name": "gpus", "mountPath": GPUS_FOLDER, "readOnly": True}],
        **more,
    }


class Installed:
    """The DaemonSet of a release; its pod may be another one each time it is asked for."""

    def __init__(self, node: Node, release: str) -> None:
        self._node = node
        self._release = release

    @property
    def pod(self) -> Any:
        """The pod that is ready and not on its way out."""
        return wait("the agent's pod to be ready", self._ready)

    def page(self) -> Page:
        """Scrape it."""
        address = f"http://{self.pod['status']['podIP']}:9466"
        return read(self._node.namespaces.call(get, f"{address}/metrics"))

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in its container, to its end."""
        container = self.pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        ctr = (find("ctr"), "-a", self._node.containerd, "-n", "k8s.io", "tasks", "exec")
        return self._node.finish((*ctr, "--exec-id", f"test-{next(_EXECS)}", container, *command))

    def found(self, source: str) -> Any:
        """Give what `inferometer check`, in the container, finds of a source: `state`, `reason`, `remedy`."""
        answer = self.run("inferometer", "check", "--json", "--config", "/etc/inferometer/inferometer.yaml")
        found = [finding for finding in json.loads(answer.stdout)["findings"] if finding["source"] == source]
        assert found, f"check says nothing of {source}: {answer.stdout}"
        return found[0]

    def restart(self) -> None:
        """Delete its pod, and wait until there is another one that is ready."""
        metadata = self.pod["metadata"]
        self._node.api.delete("Pod", metadata["name"], self._release)
        wait("another pod", lambda: self.pod["metadata"]["uid"] != metadata["uid"])

    def inside(self) -> Any:
        """Look around in its container; gives what `confined.py` finds."""
        answer = self.run("python3", "-I", "-c", CONFINED.read_text())
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def log(self) -> str:
        """What it has said."""
        name = self.pod["metadata"]["name"]
        said: str = self._node.api.ask("GET", f"/api/v1/namespaces/{self._release}/pods/{name}/log")
        return said

    def _ready(self) -> Any:
        selector = urllib.parse.quote(f"app.kubernetes.io/instance={self._release},app.kubernetes.io/component=agent")
        path = f"/api/v1/namespaces/{self._release}/pods?labelSelector={selector}"
        for pod in self._node.api.ask("GET", path)["items"]:
            states = pod["status"].get("containerStatuses", [])
            if states and all(s["ready"] for s in states) and "deletionTimestamp" not in pod["metadata"]:
                return pod
        return None
