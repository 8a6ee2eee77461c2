# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes of one node: etcd, API server, controllers, scheduler, containerd, runc and kubelet.

No registry, no Docker, no systemd: the programs of tools/ in namespaces of their own, under a control group of their own.
"""

import json
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e import settings
from e2e.groups import Groups
from e2e.images import IMAGE, compile_pause, write
from e2e.kube import Api, wait
from e2e.namespaces import Inside, Namespaces
from integration.programs import find
from kubelet.certificates import Certificates, issue

NAMES = Path(__file__).with_name("names.py")
NAME = "n1"
GPU_LABEL = "nvidia.com/gpu.present=true"  # as GPU feature discovery has it
ADDRESS = "10.77.0.1"  # of the node, in its own network namespace
SERVICE = "10.96.0.1"  # the API server's, as pods see it; and that of the DNS
API_PORT = 443  # the Service's too, since nothing translates the one into the other
_ETCD = "http://127.0.0.1:12379"
_PODS = "10.88.0.0/24"
_TOKENS = {
    "admin": ("the-administrators-token", "admin", "system:masters"),
    "kubelet": ("the-kubelets-token", f"system:node:{NAME}", "system:nodes"),
}
PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    "bridge",
    "host-local",
    "loopback",
)


class Node:
    """The node, from `with` to its end: everything that it started ends with it, what it wrote is gone."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="node-")
        self.scratch = Path(self._folder.name)
        self._programs: dict[str, Inside] = {}
        self._groups = Groups()
        self.settings_before = {name: Path("/proc/sys", name).read_text().strip() for name in ("kernel/panic",)}
        pause = compile_pause(self.scratch)
        write(self.scratch / "pause.tar", IMAGE, pause)
        self._certificates: Certificates = issue(self.scratch, also=(ADDRESS, SERVICE))
        self.namespaces = Namespaces(self.scratch, ADDRESS, SERVICE, pause)
        self._trust = ssl.create_default_context(cafile=str(self._certificates.ca))
        self.api = Api(self.namespaces, API_PORT, self._trust, _TOKENS["admin"][0])

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as error:
            for name, tail in self.log_tails().items():
                error.add_note(f"--- {name}\n{tail}")
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def api_url(self) -> str:
        """The API server, as the node sees it."""
        return f"https://127.0.0.1:{API_PORT}"

    @property
    def ca_file(self) -> Path:
        """What to trust the API server by."""
        return self._certificates.ca

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.scratch / "admin.kubeconfig"

    @property
    def containerd(self) -> Path:
        """The socket of containerd."""
        return self.scratch / "containerd.sock"

    @property
    def kubelet_folder(self) -> Path:
        """The node's /var/lib/kubelet, as it is seen from outside."""
        return self.scratch / "kubelet"

    @property
    def audit_log(self) -> Path:
        """Where the API server writes what the agents asked it, one event a line."""
        return self.scratch / "audit.jsonl"

    @property
    def driver_folder(self) -> Path:
        """The node's /proc/driver, where the drivers of a kernel tell about themselves."""
        return self.scratch / "driver"

    def run(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Inside:
        """Start a program on the node; it ends with the node at the latest."""
        inside = self.namespaces.run(
            name, command, {"PATH": self._path, "HOME": str(self.scratch), **(environment or {})}
        )
        self._programs[name] = inside
        return inside

    def finish(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program on the node to its end."""
        return self.namespaces.finish(command, {"PATH": self._path, "HOME": str(self.scratch), **(environment or {})})

    def import_image(self, archive: Path) -> None:
        """Have containerd know an image; pods name it and never pull."""
        answer = self.finish((find("ctr"), "-a", self.containerd, "-n", "k8s.io", "images", "import", archive))
        assert answer.returncode == 0, answer.stderr

    def kill_kubelet(self) -> None:
        """End the kubelet without a last word."""
        self._programs.pop("kubelet").end(signal.SIGKILL)

    def start_kubelet(self) -> None:
        """Start the kubelet; it is not waited for."""
        self.run(
            "kubelet",
            (
                find("kubelet"),
                f"--config={self.scratch / 'kubelet.json'}",
                f"--kubeconfig={self.scratch / 'kubelet.kubeconfig'}",
                f"--hostname-override={NAME}",
                f"--node-ip={ADDRESS}",
                f"--node-labels={GPU_LABEL}",
            ),
        )

    @contextmanager
    def serving(self, port: int, runtime_config: str) -> Iterator[Api]:
        """Have a second API server of the same objects, which serves other versions of them."""
        # Not the Node authorizer: it waits for the claims' API.
        own = ("--authorization-mode=RBAC", "--endpoint-reconciler-type=none", f"--runtime-config={runtime_config}")
        server = self._run_api_server(f"kube-apiserver-{port}", port, *own)
        api = Api(self.namespaces, port, self._trust, _TOKENS["admin"][0])
        try:
            wait("the second API server", lambda: api.ask("GET", "/readyz") == "ok")
            yield api
        finally:
            server.end()

    def is_ready(self) -> bool:
        """Whether the API server says so of the node."""
        conditions = self.api.get("Node", NAME)["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def log_tails(self, most: int = 3000) -> dict[str, str]:
        """Give the end of what each program said."""
        return {
            file.stem: file.read_text(encoding="utf-8", errors="replace")[-most:]
            for file in sorted(self.scratch.glob("*.log"))
        }

    @property
    def _path(self) -> str:
        return ":".join(dict.fromkeys([*(str(find(p).parent) for p in PROGRAMS), "/usr/sbin:/usr/bin:/sbin:/bin"]))

    def _start(self) -> None:
        self._write_files()
        self._groups.make()
        self.namespaces.start()
        self._start_etcd()
        self.run("containerd", (find("containerd"), "-c", self.scratch / "containerd.toml"))
        self._run_api_server(
            "kube-apiserver",
            API_PORT,
            "--authorization-mode=Node,RBAC",
            f"--audit-policy-file={self.scratch / 'audit.json'}",
            f"--audit-log-path={self.audit_log}",
        )
        wait("the API server", lambda: self.api.ask("GET", "/readyz") == "ok")
        for name in ("kube-controller-manager", "kube-scheduler"):
            own = (
                (f"--service-account-private-key-file={self._certificates.key}", f"--root-ca-file={self.ca_file}")
                if name == "kube-controller-manager"
                else ()
            )
            common = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1")
            self.run(name, (find(name), *common, *own))
        wait("containerd", self.containerd.exists)
        self.import_image(self.scratch / "pause.tar")
        self.api.create(settings.KUBELETS_CLIENT)
        command = (sys.executable, "-I", NAMES, SERVICE, self.api_url, self.ca_file, _TOKENS["admin"][0])
        self.run("names", command)
        self.start_kubelet()
        wait("the node to be ready", self.is_ready)
        wait("the default service account", lambda: self.api.get("ServiceAccount", "default", "default"))

    def _start_etcd(self) -> None:
        peers = "http://127.0.0.1:12380"
        self.run(
            "etcd",
            (
                find("etcd"),
                f"--data-dir={self.scratch / 'etcd'}",
                "--unsafe-no-fsync",
                f"--listen-client-urls={_ETCD}",
                f"--advertise-client-urls={_ETCD}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
            ),
        )

    def _run_api_server(self, name: str, port: int, *options: str) -> Inside:
        certificates = self._certificates
        return self.run(
            name,
            (
                find("kube-apiserver"),
                *settings.api_server(_ETCD, port, certificates, self.scratch / "tokens.csv"),
                f"--advertise-address={ADDRESS}",
                f"--kubelet-client-certificate={certificates.certificate}",
                f"--kubelet-client-key={certificates.key}",
                "--kubelet-preferred-address-types=InternalIP",  # nobody knows the node by its name
                *options,
            ),
        )

    def _end(self) -> None:
        self.namespaces.end()
        for program in self._programs.values():
            program.await_end()
        self._groups.remove()
        self._folder.cleanup()

    def _write_files(self) -> None:
        scratch = self.scratch
        (scratch / "tokens.csv").write_text(
            "".join(f'{token},{user},{user},"{group}"\n' for token, user, group in _TOKENS.values())
        )
        for name, (token, _, _) in _TOKENS.items():
            _write_json(scratch / f"{name}.kubeconfig", settings.kubeconfig(self.api_url, self.ca_file, token))
        _write_json(scratch / "audit.json", settings.AUDIT)
        (scratch / "resolv.conf").write_text("")
        (scratch / "containerd.toml").write_text(settings.containerd(scratch))
        (scratch / "cni").mkdir()
        _write_json(scratch / "cni" / "10-node.conflist", settings.network(scratch, _PODS))
        _write_json(
            scratch / "kubelet.json", settings.kubelet(scratch, ADDRESS, SERVICE, self._groups.root, self.ca_file)
        )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1))
