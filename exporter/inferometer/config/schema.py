# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF009  # key and section are dataclass field specifiers, not shared default values
"""Every configuration key, declared once with its default and its description.

The loader, the JSON Schema, the commented defaults and the reference page derive from these classes. Durations are
seconds here and `5s`, `500ms`, `1m30s` or a number in the file.
"""

from dataclasses import dataclass
from typing import Literal

from inferometer.config.declare import URL_OR_EMPTY, Seconds, Size, key, section
from inferometer.config.engines import Engines, Slo
from inferometer.config.otlp import Otlp
from inferometer.config.series import Attributes, Limits
from inferometer.config.server import Server


@dataclass(frozen=True, slots=True)
class Node:
    """Who this node is."""

    name: str = key("", "Node name. Empty: NODE_NAME, then K8S_NODE_NAME, then the host name.")
    cluster: str = key("", "Cluster name, `k8s.cluster.name` on every resource. Empty: left out.")


@dataclass(frozen=True, slots=True)
class Release:
    """When the agent lets go of the driver, within a second: for a change of MIG, a reset or a new driver."""

    file: str = key(
        "/run/inferometer/release",
        "While this file exists the driver is left alone. In a container its directory has to be mounted. Empty: no file.",
    )
    annotation: str = key(
        "",
        "Annotation of the agent's own Node; while its value is `true` the driver is left alone. It needs the right to get "
        "and watch nodes. Empty: none.",
    )
    pause: Seconds = key(
        Seconds(60), "For how long the driver is left alone after SIGUSR1, or when it is unbound from a GPU.", minimum=1
    )


@dataclass(frozen=True, slots=True)
class Nvidia:
    """NVIDIA GPUs, by NVML in a child process."""

    enabled: bool = key(True, "Read NVIDIA GPUs.")
    library: str = key("", "Path of libnvidia-ml.so.1. Empty: the loader's search path, then the usual driver roots.")
    deadline: Seconds = key(
        Seconds(2), "A device whose calls take longer is unresponsive for that period.", minimum=0.01
    )
    kill_after: Seconds = key(
        Seconds(30),
        "A child that is stuck in one call for so long is killed and restarted without that device.",
        minimum=0.1,
    )
    medium_period: Seconds = key(
        Seconds(15), "How often what changes slowly is read: links, memory errors, throttling, encoders.", minimum=0.1
    )
    slow_period: Seconds = key(
        Seconds(60),
        "How often what hardly changes or costs much is read: limits, modes, remapped rows, errors of links, processes.",
        minimum=0.1,
    )
    processes: bool = key(
        True, "Read which processes use each GPU, to attribute what they use. It costs the driver milliseconds."
    )
    process_series: bool = key(
        False, "Publish series of single processes too, by process id. Without, they are counted by type."
    )
    exclude: tuple[str, ...] = key(
        (), "GPUs to leave alone, by UUID or PCI address (`0000:3b:00.0`). They are counted as excluded, and not read."
    )
    release: Release = section(Release)


@dataclass(frozen=True, slots=True)
class Amd:
    """AMD GPUs, by AMD SMI in a child process. The driver is let go of when NVIDIA's is: see `devices.nvidia.release`."""

    enabled: bool = key(False, "Read AMD GPUs. It needs the Python package `amdsmi`, which `inferometer[amd]` brings.")
    rocm: str = key("", "Where ROCm is installed. Empty: ROCM_PATH, the loader's search path, then /opt/rocm.")
    deadline: Seconds = key(
        Seconds(2), "A device whose calls take longer is unresponsive for that period.", minimum=0.01
    )
    kill_after: Seconds = key(
        Seconds(30),
        "A child that is stuck in one call for so long is killed and restarted without that device.",
        minimum=0.1,
    )
    medium_period: Seconds = key(Seconds(15), "How often what changes slowly is read: errors.", minimum=0.1)
    slow_period: Seconds = key(Seconds(60), "How often what hardly changes is read: limits, inventory.", minimum=0.1)
    exclude: tuple[str, ...] = key(
        (), "GPUs to leave alone, by UUID or PCI address (`0000:3b:00.0`). They are counted as excluded, and not read."
    )


@dataclass(frozen=True, slots=True)
class KernelLog:
    """XIDs and SXIDs, from the kernel's log: also those that NVML does not tell, or no more when the driver hangs."""

    enabled: bool = key(
        True, "Read the kernel's log, where NVIDIA GPUs are read. Without the right to, it is left out."
    )
    path: str = key("/dev/kmsg", "The log's device. In a container it has to be mounted, and the container privileged.")
    state: str = key(
        "",
        "File in which to note how far the log was read, so that the next start counts what was said meanwhile, or since "
        "the reboot. Empty: none, every start begins at the end.",
    )


@dataclass(frozen=True, slots=True)
class Devices:
    """What the hardware does."""

    nvidia: Nvidia = section(Nvidia)
    amd: Amd = section(Amd)
    kernel_log: KernelLog = section(KernelLog)


@dataclass(frozen=True, slots=True)
class PodResources:
    """Which container holds which device, from the kubelet."""

    enabled: bool = key(True, "Ask the kubelet who holds what. A node without the socket is a node without Kubernetes.")
    socket: str = key(
        "/var/lib/kubelet/pod-resources/kubelet.sock",
        "The kubelet's PodResources socket. Mount its directory: the socket is replaced when the kubelet restarts.",
    )
    deadline: Seconds = key(Seconds(3), "Longest wait for one answer.", minimum=0.01)
    max_message: Size = key(Size(16 << 20), "Largest answer; it lists every pod of the node.", minimum=1024)


@dataclass(frozen=True, slots=True)
class Pods:
    """UID, labels, owners, containers, claims and ports of this node's pods."""

    source: Literal["auto", "kubelet_socket", "api", "kubelet_http", "off"] = key(
        "auto",
        "`auto`: the first that answers of the kubelet's Pods socket; the API server, where a service account or `server` is "
        "given; and the kubelet's HTTPS port, where `kubelet_url` or NODE_IP is. `inferometer check` says which. When it has "
        "failed twice in a row the next is asked, and every five minutes those before it.",
    )
    socket: str = key(
        "/var/lib/kubelet/pods-api/pods-api.sock",
        "The kubelet's Pods socket, from Kubernetes 1.37 on. Mount its directory: the socket is replaced when the kubelet "
        "restarts. Nothing of it reaches the API server.",
    )
    server: str = key(
        "",
        "Base URL of the API server. Empty: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.",
        pattern=URL_OR_EMPTY,
        form="an http:// or https:// URL, or empty",
    )
    token_file: str = key(
        "/var/run/secrets/kubernetes.io/serviceaccount/token", "File of the bearer token, re-read before it expires."
    )
    ca_file: str = key("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", "File of the certificates to trust.")
    kubelet_url: str = key(
        "",
        "Base URL of the kubelet's HTTPS port. Empty: port 10250 of NODE_IP, where that is set. Its `/pods` needs the right to "
        "get nodes/pods, and is read as a whole at each period.",
        pattern=URL_OR_EMPTY,
        form="an http:// or https:// URL, or empty",
    )
    kubelet_ca_file: str = key(
        "",
        "File of the certificates to trust for it. Empty: `ca_file`; but many kubelets sign their certificate themselves.",
    )
    kubelet_insecure_tls: bool = key(
        False, "Do not check the kubelet's certificate. The token is then sent to whoever answers at that address."
    )
    deadline: Seconds = key(Seconds(5), "Longest wait for a list.", minimum=0.01)
    max_body: Size = key(Size(32 << 20), "Largest list of pods.", minimum=1024)


@dataclass(frozen=True, slots=True)
class Processes:
    """Whose the processes on the GPUs are, by their cgroups."""

    enabled: bool = key(
        True,
        "Find out whose each process is, where `devices.nvidia.processes` is set. It needs the node's processes in sight: "
        "hostPID on the agent's pod.",
    )
    proc: str = key(
        "/proc", "Where the node's processes are. Without hostPID, the node's /proc can be mounted elsewhere."
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """What ResourceClaims of local pods were given: requests, admin access, shares. Asked for where a pod uses one."""

    source: Literal["auto", "api", "node", "off"] = key(
        "auto",
        "`auto`: the API server, by the server and token of `identity.pods`, and for what it does not tell the node's own "
        "files; `api` or `node`: only that.",
    )
    state_file: str = key(
        "/var/lib/kubelet/dra_manager_state", "The kubelet's state. It does not tell who only observes a device."
    )
    checkpoint: str = key(
        "/var/lib/kubelet/plugins/gpu.nvidia.com/checkpoint.json", "The state of NVIDIA's DRA driver."
    )
    cdi_dir: str = key("/var/run/cdi", "Directory of the CDI specifications that NVIDIA's DRA driver writes.")


@dataclass(frozen=True, slots=True)
class Slices:
    """What the devices of claims are, from this node's ResourceSlices. Asked for where a pod uses a claim."""

    enabled: bool = key(
        True,
        "Ask the API server of `identity.pods`, a few times an hour. Without, or without the right to list resourceslices, only "
        "NVIDIA's devices are known, by their names.",
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds what."""

    podresources: PodResources = section(PodResources)
    pods: Pods = section(Pods)
    claims: Claims = section(Claims)
    slices: Slices = section(Slices)
    drivers: tuple[str, ...] = key(
        ("gpu.nvidia.com", "gpu.amd.com", "gpu.intel.com", "gpu.example.com"),
        "DRA drivers whose devices are GPUs; `compute-domain.nvidia.com` never is one.",
    )
    resources: tuple[str, ...] = key(
        (),
        "Resources of device plugins whose ids count besides those of NVIDIA's, GKE's and AMD's plugins, such as "
        "`example.com/gpu`.",
    )
    infrastructure_namespaces: tuple[str, ...] = key(
        (
            "kube-system",
            "gpu-operator",
            "nvidia-gpu-operator",
            "nvidia-device-plugin",
            "nvidia-dra-driver-gpu",
            "dra-driver-nvidia-gpu",
            "kube-amd-gpu",
        ),
        "Namespaces in which only the cluster's operators may make pods. What a DaemonSet runs there owns no GPU: it has one so "
        "that others can use it, or to look at it. A pod of any other namespace is an owner, whatever its name.",
    )
    processes: Processes = section(Processes)
    team_keys: tuple[str, ...] = key(
        ("team", "inferometer/team", "app.kubernetes.io/part-of"),
        "Pod labels or annotations that name the team; the first found wins.",
    )
    cost_center_keys: tuple[str, ...] = key(
        ("cost-center", "inferometer/cost-center"),
        "Pod labels or annotations that name the cost centre; the first found wins.",
    )


@dataclass(frozen=True, slots=True)
class Accounting:
    """What owners held and spent."""

    linger: Seconds = key(Seconds(300), "How long a counter stays, frozen, after its holding has ended.", minimum=0)
    max_ended: int = key(2_000, "Most ended counters kept at once; more are dropped and counted.", minimum=0)
    state: str = key(
        "",
        "File in which the agent leaves its counters when it ends, and finds them when it starts again: owners' time, energy "
        "and XIDs go on, with their starts. After a crash there is none. Empty: none, every start begins at 0.",
    )


@dataclass(frozen=True, slots=True)
class Log:
    """Logging, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = key("info", "Least severity that is logged.")
    format: Literal["text", "json"] = key("text", "Form of a line.")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set."""

    period: Seconds = key(Seconds(5), "Time between snapshots.", minimum=0.1)
    server: Server = section(Server)
    node: Node = section(Node)
    devices: Devices = section(Devices)
    identity: Identity = section(Identity)
    engines: Engines = section(Engines)
    slo: Slo = section(Slo)
    otlp: Otlp = section(Otlp)
    accounting: Accounting = section(Accounting)
    limits: Limits = section(Limits)
    attributes: Attributes = section(Attributes)
    log: Log = section(Log)
