# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF009  # _key and _section are dataclass field specifiers, not shared default values
"""Every configuration key, declared once with its default and its description.

The loader, the JSON Schema, the commented defaults and the reference page derive from these classes. Durations are
seconds here and `5s`, `500ms`, `1m30s` or a number in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


class Seconds(float):
    """A duration. Written `5s`, `500ms`, `5m`, `1h`, or a plain number of seconds."""


class Size(int):
    """A size in bytes. Written `16MiB`, `512KiB`, `1GiB`, or a plain number of bytes."""


# Patterns are the subset that Python's `re` and the JSON Schema's ECMA 262 read alike.
_PORT = "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
LISTEN = rf"^(\[[0-9A-Fa-f:.]+(%[^\]\s]+)?\]|[^\[\]:/\s]*):{_PORT}$"
URL = rf"^[Hh][Tt][Tt][Pp][Ss]?://([^@/\s]*@)?(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/@\s]+)(:{_PORT})?([/?]\S*)?$"
URL_OR_EMPTY = rf"^$|{URL}"
# gRPC endpoints may come without a scheme: `collector:4317`.
ENDPOINT_OR_EMPTY = rf"^$|{URL}|^[^/\s]+:{_PORT}$"


def _key(default: Any, text: str, *, secret: bool = False, **facts: Any) -> Any:
    """Declare a key. `facts` may hold `minimum`, `pattern` with its `form` in words, and `required`.

    A secret key is left out of the value's repr, so that no log line can show it.
    """
    metadata = {"text": text, "secret": secret, **facts}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), repr=not secret, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


def _section(cls: type) -> Any:
    """Declare a section; its class's docstring describes it."""
    return field(default_factory=cls, metadata={"text": (cls.__doc__ or "").strip()})


@dataclass(frozen=True, slots=True)
class Server:
    """The HTTP endpoint."""

    listen: str = _key(
        "0.0.0.0:9466",
        "Address and port of /metrics, /healthz, /readyz and the status page.",
        pattern=LISTEN,
        form="ADDRESS:PORT, such as 127.0.0.1:9466 or [::]:9466",
    )
    max_connections: int = _key(64, "Connections served at once; more are refused.", minimum=1)
    timeout: Seconds = _key(Seconds(10), "A client slower than this is cut off.", minimum=0.1)


@dataclass(frozen=True, slots=True)
class Node:
    """Who this node is."""

    name: str = _key("", "Node name. Empty: NODE_NAME, then K8S_NODE_NAME, then the host name.")
    cluster: str = _key("", "Cluster name, `k8s.cluster.name` on every resource. Empty: left out.")


@dataclass(frozen=True, slots=True)
class Release:
    """When the agent lets go of the driver, within a second: for a change of MIG, a reset or a new driver."""

    file: str = _key(
        "/run/inferometer/release",
        "While this file exists the driver is left alone. In a container its directory has to be mounted. Empty: no file.",
    )
    annotation: str = _key(
        "",
        "Annotation of the agent's own Node; while its value is `true` the driver is left alone. It needs the right to get "
        "nodes. Empty: none.",
    )
    pause: Seconds = _key(
        Seconds(60), "For how long the driver is left alone after SIGUSR1, or when it is unbound from a GPU.", minimum=1
    )


@dataclass(frozen=True, slots=True)
class Nvidia:
    """NVIDIA GPUs, by NVML in a child process."""

    enabled: bool = _key(True, "Read NVIDIA GPUs.")
    library: str = _key("", "Path of libnvidia-ml.so.1. Empty: the loader's search path, then the usual driver roots.")
    deadline: Seconds = _key(
        Seconds(2), "A device whose calls take longer is unresponsive for that period.", minimum=0.01
    )
    kill_after: Seconds = _key(
        Seconds(30),
        "A child that is stuck in one call for so long is killed and restarted without that device.",
        minimum=0.1,
    )
    medium_period: Seconds = _key(
        Seconds(15), "How often what changes slowly is read: links, errors, throttling, encoders.", minimum=0.1
    )
    slow_period: Seconds = _key(
        Seconds(60),
        "How often what hardly changes or costs much is read: limits, modes, remapped rows, processes.",
        minimum=0.1,
    )
    processes: bool = _key(
        True, "Read which processes use each GPU, to attribute what they use. It costs the driver milliseconds."
    )
    process_series: bool = _key(
        False, "Publish series of single processes too, by process id. Without, they are counted by type."
    )
    exclude: tuple[str, ...] = _key(
        (), "GPUs to leave alone, by UUID or PCI address (`0000:3b:00.0`). They are counted as excluded, and not read."
    )
    release: Release = _section(Release)


@dataclass(frozen=True, slots=True)
class Amd:
    """AMD GPUs, by AMD SMI in a child process. The driver is let go of when NVIDIA's is: see `devices.nvidia.release`."""

    enabled: bool = _key(False, "Read AMD GPUs. It needs the Python package `amdsmi`, which `inferometer[amd]` brings.")
    rocm: str = _key("", "Where ROCm is installed. Empty: ROCM_PATH, the loader's search path, then /opt/rocm.")
    deadline: Seconds = _key(
        Seconds(2), "A device whose calls take longer is unresponsive for that period.", minimum=0.01
    )
    kill_after: Seconds = _key(
        Seconds(30),
        "A child that is stuck in one call for so long is killed and restarted without that device.",
        minimum=0.1,
    )
    medium_period: Seconds = _key(Seconds(15), "How often what changes slowly is read: errors.", minimum=0.1)
    slow_period: Seconds = _key(Seconds(60), "How often what hardly changes is read: limits, inventory.", minimum=0.1)
    exclude: tuple[str, ...] = _key(
        (), "GPUs to leave alone, by UUID or PCI address (`0000:3b:00.0`). They are counted as excluded, and not read."
    )


@dataclass(frozen=True, slots=True)
class KernelLog:
    """XIDs and SXIDs, from the kernel's log: also those that NVML does not tell, or no more when the driver hangs."""

    enabled: bool = _key(
        True, "Read the kernel's log, where NVIDIA GPUs are read. Without the right to, it is left out."
    )
    path: str = _key(
        "/dev/kmsg", "The log's device. In a container it has to be mounted, and the container privileged."
    )
    state: str = _key(
        "",
        "File in which to note how far the log was read, so that the next start counts what was said meanwhile, or since "
        "the reboot. Empty: none, every start begins at the end.",
    )


@dataclass(frozen=True, slots=True)
class Devices:
    """What the hardware does."""

    nvidia: Nvidia = _section(Nvidia)
    amd: Amd = _section(Amd)
    kernel_log: KernelLog = _section(KernelLog)


@dataclass(frozen=True, slots=True)
class PodResources:
    """Which container holds which device, from the kubelet."""

    enabled: bool = _key(
        True, "Ask the kubelet who holds what. A node without the socket is a node without Kubernetes."
    )
    socket: str = _key(
        "/var/lib/kubelet/pod-resources/kubelet.sock",
        "The kubelet's PodResources socket. Mount its directory: the socket is replaced when the kubelet restarts.",
    )
    deadline: Seconds = _key(Seconds(3), "Longest wait for one answer.", minimum=0.01)
    max_message: Size = _key(Size(16 << 20), "Largest answer; it lists every pod of the node.", minimum=1024)


@dataclass(frozen=True, slots=True)
class Pods:
    """UID, labels, owners, containers, claims and ports of this node's pods."""

    source: Literal["auto", "kubelet_socket", "api", "kubelet_http", "off"] = _key(
        "auto",
        "`auto`: the first that answers of the kubelet's Pods socket; the API server, where a service account or `server` is "
        "given; and the kubelet's HTTPS port, where `kubelet_url` or NODE_IP is. `inferometer check` says which. When it has "
        "failed twice in a row the next is asked, and every five minutes those before it.",
    )
    socket: str = _key(
        "/var/lib/kubelet/pods-api/pods-api.sock",
        "The kubelet's Pods socket, from Kubernetes 1.37 on. Mount its directory: the socket is replaced when the kubelet "
        "restarts. Nothing of it reaches the API server.",
    )
    server: str = _key(
        "",
        "Base URL of the API server. Empty: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.",
        pattern=URL_OR_EMPTY,
        form="an http:// or https:// URL, or empty",
    )
    token_file: str = _key(
        "/var/run/secrets/kubernetes.io/serviceaccount/token", "File of the bearer token, re-read before it expires."
    )
    ca_file: str = _key("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", "File of the certificates to trust.")
    kubelet_url: str = _key(
        "",
        "Base URL of the kubelet's HTTPS port. Empty: port 10250 of NODE_IP, where that is set. Its `/pods` needs the right to "
        "get nodes/pods, and is read as a whole at each period.",
        pattern=URL_OR_EMPTY,
        form="an http:// or https:// URL, or empty",
    )
    kubelet_ca_file: str = _key(
        "",
        "File of the certificates to trust for it. Empty: `ca_file`; but many kubelets sign their certificate themselves.",
    )
    kubelet_insecure_tls: bool = _key(
        False, "Do not check the kubelet's certificate. The token is then sent to whoever answers at that address."
    )
    deadline: Seconds = _key(Seconds(5), "Longest wait for a list.", minimum=0.01)
    max_body: Size = _key(Size(32 << 20), "Largest list of pods.", minimum=1024)


@dataclass(frozen=True, slots=True)
class Processes:
    """Whose the processes on the GPUs are, by their cgroups."""

    enabled: bool = _key(
        True,
        "Find out whose each process is, where `devices.nvidia.processes` is set. It needs the node's processes in sight: "
        "hostPID on the agent's pod.",
    )
    proc: str = _key(
        "/proc", "Where the node's processes are. Without hostPID, the node's /proc can be mounted elsewhere."
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """What ResourceClaims of local pods were given: requests, admin access, shares. Asked for where a pod uses one."""

    source: Literal["auto", "api", "node", "off"] = _key(
        "auto",
        "`auto`: the API server, by the server and token of `identity.pods`, and for what it does not tell the node's own "
        "files; `api` or `node`: only that.",
    )
    state_file: str = _key(
        "/var/lib/kubelet/dra_manager_state", "The kubelet's state. It does not tell who only observes a device."
    )
    checkpoint: str = _key(
        "/var/lib/kubelet/plugins/gpu.nvidia.com/checkpoint.json", "The state of NVIDIA's DRA driver."
    )
    cdi_dir: str = _key("/var/run/cdi", "Directory of the CDI specifications that NVIDIA's DRA driver writes.")


@dataclass(frozen=True, slots=True)
class Slices:
    """What the devices of claims are, from this node's ResourceSlices. Asked for where a pod uses a claim."""

    enabled: bool = _key(
        True,
        "Ask the API server of `identity.pods`, a few times an hour. Without, or without the right to list resourceslices, only "
        "NVIDIA's devices are known, by their names.",
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds what."""

    podresources: PodResources = _section(PodResources)
    pods: Pods = _section(Pods)
    claims: Claims = _section(Claims)
    slices: Slices = _section(Slices)
    drivers: tuple[str, ...] = _key(
        ("gpu.nvidia.com", "gpu.amd.com", "gpu.intel.com", "gpu.example.com"),
        "DRA drivers whose devices are GPUs; `compute-domain.nvidia.com` never is one.",
    )
    resources: tuple[str, ...] = _key(
        (),
        "Resources of device plugins whose ids count besides those of NVIDIA's, GKE's and AMD's plugins, such as "
        "`example.com/gpu`.",
    )
    infrastructure_namespaces: tuple[str, ...] = _key(
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
    processes: Processes = _section(Processes)
    team_keys: tuple[str, ...] = _key(
        ("team", "inferometer/team", "app.kubernetes.io/part-of"),
        "Pod labels or annotations that name the team; the first found wins.",
    )
    cost_center_keys: tuple[str, ...] = _key(
        ("cost-center", "inferometer/cost-center"),
        "Pod labels or annotations that name the cost centre; the first found wins.",
    )


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """An engine to scrape that no pod announces."""

    url: str = _key("", "URL of the metrics page.", pattern=URL, form="an http:// or https:// URL", required=True)
    engine: str = _key("", "The engine. Empty: recognised from the page.")
    namespace: str = _key("", "Namespace of the pod that serves it, to join it to its GPUs.")
    pod: str = _key("", "Name of the pod that serves it.")
    headers: Mapping[str, str] = _key({}, "Headers to send.", secret=True)
    credentials: str = _key("", "Name of the entry of engines.credentials that it asks for.")
    period: Seconds = _key(
        Seconds(0),
        "Time between scrapes. More often than snapshots are made it is not scraped. 0: `period`.",
        minimum=0,
    )
    deadline: Seconds = _key(Seconds(0), "Longest wait for its page. 0: engines.deadline.", minimum=0)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is shown to an engine that asks for it, and whom to trust. Files are read again when they change."""

    name: str = _key("", "What targets and pods call it.", required=True)
    token_file: str = _key("", "File of a bearer token.")
    username: str = _key("", "User of basic authentication.")
    password_file: str = _key("", "File of that user's password.")
    ca_file: str = _key("", "File of the certificates to trust, and no others. Empty: the system's.")
    server_name: str = _key(
        "",
        "Whom the server's certificate has to be for. A pod is asked by its address, which few certificates name. Empty: "
        "the host of the URL.",
    )
    certificate_file: str = _key("", "File of the client certificate to show.")
    key_file: str = _key("", "File of the client certificate's key.")
    insecure_tls: bool = _key(False, "Take any certificate: who answers in the engine's place is shown the token too.")
    namespaces: tuple[str, ...] = _key(
        (),
        "Namespaces whose pods may choose it by the annotation `inferometer/credentials`; `*` is all of them. Empty: only "
        "engines.targets may.",
    )
    labels: tuple[str, ...] = _key((), "Labels (`key` or `key=value`) that such a pod must have besides, all of them.")


@dataclass(frozen=True, slots=True)
class Discovery:
    """Engines among this node's pods."""

    enabled: bool = _key(True, "Find engines among the node's pods.")
    labels: tuple[str, ...] = _key(
        (
            "llm-d.ai/inference-serving=true",
            "llm-d.ai/engine-type",
            "airunway.ai/engine-type",
            "app.kubernetes.io/name=vllm",
            "inferometer/engine",
        ),
        "A pod with one of these labels (`key` or `key=value`) serves an engine.",
    )
    port_names: tuple[str, ...] = _key(
        ("vllm", "engine-metrics", "inference-metrics"), "A container port of one of these names is an engine's."
    )
    images: bool = _key(
        True,
        "A container whose image is a known engine's, and that declares a port which is usual for it, serves an engine.",
    )


@dataclass(frozen=True, slots=True)
class Engines:
    """Inference engines' metrics pages."""

    enabled: bool = _key(True, "Scrape engines.")
    targets: tuple[TargetConfig, ...] = _key((), "Engines that no pod announces.")
    credentials: tuple[Credentials, ...] = _key((), "What engines ask for that are not open to everybody.")
    discovery: Discovery = _section(Discovery)
    deadline: Seconds = _key(Seconds(3), "Longest wait for one page, from connect to last byte.", minimum=0.01)
    backoff: Seconds = _key(
        Seconds(30),
        "Longest time between scrapes of an engine that answers too late, or wrongly; each such answer doubles it. One that "
        "nobody listens for is asked at every period.",
        minimum=0,
    )
    max_page: Size = _key(Size(4 << 20), "Largest page, after decompression.", minimum=1024)
    max_samples: int = _key(20_000, "Most samples of one page.", minimum=1)
    max_targets: int = _key(64, "Most engines scraped on one node; more are dropped and counted.", minimum=1)
    max_models: int = _key(
        100,
        "Most models of one node that have series of their own, adapters served as models among them; what comes later is "
        "`other`, and counted.",
        minimum=1,
    )
    max_reasons: int = _key(50, "Most reasons of each kind (finish, wait, reject, load phase), likewise.", minimum=1)


@dataclass(frozen=True, slots=True)
class Objective:
    """A latency that engines are to keep."""

    name: str = _key("", "What it is called, `inference.slo.name` on its series.", required=True)
    metric: Literal["ttft", "tpot", "itl", "e2e"] = _key(
        "ttft",
        "The latency: time to first token, time per output token, inter-token latency, or of the whole request.",
        required=True,
    )
    threshold: Seconds = _key(Seconds(2), "What it is to stay below.", required=True, minimum=0)
    model: str = _key("*", "Models that it is for; `*` stands for any characters.")
    namespace: str = _key("*", "Namespaces of the engines' pods that it is for; `*` stands for any characters.")


@dataclass(frozen=True, slots=True)
class Slo:
    """Service levels. An engine's histogram tells how many requests kept a threshold only where it has a bound there."""

    objectives: tuple[Objective, ...] = _key(
        (), "Thresholds to hold against the bounds that each engine really has: docs/engines.md."
    )


@dataclass(frozen=True, slots=True)
class Otlp:
    """OTLP push. The standard OTEL_* variables override these keys."""

    endpoint: str = _key(
        "",
        "Where to push. Empty: OTLP is off.",
        pattern=ENDPOINT_OR_EMPTY,
        form="an http:// or https:// URL, HOST:PORT, or empty",
    )
    protocol: Literal["http/protobuf", "grpc"] = _key("http/protobuf", "Transport.")
    interval: Seconds = _key(Seconds(60), "Time between pushes; the newest snapshot is sent.", minimum=0.1)
    timeout: Seconds = _key(Seconds(10), "Longest wait for one push, retries included.", minimum=0.01)
    compression: Literal["gzip", "none"] = _key("gzip", "Compression.")
    headers: Mapping[str, str] = _key({}, "Headers to send.", secret=True)
    certificate: str = _key("", "File of the certificates to trust. Empty: the system's.")
    client_certificate: str = _key("", "File of the client certificate.")
    client_key: str = _key("", "File of the client certificate's key.")
    max_request: Size = _key(
        Size(3_500_000),
        "Largest request before compression; more is split. Receivers accept 4 MiB by default.",
        minimum=1024,
    )


@dataclass(frozen=True, slots=True)
class Accounting:
    """What owners held and spent."""

    linger: Seconds = _key(Seconds(300), "How long a counter stays, frozen, after its holding has ended.", minimum=0)
    max_ended: int = _key(2_000, "Most ended counters kept at once; more are dropped and counted.", minimum=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the agent may never exceed."""

    series: int = _key(
        50_000, "Most series of one snapshot; an engine that would exceed it is left out and counted.", minimum=1_000
    )


@dataclass(frozen=True, slots=True)
class Log:
    """Logging, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = _key("info", "Least severity that is logged.")
    format: Literal["text", "json"] = _key("text", "Form of a line.")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set."""

    period: Seconds = _key(Seconds(5), "Time between snapshots.", minimum=0.1)
    server: Server = _section(Server)
    node: Node = _section(Node)
    devices: Devices = _section(Devices)
    identity: Identity = _section(Identity)
    engines: Engines = _section(Engines)
    slo: Slo = _section(Slo)
    otlp: Otlp = _section(Otlp)
    accounting: Accounting = _section(Accounting)
    limits: Limits = _section(Limits)
    log: Log = _section(Log)
