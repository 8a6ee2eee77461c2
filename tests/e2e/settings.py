# SPDX-License-Identifier: Apache-2.0
"""What the programs of a node are told: their configuration files."""

from pathlib import Path
from typing import Any

from e2e.images import IMAGE
from e2e.runtime import runtime_of
from integration.programs import find
from kubelet.certificates import Certificates

# Of all that is asked only what the agents ask.
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:inferometer"]}, {"level": "None"}],
}

# Whom the API server's certificate names, when it asks the kubelet for logs.
KUBELETS_CLIENT = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "api-server-asks-kubelets"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "localhost"}],
}


def api_server(etcd: str, port: int, certificates: Certificates, tokens: Path) -> tuple[str, ...]:
    """Give what every API server of the tests is told: who signs, whom it knows by token, and that pods may be privileged."""
    return (
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        f"--tls-cert-file={certificates.certificate}",
        f"--tls-private-key-file={certificates.key}",
        f"--service-account-key-file={certificates.certificate}",
        f"--service-account-signing-key-file={certificates.key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/24",
        f"--token-auth-file={tokens}",
        "--allow-privileged=true",
    )


def kubeconfig(server: str, ca: Path, token: str) -> dict[str, Any]:
    """Give what a client needs to reach the API server."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "node", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "user"}}],
        "current-context": "node",
    }


def kubelet(scratch: Path, address: str, names: str, group: str, ca: Path) -> dict[str, Any]:
    """Give the kubelet's configuration: at an address, with a DNS server for its pods, which are in a control group."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{scratch / 'containerd.sock'}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": group,
        "failCgroupV1": False,  # machines with the first version of control groups are served as well
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,  # lowering it needs a right that a container's root has not
        "makeIPTablesUtilChains": False,
        "clusterDNS": [names],
        "clusterDomain": "cluster.local",
        "resolvConf": str(scratch / "resolv.conf"),
        "nodeStatusUpdateFrequency": "1s",  # how soon a new device is seen
        "evictionHard": {"nodefs.available": "0%"},  # the machine's disk is not the test's subject
        "imageGCHighThresholdPercent": 100,
    }


def network(scratch: Path, pods: str) -> dict[str, Any]:
    """Give the network of pods: a bridge, and addresses of a subnet."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(scratch / "addresses"),
    }
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{"type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": False, "ipam": addresses}],
    }


def containerd(scratch: Path) -> str:
    """Give containerd's configuration."""
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
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia.options]
  BinaryName = "{runtime_of(scratch)}"
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{find("bridge").parent}"]
  conf_dir = "{scratch}/cni"
[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = "127.0.0.1"
"""
