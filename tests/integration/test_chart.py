# SPDX-License-Identifier: Apache-2.0
"""Helm lints, renders and refuses the chart as a user would see it.

`INFEROMETER_UPDATE_GOLDENS=1` writes the golden renders anew.
"""

import os
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from charts import CASES, CHART, GOLDENS, parse, pod_of, values_file
from helm.generate.values import read_values
from integration.programs import Needs
from integration.rendering import helm, notes, refusal, render, render_case

OLDEST = 31  # the minor that Chart.yaml admits first
NEWEST = int(kubernetes_validate.latest_version().split(".")[1])
KUBERNETES = tuple(f"1.{minor}" for minor in range(OLDEST, NEWEST + 1))
NEWEST_CLUSTER = ("--kube-version", KUBERNETES[-1])  # each Helm takes another one for given
# The Prometheus operator's, and OpenShift's.
UNKNOWN_TO_KUBERNETES = {"PodMonitor", "ServiceMonitor", "SecurityContextConstraints"}


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


@pytest.mark.parametrize("case", CASES)
def test_helm_lints_it_strictly(case: str, tmp_path: Path) -> None:
    """`helm lint --strict` has no error and no warning."""
    values = values_file(case)
    answer = helm(tmp_path, "lint", "--strict", CHART, *(("--values", values) if values else ()))
    assert answer.returncode == 0, answer.stdout
    assert "[WARNING]" not in answer.stdout + answer.stderr


@pytest.mark.parametrize("case", CASES)
def test_it_renders_as_recorded(case: str, tmp_path: Path) -> None:
    """Every change of what is installed is seen in review."""
    rendered = render_case(tmp_path, case, *NEWEST_CLUSTER)
    golden = GOLDENS / f"{case}.yaml"
    if os.environ.get("INFEROMETER_UPDATE_GOLDENS"):
        golden.write_text(rendered, encoding="utf-8")
    assert rendered == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_helm_3_renders_the_same(needs: Needs, case: str, tmp_path: Path) -> None:
    """Whoever has not moved to Helm 4 installs the same objects; the two part them by other empty lines."""
    needs("helm3")
    rendered = render_case(tmp_path, case, *NEWEST_CLUSTER, program="helm3")
    assert _joined(rendered) == _joined((GOLDENS / f"{case}.yaml").read_text(encoding="utf-8"))


def _joined(rendered: str) -> str:
    """Leave out the empty lines at the ends of objects."""
    return re.sub(r"\n+(?=---\n)", "\n", rendered).rstrip("\n")


@pytest.mark.parametrize(
    ("case", "version"),
    # 1.31 serves no version of claims that the chart has: it refuses, which is tested with the other contradictions.
    [(case, version) for case in CASES for version in KUBERNETES if (case, version) != ("dra", "1.31")],
)
def test_kubernetes_knows_every_field(case: str, version: str, tmp_path: Path) -> None:
    """Each manifest fits the strict schema of every Kubernetes that the chart admits and we know."""
    gate = ("--set", "gpuAccess.dra.adminAccessGate=true")
    manifests = parse(render_case(tmp_path, case, "--kube-version", version, *(gate if case == "dra" else ())))
    for manifest in manifests:
        if manifest["kind"] not in UNKNOWN_TO_KUBERNETES:
            kubernetes_validate.validate(dict(manifest), version, strict=True)
    assert len(manifests) >= 2


def test_the_strict_schema_would_have_found_something(tmp_path: Path) -> None:
    """The check above is no empty one: a misspelt field of a manifest is refused."""
    (configmap, *_) = [m for m in parse(render(tmp_path)) if m["kind"] == "ConfigMap"]
    with pytest.raises(kubernetes_validate.ValidationError, match="datas"):
        kubernetes_validate.validate({**configmap, "datas": {}}, KUBERNETES[-1], strict=True)


def test_helm_refuses_an_older_kubernetes(tmp_path: Path) -> None:
    """What nobody tests is not installed."""
    answer = helm(tmp_path, "template", "inferometer", CHART, "--kube-version", f"1.{OLDEST - 1}.9")
    assert answer.returncode != 0
    assert f">=1.{OLDEST}.0" in answer.stderr


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (
            "podMonitor: {enabled: true}\nconfig: {otlp: {endpoint: 'http://c:4318'}}",
            ["podMonitor.enabled", "config.otlp.endpoint"],
        ),
        (
            "podMonitor: {enabled: true}\nextraEnv: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: 'http://c:4318'}]",
            ["podMonitor.enabled", "extraEnv's OTEL_EXPORTER_OTLP_ENDPOINT"],
        ),
        (
            "podMonitor: {interval: 1m, scrapeTimeout: 61s}",
            ["podMonitor.scrapeTimeout is 61s", "podMonitor.interval is 1m"],
        ),
        (
            "podMonitor: {enabled: true}\npodAnnotations: {prometheus.io/scrape: 'true'}",
            ["podMonitor.enabled", "prometheus.io/scrape"],
        ),
        ("serviceAccount: {create: false}", ["rbac.create", "`default`"]),
        (
            "podSecurityContext: {runAsNonRoot: true}",
            ["podSecurityContext.runAsNonRoot", "securityContext.runAsUser is 0"],
        ),
        ("gpuAccess: {mode: none, migMonitor: true}", ["gpuAccess.migMonitor", "gpuAccess.mode is none"]),
        ("config: {devices: {nvidia: {enabled: false}}}", ["gpuAccess.mode", "config.devices.nvidia.enabled"]),
        (
            "config: {identity: {podresources: {socket: /var/lib/kubelet/kubelet.sock}}}",
            ["config.identity.podresources.socket", "/var/lib/kubelet and"],
        ),
        (
            "config: {identity: {podresources: {socket: pod-resources/kubelet.sock}}}",
            ["config.identity.podresources.socket", "pod-resources and"],
        ),
        (
            "config: {identity: {pods: {socket: /var/lib/kubelet/pods-api.sock}}}",
            ["config.identity.pods.socket", "/var/lib/kubelet and"],
        ),
        (
            "config: {devices: {kernel_log: {enabled: true}}}",
            ["hostAccess.kernelLog is false", "config.devices.kernel_log.enabled is true"],
        ),
        (
            "hostAccess: {kernelLog: true}\nconfig: {devices: {kernel_log: {enabled: false}}}",
            ["hostAccess.kernelLog is true", "config.devices.kernel_log.enabled is false"],
        ),
        (
            "config: {identity: {processes: {enabled: true}}}",
            ["hostAccess.processes is false", "config.identity.processes.enabled is true"],
        ),
        (
            "config: {devices: {amd: {enabled: true}}}",
            ["gpuAccess.amd is false", "config.devices.amd.enabled is true"],
        ),
        (
            "hostAccess: {processes: true}\nconfig: {devices: {nvidia: {processes: false}}}",
            ["hostAccess.processes", "config.devices.nvidia.processes"],
        ),
        (
            "hostAccess: {kernelLog: true}\ngpuAccess: {mode: none}\nconfig: {devices: {nvidia: {enabled: false}}}",
            ["hostAccess.kernelLog", "config.devices.nvidia.enabled"],
        ),
        (
            "hostAccess: {kernelLog: true}\nconfig: {devices: {kernel_log: {state: /var/lib/kernel-log}}}",
            ["config.devices.kernel_log.state is in /var/lib", "writable"],
        ),
        (
            (
                "{hostAccess: {kernelLog: true}, "
                "config: {devices: {kernel_log: {state: /var/lib/a/log}, nvidia: {release: {file: /var/lib/a/release}}}}}"
            ),
            ["config.devices.kernel_log.state", "config.devices.nvidia.release.file"],
        ),
        (
            "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}",
            ["gpuNodeLabels", "affinity.nodeAffinity"],
        ),
        (
            "config: {engines: {credentials: [{name: a, token_file: /etc/inferometer-secrets/gateway/token}]}}",
            ["config.engines.credentials", "token_file", "engineSecrets has no gateway"],
        ),
        ("config: {node: {name: node-1}}", ["config.node.name is node-1", "DaemonSet"]),
        ("config: {server: {listen: '127.0.0.1:9466'}}", ["config.server.listen is 127.0.0.1:9466", "probes"]),
        ("config: {server: {listen: '[::1]:9466'}}", ["config.server.listen is [::1]:9466", "probes"]),
        ("config: {server: {listen: ':0'}}", ["config.server.listen is :0", "scrapers"]),
        ("extraEnv: [{name: NODE_NAME, value: a}]", ["extraEnv sets NODE_NAME", "the node's name"]),
        (
            "extraEnv: [{name: INFEROMETER_SERVER__LISTEN, value: ':1'}]",
            ["extraEnv sets INFEROMETER_SERVER__LISTEN", "config.server.listen"],
        ),
        ("podLabels: {app.kubernetes.io/name: x}", ["podLabels", "app.kubernetes.io/name", "DaemonSet"]),
    ],
)
def test_values_that_contradict_are_refused_in_a_sentence(values: str, named: list[str], tmp_path: Path) -> None:
    """The render fails, and the one sentence that it fails with names both sides."""
    said = refusal(tmp_path, values)
    sentences = [line for line in said.splitlines() if line.startswith("- ")]
    assert len(sentences) == 1, said
    assert all(name in sentences[0] for name in named), said


def test_all_contradictions_are_told_at_once(tmp_path: Path) -> None:
    """Nobody mends one value after the other."""
    said = refusal(
        tmp_path, "serviceAccount: {create: false}\nconfig: {node: {name: a}, server: {listen: 'localhost:0'}}"
    )
    assert sum(line.startswith("- ") for line in said.splitlines()) == 4


def test_the_api_server_need_not_be_asked(tmp_path: Path) -> None:
    """Pods by the kubelet's socket, and claims off: no role, no token, and nobody told of in vain."""
    off = ("--set", "config.identity.claims.source=off", "--set", "config.identity.slices.enabled=false")
    manifests = parse(render(tmp_path, "--set", "config.identity.pods.source=kubelet_socket", *off))
    assert not {"ClusterRole", "ClusterRoleBinding"} & {manifest["kind"] for manifest in manifests}
    pod = pod_of(manifests)
    assert pod["automountServiceAccountToken"] is False
    assert "pods-api" in [volume["name"] for volume in pod["volumes"]]


@pytest.mark.parametrize(
    ("identity", "resources"),
    [
        ("", ["pods", "resourceclaims", "resourceslices"]),
        ("pods: {source: kubelet_socket}", ["resourceclaims", "resourceslices"]),
        ("pods: {source: kubelet_http}", ["nodes/pods", "resourceclaims", "resourceslices"]),
        ("pods: {source: off}, claims: {source: api}", ["resourceclaims"]),
        ("claims: {source: node}", ["pods", "resourceslices"]),
        ("slices: {enabled: false}", ["pods", "resourceclaims"]),
        ("podresources: {enabled: false}", ["pods"]),
    ],
)
def test_the_rights_follow_the_sources(identity: str, resources: list[str], tmp_path: Path) -> None:
    """Each right is there for one source, and a token wherever there is one."""
    file = tmp_path / "values.yaml"
    file.write_text(f"config: {{identity: {{{identity}}}}}", encoding="utf-8")
    manifests = parse(render(tmp_path, "--values", file))
    (role,) = (manifest for manifest in manifests if manifest["kind"] == "ClusterRole")
    assert [resource for rule in role["rules"] for resource in rule["resources"]] == resources
    assert pod_of(manifests)["automountServiceAccountToken"] is True


def test_probes_rights_and_scrapes_follow_the_endpoint(tmp_path: Path) -> None:
    """With TLS the kubelet and Prometheus ask by https; with reviewed tokens the agent may create the two reviews."""
    file = tmp_path / "values.yaml"
    server = "{tls: {certificate: /tls/tls.crt, key: /tls/tls.key}, auth: {token_review: true}}"
    file.write_text(f"config: {{server: {server}}}\npodMonitor: {{enabled: true}}\n", encoding="utf-8")
    manifests = parse(render(tmp_path, "--values", file))
    (agent,) = pod_of(manifests)["containers"]
    assert [agent[probe]["httpGet"]["scheme"] for probe in ("livenessProbe", "readinessProbe")] == ["HTTPS", "HTTPS"]
    (monitor,) = (manifest for manifest in manifests if manifest["kind"] == "PodMonitor")
    assert monitor["spec"]["podMetricsEndpoints"][0]["scheme"] == "https"
    (role,) = (manifest for manifest in manifests if manifest["kind"] == "ClusterRole")
    assert [(rule["resources"], rule["verbs"]) for rule in role["rules"]][-2:] == [
        (["tokenreviews"], ["create"]),
        (["subjectaccessreviews"], ["create"]),
    ]


def test_a_proc_of_the_nodes_does_without_its_process_namespace(tmp_path: Path) -> None:
    """Whoever mounts the node's /proc elsewhere, and says so, has processes without hostPID."""
    manifests = parse(
        render(
            tmp_path,
            *("--set", "config.identity.processes.proc=/host/proc"),
            *("--set", "config.identity.processes.enabled=true"),
        )
    )
    (configmap,) = (manifest for manifest in manifests if manifest["kind"] == "ConfigMap")
    config = yaml.safe_load(configmap["data"]["inferometer.yaml"])
    assert config["identity"]["processes"] == {"enabled": True, "proc": "/host/proc"}
    assert "hostPID" not in pod_of(manifests)


def test_amd_gpus_need_no_runtime_class(tmp_path: Path) -> None:
    """The node's devices and its ROCm are mounted, in a privileged container; NVIDIA has no part in it."""
    arguments = ("--set", "gpuAccess.mode=none", "--set", "gpuAccess.amd=true")
    pod = pod_of(parse(render(tmp_path, *arguments, "--set", "config.devices.nvidia.enabled=false")))
    (container,) = pod["containers"]
    assert container["securityContext"]["privileged"] is True
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/dev/kfd", "/dev/dri", "/opt/rocm", "/run/inferometer"} <= mounted
    assert "runtimeClassName" not in pod


def test_both_routes_may_be_meant(tmp_path: Path) -> None:
    """Two backends, one by each route, are a choice: it is said once."""
    arguments = ("--set", "podMonitor.enabled=true", "--set", "config.otlp.endpoint=http://c:4318")
    assert "kind: PodMonitor" in render(tmp_path, *arguments, "--set", "allowBothRoutes=true")


def test_a_scrape_may_last_as_long_as_its_interval(tmp_path: Path) -> None:
    """Only longer is refused, whatever the units."""
    render(tmp_path, "--set", "podMonitor.interval=1m", "--set", "podMonitor.scrapeTimeout=60s")


def test_a_scraped_agent_is_named_by_its_node(tmp_path: Path) -> None:
    """`instance` is the node, as it is by OTLP: an alert names it, and remembers what was before a rollout."""
    rendered = yaml.safe_load_all(render(tmp_path, "--set", "podMonitor.enabled=true"))
    (monitor,) = (found for found in rendered if found["kind"] == "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "instance"}]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ("serviceAcount: {create: true}", "serviceAcount"),
        ("config: {server: {lisen: ':1'}}", "lisen"),
        ("config: {engines: {targets: [{uri: 'http://a'}]}}", "uri"),
        ("tolerations: [{operater: Exists}]", "operater"),
        ("image: null", "image"),
        ("image: {pullPolicy: Sometimes}", "/image/pullPolicy"),
        ("nameOverride: A_B", "/nameOverride"),
        ("fullnameOverride: Gauge", "/fullnameOverride"),
    ],
)
def test_helm_refuses_what_the_schema_does(values: str, place: str, tmp_path: Path) -> None:
    """Helm reads the schema as the tests do, and names the place."""
    said = refusal(tmp_path, values)
    assert "schema" in said
    assert place in said


def test_what_has_a_default_can_be_cleared(tmp_path: Path) -> None:
    """Every mapping and list may be null, and an empty section of the configuration is its defaults."""
    given = read_values((CHART / "values.yaml").read_text(encoding="utf-8"))
    cleared: dict[str, Any] = {}
    for value in given:
        if not value.section and isinstance(value.default, dict | list):
            section = cleared
            for name in value.path[:-1]:
                section = section.setdefault(name, {})
            section[value.path[-1]] = None
    for config in (None, {"server": None, "otlp": None, "identity": {"pods": None, "podresources": None}}):
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump({**cleared, "config": config}), encoding="utf-8")
        pod = pod_of(parse(render(tmp_path, "--values", file)))
        (container,) = pod["containers"]
        assert not {"affinity", "tolerations", "nodeSelector", "imagePullSecrets"} & set(pod)
        assert not {"resources", "securityContext", "envFrom"} & set(container)
        assert container["ports"][0]["containerPort"] == 9466
        assert "pod-resources" in [volume["name"] for volume in pod["volumes"]]


def test_the_names_are_the_releases(tmp_path: Path) -> None:
    """Two releases share nothing, in one namespace or in two."""
    objects: set[tuple[str, ...]] = set()
    for release, namespace in (("a", "x"), ("b", "x"), ("a", "y")):
        answer = helm(tmp_path, "template", release, CHART, "--namespace", namespace)
        rendered = parse(answer.stdout)
        named = {(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in rendered}
        assert len(named) == len(rendered)
        assert not objects & named
        objects |= named


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        (
            "",
            ["Nothing collects yet", "without a registry", "kubectl get runtimeclass nvidia", "privileged"],
            ["capability SYS_ADMIN", "makes the agent's container privileged", "hostPID)."],
        ),
        ("", ["What is off, and why:", "gpuAccess.migMonitor", "hostAccess.kernelLog", "hostAccess.processes"], []),
        (
            "hostAccess: {kernelLog: true, processes: true}\ngpuAccess: {migMonitor: true}",
            ["hostAccess.kernelLog makes the agent's container privileged", "every process of the node (hostPID)."],
            ["What is off"],
        ),
        (
            "gpuAccess: {mode: none, amd: true}\nconfig: {devices: {nvidia: {enabled: false}}}",
            ["gpuAccess.amd makes the agent's container privileged"],
            ["reports zero devices", "the kernel's log"],
        ),
        ("config: {identity: {pods: {source: kubelet_http}}}", ["kubelet_ca_file"], ["before 1.33"]),
        ("config: {identity: {claims: {source: node}}}", ["checkpoint and cdi_dir"], ["claims ("]),
        (
            "config: {identity: {claims: {source: off}, slices: {enabled: false}, podresources: {enabled: false}}}",
            ["who holds which GPU"],
            ["claims (", "slices ("],
        ),
        ("config: {identity: {claims: {source: off}, slices: {enabled: false}}}", ["claims (", "slices ("], []),
        (
            "image: {repository: r/i}\npodMonitor: {enabled: true}",
            ["not known to have monitoring.coreos.com/v1/PodMonitor", "podMonitor.labels is empty"],
            ["Nothing collects", "registry"],
        ),
        (
            "config: {otlp: {endpoint: 'http://c:4318', headers: {a: hush}}}",
            ["otlp.headers", "OTEL_EXPORTER_OTLP_HEADERS"],
            ["Nothing collects", "hush"],
        ),
        (
            "config: {engines: {targets: [{url: 'http://u:hush@a', headers: {a: hush}}]}}",
            ["INFEROMETER_ENGINES__TARGETS"],
            ["hush"],
        ),
        ("rbac: {create: false}", ["rbac.create is false", "bind gauge-inferometer", "list and watch pods"], []),
        ("config: {identity: {pods: {source: off}}}", ["pods (config.identity.pods.source)"], ["rbac.create"]),
        ("gpuAccess: {mode: none}", ["reports zero devices"], ["runtimeclass"]),
        ("gpuAccess: {migMonitor: true}", ["capability SYS_ADMIN"], []),
    ],
)
def test_the_notes_say_what_is_missing(values: str, said: list[str], unsaid: list[str], tmp_path: Path) -> None:
    """After an installation a person reads what to do next, what is missing, and never a secret."""
    text = notes(tmp_path, values)
    assert "kubectl -n gpus rollout status daemonset/gauge-inferometer" in text
    assert [words for words in said if words not in text] == []
    assert [words for words in unsaid if words in text] == []


def test_helm_3_refuses_the_same(needs: Needs, tmp_path: Path) -> None:
    """Contradictions and misspelt keys are refused by either Helm, in the same words and at the same place."""
    needs("helm3")
    contradictory, misspelt = tmp_path / "a.yaml", tmp_path / "b.yaml"
    contradictory.write_text("rbac: {tier: local}\nconfig: {node: {name: a}, identity: {pods: {source: api}}}\n")
    misspelt.write_text("rbac: {teir: local}\n")
    for values, said in ((contradictory, "- rbac.tier is local and"), (misspelt, "'teir' not allowed")):
        answers = [
            helm(tmp_path, "template", "inferometer", CHART, "--values", values, program=program).stderr
            for program in ("helm", "helm3")
        ]
        assert [said in answer for answer in answers] == [True, True], answers
