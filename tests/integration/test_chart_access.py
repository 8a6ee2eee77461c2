# SPDX-License-Identifier: Apache-2.0
"""How the chart reaches GPUs, what it asks of the cluster, and what of that cannot be meant together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import CASES, GOLDENS, VALUES, Manifest, of_kind, parse, pod_of
from integration.programs import Needs
from integration.rendering import notes, refusal, render, rendered

NO_TIER = "rbac: {tier: local}\n"


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


def configuration(manifests: tuple[Manifest, ...]) -> Any:
    """Give the agent's configuration as it is rendered."""
    (configmap,) = of_kind(manifests, "ConfigMap")
    return yaml.safe_load(configmap["data"]["inferometer.yaml"])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ("gpuAccess: {mode: dra, migMonitor: true}", ["gpuAccess.migMonitor", "gpuAccess.mode is dra"]),
        (
            "gpuAccess: {mode: hostPath}\nconfig: {devices: {nvidia: {enabled: false}}}",
            ["gpuAccess.mode is hostPath", "config.devices.nvidia.enabled"],
        ),
        ("gpuAccess: {mode: dra, dra: {deviceClassNames: null}}", ["gpuAccess.mode", "gpuAccess.dra.deviceClassNames"]),
        (
            NO_TIER + "config: {identity: {pods: {source: api}}}",
            ["rbac.tier is local", "config.identity.pods.source is api"],
        ),
        (
            NO_TIER + "config: {identity: {pods: {source: kubelet_http}}}",
            ["rbac.tier is local", "config.identity.pods.source is kubelet_http"],
        ),
        (
            NO_TIER + "config: {identity: {claims: {source: api}}}",
            ["rbac.tier is local", "config.identity.claims.source is api", "node+claims"],
        ),
        (
            "rbac: {tier: node}\nconfig: {identity: {claims: {source: api}}}",
            ["rbac.tier is node", "config.identity.claims.source is api", "node+claims"],
        ),
        (
            "rbac: {tier: node}\nconfig: {identity: {slices: {enabled: true}}}",
            ["rbac.tier is node", "config.identity.slices.enabled is true"],
        ),
        (
            NO_TIER + "config: {identity: {pods: {server: 'https://10.0.0.1'}}}",
            ["rbac.tier is local", "config.identity.pods.server is https://10.0.0.1"],
        ),
        (
            "persistence: {hostPath: /var/lib/kubelet}\nhostAccess: {kernelLog: true}",
            ["persistence.hostPath is /var/lib/kubelet", "for it alone"],
        ),
        (
            "persistence: {hostPath: /etc/a/b}\nhostAccess: {kernelLog: true}",
            ["persistence.hostPath is /etc/a/b", "for it alone"],
        ),
        ("extraVolumes: [{name: spool, emptyDir: {}}]", ["extraVolumes", "volume spool"]),
        (
            NO_TIER + "config: {devices: {nvidia: {release: {annotation: a/b}}}}",
            ["rbac.tier is local", "config.devices.nvidia.release.annotation"],
        ),
        (
            NO_TIER + "config: {server: {auth: {token_review: true}}}",
            ["rbac.tier is local", "config.server.auth.token_review"],
        ),
        (
            "extraEnv: [{name: INFEROMETER_IDENTITY__PODS__SERVER, value: 'http://a'}]",
            ["extraEnv sets INFEROMETER_IDENTITY__PODS__SERVER", "rbac.tier"],
        ),
        (
            "config: {accounting: {state: /var/lib/inferometer/counters}}",
            ["config.accounting.state is /var/lib/inferometer/counters", "persistence.hostPath is empty"],
        ),
        (
            "persistence: {hostPath: /var/lib/inferometer}\nconfig: {accounting: {state: /var/lib/other/counters}}",
            ["config.accounting.state is /var/lib/other/counters", "persistence.hostPath is /var/lib/inferometer"],
        ),
        (
            "extraEnv: [{name: INFEROMETER_ACCOUNTING__STATE, value: /var/lib/elsewhere/counters}]",
            ["extraEnv sets INFEROMETER_ACCOUNTING__STATE", "config.accounting.state"],
        ),
        (
            "persistence: {hostPath: /var/lib/../inferometer}\nhostAccess: {kernelLog: true}",
            ["persistence.hostPath is /var/lib/../inferometer", "dots"],
        ),
        (
            (
                "persistence: {hostPath: /var/lib/inferometer}\n"
                "config: {otlp: {endpoint: 'http://c:4318', spool: {directory: /var/spool/inferometer}}}"
            ),
            ["config.otlp.spool.directory is /var/spool/inferometer", "persistence.hostPath is /var/lib/inferometer"],
        ),
        (
            (
                "persistence: {hostPath: /var/lib/inferometer}\nhostAccess: {kernelLog: true}\n"
                "config: {devices: {kernel_log: {state: /var/lib/inferometer-log/read}}}"
            ),
            ["config.devices.kernel_log.state", "persistence.hostPath"],
        ),
        (
            (
                "persistence: {hostPath: /var/lib/inferometer}\nhostAccess: {kernelLog: true}\n"
                "config: {devices: {nvidia: {release: {file: /var/lib/inferometer/release}}}}"
            ),
            ["persistence.hostPath", "config.devices.nvidia.release.file"],
        ),
        (
            "openshift: {enabled: true}\nsecurityContext: {seLinuxOptions: {type: container_t}}",
            ["securityContext.seLinuxOptions", "openshift.seLinuxType"],
        ),
        *(
            (
                f"config: {{devices: {{nvidia: {{release: {{file: {file}}}}}}}}}",
                ["config.devices.nvidia.release.file is in ", "mounts that directory"],
            )
            # The last: beside the container runtime's socket, by which the node is anybody's who may read it.
            for file in ("/release", "/etc/release", "/var/lib/release", "/etc/inferometer/release", "/run/release")
        ),
        *(
            (
                f"config: {{otlp: {{endpoint: 'http://c:4318', spool: {{directory: {directory}}}}}}}",
                [f"config.otlp.spool.directory is {directory}", "/var/spool/inferometer"],
            )
            for directory in ("spool", "/", "/etc/inferometer", "/run/inferometer", "/etc", "/opt")
        ),
        (
            "openshift: {enabled: true}\npodSecurityContext: {seLinuxOptions: {type: container_t}}",
            ["podSecurityContext.seLinuxOptions", "openshift.seLinuxType"],
        ),
        (
            "openshift: {enabled: true}\nrbac: {create: false}\nserviceAccount: {create: false}",
            ["openshift.enabled", "`default`"],
        ),
    ],
)
def test_values_that_contradict_are_refused_in_a_sentence(values: str, named: list[str], tmp_path: Path) -> None:
    """The render fails, and the one sentence that it fails with names both sides."""
    said = refusal(tmp_path, values)
    sentences = [line for line in said.splitlines() if line.startswith("- ")]
    assert len(sentences) == 1, said
    assert all(name in sentences[0] for name in named), said


@pytest.mark.parametrize(
    ("version", "values", "named"),
    [
        ("1.31.9", "mode: dra", ["Kubernetes v1.31.9", "serves none of resource.k8s.io/v1"]),
        ("1.32.0", "mode: dra", ["Kubernetes v1.32.0", "DRAAdminAccess", "gpuAccess.dra.adminAccessGate"]),
        ("1.33.5", "mode: dra", ["Kubernetes v1.33.5", "DRAAdminAccess"]),
    ],
)
def test_a_claim_is_refused_where_it_would_do_harm(version: str, values: str, named: list[str], tmp_path: Path) -> None:
    """Without the API there is no claim, and without its feature gate the claim would take every GPU."""
    said = refusal(tmp_path, f"gpuAccess: {{{values}}}", "--kube-version", version)
    assert [name for name in named if name not in said] == []
    assert sum(line.startswith("- ") for line in said.splitlines()) == 1


@pytest.mark.parametrize(
    ("version", "served", "has_exactly", "has_tolerations"),
    [
        ("1.32.0", "resource.k8s.io/v1beta1", False, False),
        ("1.33.0", "resource.k8s.io/v1beta2", True, False),
        ("1.34.0", "resource.k8s.io/v1", True, False),
        ("1.35.1-gke.1000", "resource.k8s.io/v1", True, False),
        ("1.36.0", "resource.k8s.io/v1", True, True),
    ],
)
def test_the_claim_has_the_form_that_is_served(
    version: str, served: str, has_exactly: bool, has_tolerations: bool, tmp_path: Path
) -> None:
    """The newest version of the API; every device, by admin access, and in whatever health where that can be said."""
    values = "gpuAccess: {mode: dra, dra: {adminAccessGate: true, deviceClassNames: [gpu.nvidia.com, mig.nvidia.com]}}"
    (template,) = of_kind(rendered(tmp_path, values, "--kube-version", version), "ResourceClaimTemplate")
    assert template["apiVersion"] == served
    expected: list[dict[str, Any]] = []
    for i, name in enumerate(("gpu.nvidia.com", "mig.nvidia.com")):
        asked: dict[str, Any] = {"deviceClassName": name, "allocationMode": "All", "adminAccess": True}
        if has_tolerations:
            asked["tolerations"] = [{"operator": "Exists"}]
        expected.append({"name": f"gpus-{i}", **({"exactly": asked} if has_exactly else asked)})
    assert template["spec"]["spec"]["devices"]["requests"] == expected


def test_another_claim_has_another_name(tmp_path: Path) -> None:
    """What a template asks for cannot be changed, so an upgrade makes another; labels and chart change nothing of it."""

    def name(*arguments: str) -> str:
        manifests = parse(render(tmp_path, "--set", "gpuAccess.mode=dra", *arguments))
        (template,) = of_kind(manifests, "ResourceClaimTemplate")
        assert list(template["spec"]) == ["spec"]
        (claim,) = pod_of(manifests)["resourceClaims"]
        assert claim["resourceClaimTemplateName"] == template["metadata"]["name"]
        assert {"name": claim["name"]} in pod_of(manifests)["containers"][0]["resources"]["claims"]
        return str(template["metadata"]["name"])

    assert name() == name("--set", "commonLabels.owner=a", "--set", "rbac.tier=local")
    assert name() != name("--set", "gpuAccess.dra.deviceClassNames={mig.nvidia.com}")
    versions = ("1.33.0", "1.34.0", "1.36.0")  # of the cluster, which may be upgraded under a release
    gate = ("--set", "gpuAccess.dra.adminAccessGate=true")
    assert len({name("--kube-version", version, *gate) for version in versions}) == len(versions)
    assert len(name("--set", f"fullnameOverride={'a' * 63}")) <= 63


@pytest.mark.parametrize(
    ("tier", "resources", "switched_off"),
    [
        ("local", [], {"claims": {"source": "off"}, "slices": {"enabled": False}}),
        ("node", ["pods"], {"claims": {"source": "off"}, "slices": {"enabled": False}}),
        ("node+claims", ["pods", "resourceclaims", "resourceslices"], {}),
    ],
)
def test_a_tier_gives_its_rights_and_no_source_is_down_for_ever(
    tier: str, resources: list[str], switched_off: dict[str, Any], tmp_path: Path
) -> None:
    """Each tier has its rules and no other; what it lacks is off in the agent's configuration; no right, no token."""
    manifests = rendered(tmp_path, f"rbac: {{tier: {tier}}}")
    rules = [rule for role in of_kind(manifests, "ClusterRole") for rule in role["rules"]]
    assert [resource for rule in rules for resource in rule["resources"]] == resources
    identity = configuration(manifests)["identity"]
    assert {key: identity[key] for key in ("claims", "slices") if key in identity} == switched_off
    assert pod_of(manifests)["automountServiceAccountToken"] is bool(resources)
    assert not of_kind(manifests, "Role")


def test_a_tier_leaves_the_nodes_own_files(tmp_path: Path) -> None:
    """Claims may be read from the node's files without a right; somebody has mounted those."""
    manifests = rendered(tmp_path, NO_TIER + "config: {identity: {claims: {source: node}}}")
    assert configuration(manifests)["identity"]["claims"] == {"source": "node"}


def test_the_chart_knows_the_names_of_its_volumes(tmp_path: Path) -> None:
    """Whatever is rendered, an extra volume of that name is refused."""
    named = {
        volume["name"] for case in CASES for volume in pod_of(parse((GOLDENS / f"{case}.yaml").read_text()))["volumes"]
    }
    given = [yaml.safe_load(path.read_text()) for path in VALUES.glob("*.yaml")]
    extra = {volume["name"] for values in given for volume in values.get("extraVolumes") or ()}
    ours = sorted(name for name in named - extra if not name.startswith("engine-secret-"))
    said = refusal(tmp_path, yaml.safe_dump({"extraVolumes": [{"name": name, "emptyDir": {}} for name in ours]}))
    assert sum(line.startswith("- extraVolumes has") for line in said.splitlines()) == len(ours) > 10


@pytest.mark.parametrize(
    ("root", "path", "place", "propagates"),
    [
        ("/run/nvidia/driver", "/run/nvidia/driver", "/run/nvidia/driver", True),
        ("/opt/nvidia//driver/", "/opt/nvidia/driver", "/run/nvidia/driver", True),
        ("/usr/local/nvidia", "/usr/local/nvidia", "/usr/local/nvidia", False),
        ("/", "/usr/lib/x86_64-linux-gnu", "/run/nvidia/driver/usr/lib/x86_64-linux-gnu", False),
    ],
)
def test_a_driver_is_mounted_where_the_agent_looks(
    root: str, path: str, place: str, propagates: bool, tmp_path: Path
) -> None:
    """A directory that a driver's container mounts over later is seen when it has; of `/` the library's directory is seen alone."""
    pod = pod_of(rendered(tmp_path, f"gpuAccess: {{mode: hostPath, driverRoot: {root}}}"))
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "driver")
    (mount,) = (mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "driver")
    assert (volume["hostPath"]["path"], mount["mountPath"]) == (path, place)
    assert ("mountPropagation" in mount) is propagates


def test_the_labels_of_amd_count_where_its_gpus_are_read(tmp_path: Path) -> None:
    """And on every node where no label is asked for."""

    def keys(values: str) -> set[str]:
        pod = pod_of(rendered(tmp_path, values))
        if "affinity" not in pod:
            return set()
        terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        return {expression["key"] for term in terms for expression in term["matchExpressions"]}

    amd = "feature.node.kubernetes.io/amd-gpu"
    assert amd not in keys("")
    assert {amd, "nvidia.com/gpu.present"} <= keys("gpuAccess: {amd: true}")
    assert keys("gpuAccess: {amd: true}\ngpuNodeLabels: [a]\namdNodeLabels: null") == {"a"}
    assert keys("gpuAccess: {amd: true}\ngpuNodeLabels: []") == set()


def test_a_container_that_is_made_privileged_by_hand_is_one_that_kubernetes_takes(tmp_path: Path) -> None:
    """The API server refuses it beside `allowPrivilegeEscalation: false`, the default, and OpenShift without a constraint's leave."""
    manifests = rendered(tmp_path, "securityContext: {privileged: true}\nopenshift: {enabled: true}")
    context = pod_of(manifests)["containers"][0]["securityContext"]
    assert context["privileged"] is True
    assert context.get("allowPrivilegeEscalation", True) is True
    (constraint,) = of_kind(manifests, "SecurityContextConstraints")
    assert constraint["allowPrivilegedContainer"] is True
    assert "securityContext.privileged makes the agent's container privileged" in notes(
        tmp_path, "securityContext: {privileged: true}"
    )


def test_an_annotation_stands_once(tmp_path: Path) -> None:
    """What the chart says of its pods, its values may say otherwise; a key that stands twice is refused by strict readers."""
    given = {"openshift.io/required-scc": "privileged", "checksum/config": "0", "a": "{{ b }}"}
    (daemonset,) = of_kind(
        rendered(tmp_path, yaml.safe_dump({"openshift": {"enabled": True}, "podAnnotations": given})), "DaemonSet"
    )
    told = daemonset["spec"]["template"]["metadata"]["annotations"]
    assert told["openshift.io/required-scc"] == "privileged"
    assert told["a"] == "{{ b }}"
    assert len(told["checksum/config"]) == 64  # a rollout follows the configuration whatever is given


def test_a_spool_may_be_where_nothing_else_is(tmp_path: Path) -> None:
    """An empty directory of the pod's stands in nobody's way, also right below the root."""
    values = "config: {otlp: {endpoint: 'http://c:4318', spool: {directory: /spool}}}"
    (agent,) = pod_of(rendered(tmp_path, values))["containers"]
    assert {"name": "spool", "mountPath": "/spool"} in agent["volumeMounts"]


def test_the_constraint_admits_the_capabilities_that_are_given(tmp_path: Path) -> None:
    """A capability of the values', besides MIG monitoring's; a privileged container asks for none."""
    values = "openshift: {enabled: true}\nsecurityContext: {capabilities: {add: [SYSLOG]}}\n"

    def allowed(more: str) -> list[str]:
        (constraint,) = of_kind(rendered(tmp_path, values + more), "SecurityContextConstraints")
        capabilities: list[str] = constraint["allowedCapabilities"]
        return capabilities

    assert allowed("") == ["SYSLOG"]
    assert allowed("gpuAccess: {migMonitor: true}") == ["SYSLOG", "SYS_ADMIN"]
    assert allowed("hostAccess: {kernelLog: true}") == []


def test_what_is_kept_follows_what_is_asked_for(tmp_path: Path) -> None:
    """The counters, the spool and the log's place are put into the one directory, each where it is used; a push by a variable counts."""
    assert "accounting" not in configuration(rendered(tmp_path, ""))
    kept = "persistence: {hostPath: /srv/a/b}\n"
    assert configuration(rendered(tmp_path, kept))["accounting"] == {"state": "/srv/a/b/counters"}
    named = "config: {accounting: {state: /srv/a/b/mine, linger: 1m}}"
    assert configuration(rendered(tmp_path, kept + named))["accounting"] == {"state": "/srv/a/b/mine", "linger": "1m"}
    config = configuration(rendered(tmp_path, kept + "config: {otlp: {endpoint: 'http://c:4318'}}"))
    assert config["otlp"]["spool"] == {"directory": "/srv/a/b/spool"}
    assert config["devices"]["kernel_log"] == {"enabled": False}
    variable = "extraEnv: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: 'http://c:4318'}]"
    assert configuration(rendered(tmp_path, kept + variable))["otlp"]["spool"] == {"directory": "/srv/a/b/spool"}
    config = configuration(rendered(tmp_path, kept + "hostAccess: {kernelLog: true}"))
    assert config["devices"]["kernel_log"]["state"] == "/srv/a/b/kernel-log"
    assert "otlp" not in config
    own = "config: {otlp: {spool: {directory: /srv/a/b/mine, max_size: 1GiB}}}"
    manifests = rendered(tmp_path, kept + own)
    assert configuration(manifests)["otlp"]["spool"] == {"directory": "/srv/a/b/mine", "max_size": "1GiB"}
    assert "spool" not in [volume["name"] for volume in pod_of(manifests)["volumes"]]


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        (
            "gpuAccess: {mode: dra}",
            [
                "kubectl label namespace gpus resource.kubernetes.io/admin-access=true",
                "kubectl get deviceclass gpu.nvidia.com",
            ],
            ["runtimeclass", "privileged."],
        ),
        (
            "gpuAccess: {mode: hostPath}",
            ["gpuAccess.mode hostPath makes the agent's container privileged", "has no /run/nvidia/driver"],
            ["runtimeclass", "gpuAccess.migMonitor"],
        ),
        ("rbac: {tier: local}", ["the API server (rbac.tier)", "claims (rbac.tier", "slices (rbac.tier"], ["bind "]),
        ("rbac: {tier: node, create: false}", ["list and watch pods;", "claims (rbac.tier"], ["get resourceclaims"]),
        (
            (
                "persistence: {hostPath: /srv/a/b}\nconfig: {otlp: {endpoint: 'http://c:4318'}}\n"
                "securityContext: {runAsUser: 65532}"
            ),
            ["chown 65532 /srv/a/b"],
            [],
        ),
        ("openshift: {enabled: true}", [], ["This is OpenShift", "oc adm policy"]),
        (
            "openshift: {enabled: true}\nrbac: {create: false}",
            ["oc adm policy add-scc-to-user gpus-gauge-inferometer -n gpus -z gauge-inferometer"],
            [],
        ),
        (
            "rbac: {create: false}\nconfig: {devices: {nvidia: {release: {annotation: a/b}}}}",
            ["get and watch nodes;"],
            [],
        ),
    ],
)
def test_the_notes_say_what_is_missing(values: str, said: list[str], unsaid: list[str], tmp_path: Path) -> None:
    """After an installation a person reads what a mode or a tier needs, and what it leaves out."""
    text = notes(tmp_path, values)
    assert [words for words in said if words not in text] == []
    assert [words for words in unsaid if words in text] == []
