# SPDX-License-Identifier: Apache-2.0
"""The chart without Helm: what is derived of it, its schema, its defaults, and what its golden renders promise."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import inferometer
from charts import CASES, CHART, GOLDENS, VALUES, Manifest, of_kind, parse, pod_of, values_file
from helm.generate.__main__ import generate
from helm.generate.readme import fill_readme
from helm.generate.schema import build_schema
from helm.generate.values import UndocumentedError, read_values
from inferometer.config import Config, load
from inferometer.config.environment import variables
from inferometer.config.json_schema import schema as agent_schema
from inferometer.server.address import parse_address
from inferometer.sources.identity import claims, pods_api, pods_kubelet, slices

FOLLOWING = "".join(
    (CHART / "templates" / name).read_text(encoding="utf-8") for name in ("_config.tpl", "_access.tpl", "_rights.tpl")
)
CONTRADICTIONS = (CHART / "templates" / "_contradictions.tpl").read_text(encoding="utf-8")


@functools.cache
def derived() -> dict[str, str]:
    return {path.name: text for path, text in generate().items()}


@functools.cache
def schema() -> Any:
    return yaml.safe_load(derived()["values.schema.json"])


def complaints(values: object) -> list[str]:
    """What the schema says of values, each with its place."""
    errors = jsonschema.Draft7Validator(schema()).iter_errors(values)
    return [f"{error.json_path}: {error.message}" for error in errors]


def defaults() -> Any:
    return yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def golden(case: str) -> tuple[Manifest, ...]:
    return parse((GOLDENS / f"{case}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["values.schema.json", "README.md"])
def test_what_is_derived_is_up_to_date(name: str) -> None:
    """The committed schema and README are what `python -m helm.generate` writes."""
    assert (CHART / name).read_text(encoding="utf-8") == derived()[name]


def test_the_chart_installs_the_agent_that_it_lies_beside() -> None:
    """Its appVersion is the package's version; its own goes on by itself."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == inferometer.__version__


def test_the_schema_is_one_and_admits_the_defaults() -> None:
    """It is valid draft 7 and every default fits it: nothing is required of a user."""
    jsonschema.Draft7Validator.check_schema(schema())
    assert complaints(defaults()) == []


@pytest.mark.parametrize("path", sorted(VALUES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_admits(path: Path) -> None:
    """The values that the goldens are rendered from fit it, over the defaults where they are partial."""
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert complaints(_over(defaults(), given)) == []


def _over(base: Any, given: Any) -> Any:
    """Lay values over defaults as Helm does; null takes a key away."""
    if not (isinstance(base, dict) and isinstance(given, dict)):
        return given
    merged = {name: _over(base[name], given[name]) if name in given else base[name] for name in base}
    merged |= {name: value for name, value in given.items() if name not in base}
    return {name: value for name, value in merged.items() if value is not None}


def test_the_schema_is_strict_everywhere() -> None:
    """Every object says what it may hold beyond its properties; only `global` is Helm's own."""

    def loose(node: Any, place: str) -> Iterator[str]:
        if isinstance(node, dict):
            kinds = node.get("type")
            is_object = isinstance(kinds, str | list) and "object" in kinds
            if is_object and not isinstance(node.get("additionalProperties"), dict | bool):
                yield place
            if is_object and node.get("additionalProperties") is True:
                yield place
            for name, below in node.items():
                yield from loose(below, f"{place}/{name}")
        elif isinstance(node, list):
            for i, below in enumerate(node):
                yield from loose(below, f"{place}/{i}")

    assert list(loose(schema(), "")) == ["/properties/global"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("serviceAcount", {"create": True}),
        ("image.repositry", "x"),
        ("config.server.lisen", ":1"),
        ("config.engines.targets.0", {"url": "http://a", "engin": "vllm"}),
        ("config.server.listen", "9466"),
        ("config.period", "5 minutes"),
        ("tolerations.0", {"key": "a", "operater": "Exists"}),
        ("resources.request", {"cpu": 1}),
        ("securityContext.readOnlyRootFileSystem", True),
        ("extraVolumes.0", {"name": "a", "hostpath": {"path": "/"}}),
        ("podMonitor.relabelings.0", {"sourceLabel": ["a"]}),
        ("gpuNodeLabels.0", "a=b=c"),
        ("gpuAccess.mode", "runtimeclass"),
        ("gpuAccess.driverRoot", "run/nvidia/driver"),
        ("gpuAccess.driverRoot", "/run/nvidia driver"),
        ("gpuAccess.libraryDirectory", "/"),
        ("gpuAccess.dra.deviceClassName", "gpu.nvidia.com"),
        ("gpuAccess.dra.deviceClassNames", []),
        ("gpuAccess.dra.deviceClassNames.0", "GPU"),
        ("gpuAccess.dra.adminAccessGate", "true"),
        ("rbac.tier", "claims"),
        ("rbac.tiers", "node"),
        ("persistence.hostPath", "/var/lib"),
        ("persistence.hostPath", "/var/lib/infero meter"),
        ("persistence.size", "1Gi"),
        ("openshift.seLinuxType", "spc-t"),
        ("openshift.enabled", 1),
        ("amdNodeLabels.0", "=true"),
        ("hostAccess.kernelLog", "yes"),
        ("hostAccess.kernellog", True),
        ("maxUnavailable", "0%"),
        ("image.digest", "sha256:12"),
        ("engineSecrets.0", "Gateway"),
        ("engineSecrets.0", "../gateway"),
        ("config.engines.credentials.0", {"name": "a", "tokenFile": "/t"}),
    ],
)
def test_the_schema_refuses(key: str, value: object) -> None:
    """A misspelt key and a value of another form are refused at every depth, with their place."""
    values = defaults()
    *path, last = key.split(".")
    node = values
    for name in path:
        node = node.setdefault(name, [] if last == "0" and name == path[-1] else {})
    if isinstance(node, list):
        node[:] = [value]
    else:
        node[last] = value
    assert len(complaints(values)) == 1


def test_the_configuration_has_the_agents_own_schema() -> None:
    """Nothing of `inferometer config --schema` is lost; a bare `off`, which Helm reads as false, is admitted besides."""

    def without_false(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                name: [choice for choice in below if choice is not False] if name == "enum" else without_false(below)
                for name, below in node.items()
            }
        return [without_false(below) for below in node] if isinstance(node, list) else node

    agent = {name: below for name, below in agent_schema().items() if name not in {"$schema", "title"}}
    assert without_false(schema()["definitions"]["agent"]) == agent
    assert schema()["definitions"]["agent"] != agent
    assert schema()["properties"]["config"]["$ref"] == "#/definitions/agent"


def _followed() -> list[tuple[tuple[str, ...], Any]]:
    """The keys of the agent's configuration that the templates look up, with the default that they assume."""
    looked_up = re.findall(r'dig ((?:"\w+" )+)("[^"]*"|true|false)', FOLLOWING)
    return [(tuple(re.findall(r"\w+", path)), yaml.safe_load(assumed)) for path, assumed in looked_up]


def test_what_the_templates_assume_is_the_agents_default() -> None:
    """Port, socket and rights follow keys that may be absent: the templates and the agent agree on what that means."""
    assert len(_followed()) == FOLLOWING.count('dig "') >= 6
    for path, assumed in _followed():
        value: Any = Config()
        for name in path:
            value = getattr(value, name)
        assert value == assumed, path


def test_no_variable_overrides_what_the_templates_follow() -> None:
    """Each key that the chart follows has its variable refused in extraEnv, or, for the endpoint, seen there."""
    names = {path: key.variable for key in variables().values() for path in [key.path]}
    for path, _ in _followed():
        assert f'"{names[path]}"' in (FOLLOWING if path == ("otlp", "endpoint") else CONTRADICTIONS), path
    for switch in (("devices", "kernel_log", "enabled"), ("identity", "processes", "enabled")):
        assert f'"{names[switch]}"' in CONTRADICTIONS, switch
    assert set(re.findall(r"INFEROMETER_\w+", CONTRADICTIONS)) <= set(variables())


def test_the_default_port_is_the_agents() -> None:
    """Scrape configurations that name the agent's port hold for the chart too; IPv6 is listened on as well."""
    _, port = parse_address(Config().server.listen)
    assert parse_address(defaults()["config"]["server"]["listen"]) == ("", port)
    assert defaults()["service"]["port"] == port


@pytest.mark.parametrize("case", CASES)
def test_the_agent_reads_the_configuration_that_is_rendered(case: str, tmp_path: Path) -> None:
    """The ConfigMap passes the agent's own loader, which reads another YAML than Helm writes."""
    (configmap,) = of_kind(golden(case), "ConfigMap")
    (text,) = configmap["data"].values()
    file = tmp_path / "inferometer.yaml"
    file.write_text(text, encoding="utf-8")
    config = load(str(file), {})
    (container,) = pod_of(golden(case))["containers"]
    assert container["ports"][0]["containerPort"] == parse_address(config.server.listen)[1]
    # What the pod is given no access to is switched off.
    path = values_file(case)
    values = _over(defaults(), yaml.safe_load(path.read_text(encoding="utf-8"))) if path else defaults()
    assert config.devices.kernel_log.enabled is values["hostAccess"]["kernelLog"]
    assert config.identity.processes.enabled is values["hostAccess"]["processes"]
    assert config.devices.amd.enabled is values["gpuAccess"]["amd"]
    claims_are_off = config.identity.claims.source == "off"
    assert claims_are_off is (values["rbac"]["tier"] != "node+claims" or case == "kubelet")
    if case == "minimal":
        assert config.identity.pods.source == "off"
    if case == "everything":
        assert config.engines.max_samples == 2_000_000
        assert config.identity.team_keys == ("team", "on")
        assert config.otlp.headers == {"X-Scope-OrgID": "1234"}


def test_the_rights_are_what_the_sources_ask_for() -> None:
    """The role has three rules, one for each resource, in the words of the sources' own remedies."""
    (role,) = of_kind(golden("defaults"), "ClusterRole")
    rules = [
        f"apiGroups: {_list(rule['apiGroups'])}, resources: {_list(rule['resources'])}, verbs: {_list(rule['verbs'])}"
        for rule in role["rules"]
    ]
    assert rules == [
        grant.removeprefix("grant a ClusterRole with ") for grant in (pods_api.GRANT, claims.GRANT, slices.GRANT)
    ]


def test_a_right_goes_with_what_needs_it() -> None:
    """Where the kubelet's HTTPS port tells of pods and claims are off, that port's one right is left, and its address given."""
    (role,) = of_kind(golden("kubelet"), "ClusterRole")
    (rule,) = role["rules"]
    told = (
        f"apiGroups: {_list(rule['apiGroups'])}, resources: {_list(rule['resources'])}, verbs: {_list(rule['verbs'])}"
    )
    assert told == pods_kubelet.GRANT.removeprefix("grant a ClusterRole with ")
    pod = pod_of(golden("kubelet"))
    assert "pods-api" not in _hosts(pod)
    given = {variable["name"]: variable.get("valueFrom") for variable in pod["containers"][0]["env"]}
    assert given["NODE_IP"] == {"fieldRef": {"fieldPath": "status.hostIP"}}


def _hosts(pod: Manifest) -> dict[str, tuple[str, str]]:
    """What of the node is mounted, and as what."""
    return {
        volume["name"]: (volume["hostPath"]["path"], volume["hostPath"]["type"])
        for volume in pod["volumes"]
        if "hostPath" in volume
    }


def _list(items: list[str]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def test_the_pod_has_the_least_privilege_that_reads_the_socket() -> None:
    """Root without any capability, on a read-only file system, with three read-only directories of the node."""
    pod = pod_of(golden("defaults"))
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert _hosts(pod) == {
        "pod-resources": (str(Path(Config().identity.podresources.socket).parent), "Directory"),
        "pods-api": (str(Path(Config().identity.pods.socket).parent), "DirectoryOrCreate"),
        "release": (str(Path(Config().devices.nvidia.release.file).parent), "DirectoryOrCreate"),
    }
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert set(container["resources"]["requests"]) | set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_more_of_the_node_is_seen_where_somebody_says_so() -> None:
    """The kernel's log, the node's processes and AMD's devices; one directory of its is written to; privileged says what it is."""
    pod = pod_of(golden("everything"))
    (container,) = pod["containers"]
    assert pod["hostPID"] is True
    assert _hosts(pod) == {
        "pod-resources": ("/var/snap/microk8s/common/var/lib/kubelet/pod-resources", "Directory"),
        "release": ("/var/lib/gpu-gauge", "DirectoryOrCreate"),
        "kernel-log": (Config().devices.kernel_log.path, "CharDevice"),
        "kernel-log-state": ("/var/lib/gpu-gauge-log", "DirectoryOrCreate"),
        "kfd": ("/dev/kfd", "CharDevice"),
        "dri": ("/dev/dri", "Directory"),
        "rocm": ("/opt/rocm-7.0.0", "Directory"),
    }
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert {name: mounts[name]["mountPath"] for name in _hosts(pod)} == {
        n: path for n, (path, _) in _hosts(pod).items()
    }
    assert [name for name, mount in mounts.items() if not mount.get("readOnly")] == ["kernel-log-state", "spool"]
    assert {"name": "spool", "emptyDir": {}} in pod["volumes"]
    # Kubernetes refuses `allowPrivilegeEscalation: false` beside it, and no runtime minds the rest.
    security = container["securityContext"]
    assert security == {"privileged": True, "readOnlyRootFilesystem": True, "runAsUser": 0, "runAsGroup": 0}


def test_the_secrets_of_engines_are_mounted_where_their_credentials_look() -> None:
    """Each by its name, read-only; one that is not there keeps no agent from starting."""
    (configmap,) = of_kind(golden("everything"), "ConfigMap")
    entries = yaml.safe_load(configmap["data"]["inferometer.yaml"])["engines"]["credentials"]
    files = [value for entry in entries for key, value in entry.items() if key in ("token_file", "password_file")]
    pod = pod_of(golden("everything"))
    secrets = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert files
    for file in files:
        mount = mounts[str(Path(file).parent)]
        assert mount["readOnly"]
        assert secrets[mount["name"]] == {"secretName": Path(file).parent.name, "optional": True}


def test_a_capability_comes_with_the_monitor_of_mig_alone() -> None:
    """Without privilege it is the one that NVIDIA's runtime asks for."""
    (container,) = pod_of(golden("kubelet"))["containers"]
    assert container["securityContext"]["capabilities"] == {"add": ["SYS_ADMIN"], "drop": ["ALL"]}
    assert container["securityContext"]["privileged"] is False


def test_a_node_is_read_only_where_its_annotation_counts() -> None:
    """The right to get nodes comes with the annotation's key, and with nothing else."""
    granted = {
        case: any(
            "nodes" in rule["resources"] for role in of_kind(golden(case), "ClusterRole") for rule in role["rules"]
        )
        for case in CASES
    }
    assert granted == {case: case == "everything" for case in CASES}


def test_no_gpu_is_taken_away() -> None:
    """The agent sees every GPU by its runtime class and requests none."""
    for case in CASES:
        (container,) = pod_of(golden(case))["containers"]
        assert "nvidia.com/gpu" not in str(container.get("resources"))
    assert pod_of(golden("defaults"))["runtimeClassName"] == "nvidia"
    assert "runtimeClassName" not in pod_of(golden("minimal"))


def test_the_least_needs_no_right_and_no_privilege() -> None:
    """Without identity and GPUs nothing but a restricted pod is left: Pod Security's strictest level admits it."""
    manifests = golden("minimal")
    assert [manifest["kind"] for manifest in manifests] == ["ConfigMap", "DaemonSet"]
    pod = pod_of(manifests)
    (container,) = pod["containers"]
    security = container["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert all(set(volume) <= {"name", "configMap"} for volume in pod["volumes"])
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("case", CASES)
def test_a_node_has_one_agent(case: str) -> None:
    """An update never runs two on one node, and the Service's selector is the DaemonSet's own."""
    (daemonset,) = of_kind(golden(case), "DaemonSet")
    assert daemonset["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0
    selector = daemonset["spec"]["selector"]["matchLabels"]
    assert selector.items() <= daemonset["spec"]["template"]["metadata"]["labels"].items()
    for service in of_kind(golden(case), "Service"):
        assert service["spec"]["selector"] == selector
    for monitor in of_kind(golden(case), "PodMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"] == selector


@pytest.mark.parametrize("case", [case for case in CASES if case != "minimal"])
def test_any_one_gpu_label_suffices(case: str) -> None:
    """The terms of a node affinity are alternatives; each holds one label."""
    affinity = pod_of(golden(case))["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms
    assert all(len(term["matchExpressions"]) == 1 for term in terms)
    assert {expression["operator"] for term in terms for expression in term["matchExpressions"]} <= {"Exists", "In"}


def test_a_podmonitor_has_known_fields_only() -> None:
    """What is rendered for the Prometheus operator uses fields of monitoring.coreos.com/v1, and no more of them."""
    (monitor,) = of_kind(golden("everything"), "PodMonitor")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert set(monitor["spec"]) == {"jobLabel", "selector", "podMetricsEndpoints"}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert set(endpoint) == {"port", "path", "interval", "scrapeTimeout", "relabelings", "metricRelabelings"}
    (container,) = pod_of(golden("everything"))["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", r"values.yaml:1: a has no description"),
        ("# -- A section.\na:\n  b: 1\n", r"values.yaml:3: a.b has no description"),
        ("# A note.\na: 1\n", r"a has no description"),
        ("# -- One.\n\na: 1\n", r"a has no description"),
        ("# -- One.\n# @schema [1]\na: 1\n", r"values.yaml:3: a has a `# @schema` that is no mapping: \[1\]"),
        ("# -- Many.\na: []\n", r"a needs a `# @schema` with items"),
        ("# -- Many.\na: {}\n", r"a needs a `# @schema` with additionalProperties"),
        ("# -- What?\na: null\n", r"a needs a `# @schema` with a type"),
        ("# -- One.\n# @schema {$ref: k8s/Tolerations}\na: {}\n", r"Kubernetes has no Tolerations"),
    ],
)
def test_a_value_that_says_too_little_is_refused(text: str, message: str) -> None:
    """Whoever adds a value documents and types it; the message names the line and the key."""
    with pytest.raises(UndocumentedError, match=message):
        build_schema(read_values(text), agent_schema())


def test_a_description_goes_over_lines_and_rules_add_up() -> None:
    """A comment's lines are one text; several `# @schema` lines are one rule; what is above `# --` is a note."""
    text = "# Note.\n# -- One\n# two.\n# @schema {minimum: 1}\n# @schema {maximum: 5}\na: 3\n"
    (value,) = read_values(text)
    assert (value.text, value.rule) == ("One two.", {"minimum": 1, "maximum": 5})
    told = build_schema([value], agent_schema())["properties"]["a"]
    assert told == {"description": "One two.", "type": "integer", "minimum": 1, "maximum": 5, "default": 3}


def test_a_readme_without_its_marks_is_refused() -> None:
    """The table is never written to where nobody expects it."""
    with pytest.raises(ValueError, match="marks are missing"):
        fill_readme("# Chart\n", (), {})
