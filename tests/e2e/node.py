# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes of one node: etcd, API server, controllers, scheduler, containerd, runc and kubelet.

No registry, no Docker, no systemd: the programs of tools/ in namespaces of their own, under a control group of their own.
"""

import json
import signal
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2e.groups import Groups
from e2e.images import IMAGE, compile_pause, write
from e2e.kube import Api, wait
from e2e.namespaces import Inside, Namespaces
from integration.programs import find
from kubelet.certificates import Certificates, issue

NAME = "n1"
ADDRESS = "10.77.0.1"  # of the node, in its own network namespace
API_PORT = 16443
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
        self._certificates: Certificates = issue(self.scratch)
        self.namespaces = Namespaces(self.scratch, ADDRESS, pause)
        trust = ssl.create_default_context(cafile=str(self._certificates.ca))
        self.api = Api(self.namespaces, API_PORT, trust, _TOKENS["admin"][0])

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
    def kubelet_folder(self) -> Path:
        """The node's /var/lib/kubelet, as it is seen from outside."""
        return self.scratch / "kubelet"

    def run(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Inside:
        """Start a program on the node; it ends with the node at the latest."""
        inside = self.namespaces.run(
            name, command, {"PATH": self._path, "HOME": str(self.scratch), **(environment or {})}
        )
        self._programs[name] = inside
        return inside

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
            ),
        )

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
        self._start_api_server()
        wait("the API server", lambda: self.api.ask("GET", "/readyz") == "ok")
        for name in ("kube-controller-manager", "kube-scheduler"):
            own = (
                (f"--service-account-private-key-file={self._certificates.key}", f"--root-ca-file={self.ca_file}")
                if name == "kube-controller-manager"
                else ()
            )
            common = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1")
            self.run(name, (find(name), *common, *own))
        self._import_image()
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

    def _start_api_server(self) -> None:
        certificates = self._certificates
        self.run(
            "kube-apiserver",
            (
                find("kube-apiserver"),
                f"--etcd-servers={_ETCD}",
                f"--secure-port={API_PORT}",
                f"--advertise-address={ADDRESS}",
                f"--tls-cert-file={certificates.certificate}",
                f"--tls-private-key-file={certificates.key}",
                f"--service-account-key-file={certificates.certificate}",
                f"--service-account-signing-key-file={certificates.key}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/24",
                "--authorization-mode=Node,RBAC",
                f"--token-auth-file={self.scratch / 'tokens.csv'}",
                "--allow-privileged=true",
            ),
        )

    def _import_image(self) -> None:
        socket = self.scratch / "containerd.sock"
        wait("containerd", socket.exists)
        command = (find("ctr"), "-a", socket, "-n", "k8s.io", "images", "import", self.scratch / "pause.tar")
        importing = self.run("import", command)
        wait("the image to be imported", lambda: importing.has_ended)
        assert "saved" in self.namespaces.log_file("import").read_text(), self.log_tails()["import"]

    def _end(self) -> None:
        self.namespaces.end()
        self._groups.remove()
        self._folder.cleanup()

    def _write_files(self) -> None:
        scratch = self.scratch
        (scratch / "tokens.csv").write_text(
            "".join(f'{token},{user},{user},"{group}"\n' for token, user, group in _TOKENS.values())
        )
        for name, (token, _, _) in _TOKENS.items():
            _write_json(scratch / f"{name}.kubeconfig", _kubeconfig(self.api_url, self.ca_file, token))
        (scratch / "resolv.conf").write_text("")
        (scratch / "containerd.toml").write_text(_containerd(scratch))
        (scratch / "cni").mkdir()
        _write_json(scratch / "cni" / "10-node.conflist", _network(scratch))
        _write_json(scratch / "kubelet.json", _kubelet(scratch, self._groups.root))


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1))


def _kubeconfig(server: str, ca: Path, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "node", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "user"}}],
        "current-context": "node",
    }


def _kubelet(scratch: Path, group: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{scratch / 'containerd.sock'}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": group,
        "failCgroupV1": False,  # machines with the first version of control groups are served as well
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,  # lowering it needs a right that a container's root has not
        "makeIPTablesUtilChains": False,
        "resolvConf": str(scratch / "resolv.conf"),
        "nodeStatusUpdateFrequency": "1s",  # how soon a new device is seen
        "evictionHard": {"nodefs.available": "0%"},  # the machine's disk is not the test's subject
        "imageGCHighThresholdPercent": 100,
    }


def _network(scratch: Path) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": _PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(scratch / "addresses"),
    }
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{"type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": False, "ipam": addresses}],
    }


def _containerd(scratch: Path) -> str:
    return f"""\
version = 3
root = "{scratch}/containerd/root"
state = "{scratch}/containerd/state"
[grpc]
  address = "{scratch}/containerd.sock"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{find("bridge").parent}"]
  conf_dir = "{scratch}/cni"
[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = "127.0.0.1"
"""
