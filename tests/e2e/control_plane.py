# SPDX-License-Identifier: Apache-2.0
"""A real API server with its etcd and nothing else: no node, no root, two seconds. What is refused is refused as anywhere."""

import json
import os
import re
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from e2e.kube import wait
from e2e.settings import api_server, kubeconfig
from integration.programs import Program, find
from kubelet.certificates import issue

PROGRAMS = ("etcd", "kube-apiserver")
_TOKEN = "the-administrators-token"
_TIMEOUT = 30.0
# All groups in one answer, as Helm asks for them.
_EVERYTHING = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class ControlPlane:
    """The API server, as the administrator asks it."""

    def __init__(self, folder: Path, url: str, trust: ssl.SSLContext) -> None:
        self._folder = folder
        self._url = url
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )

    def ask(self, method: str, path: str, body: object = None, accept: str = "application/json") -> Any:
        """Ask once; gives the JSON of the answer. Raises urllib.error.HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json", "Accept": accept}
        request = urllib.request.Request(self._url + path, method=method, data=data, headers=headers)
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            return json.load(answer)

    def names(self, path: str) -> set[str]:
        """Give the names of what is in a list."""
        return {item["metadata"]["name"] for item in self.ask("GET", path)["items"]}

    def serves(self, path: str) -> bool:
        """Whether there is such a path by now."""
        try:
            self.ask("GET", path)
        except urllib.error.HTTPError as error:
            if error.code in (404, 503):
                return False
            raise
        return True

    def discovers(self, path: str) -> bool:
        """Whether the list of all kinds has it, which is made anew a moment after a kind is served."""
        _, _, group, version, resource = path.split("/")
        return any(
            (found["metadata"]["name"], each["version"], kind["resource"]) == (group, version, resource)
            for found in self.ask("GET", "/apis", accept=_EVERYTHING)["items"]
            for each in found["versions"]
            for kind in each.get("resources", ())
        )

    def helm(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run Helm to its end, as the administrator."""
        command = (find("helm"), *arguments, "--kubeconfig", self._folder / "kubeconfig")
        environment = {"PATH": os.defpath, "HOME": str(self._folder)}
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """Start both, wait until they serve, and end them with all that they wrote."""
    with ExitStack() as until:
        folder = Path(until.enter_context(tempfile.TemporaryDirectory(prefix="api-")))
        certificates = issue(folder)
        client, peer, secure = (_free_port() for _ in range(3))
        etcd, peers, url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}", f"https://127.0.0.1:{secure}"
        until.enter_context(
            Program(
                "etcd",
                folder / "etcd",
                (
                    f"--data-dir={folder / 'etcd' / 'data'}",
                    "--unsafe-no-fsync",
                    f"--listen-client-urls={etcd}",
                    f"--advertise-client-urls={etcd}",
                    f"--listen-peer-urls={peers}",
                    f"--initial-advertise-peer-urls={peers}",
                    f"--initial-cluster=default={peers}",
                ),
                (re.compile("ready to serve client requests"),),
            )
        )
        (folder / "tokens.csv").write_text(f'{_TOKEN},admin,admin,"system:masters"\n', encoding="utf-8")
        until.enter_context(
            Program(
                "kube-apiserver",
                folder / "api",
                (
                    *api_server(etcd, secure, certificates, folder / "tokens.csv"),
                    "--bind-address=127.0.0.1",
                    "--endpoint-reconciler-type=none",  # no endpoint may be in the loopback's range
                    "--authorization-mode=RBAC",
                ),
                (re.compile("Serving securely"),),
            )
        )
        settings = kubeconfig(url, certificates.ca, _TOKEN)
        (folder / "kubeconfig").write_text(json.dumps(settings), encoding="utf-8")
        trust = ssl.create_default_context(cafile=str(certificates.ca))
        started = ControlPlane(folder, url, trust)
        # Helm asks for every group that there is, and the server's own come one after another.
        wait("the API server", lambda: started.serves("/apis/apps/v1") and started.serves("/api/v1/namespaces/default"))
        yield started


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
