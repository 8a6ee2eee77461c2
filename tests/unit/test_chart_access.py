# SPDX-License-Identifier: Apache-2.0
"""What the golden renders of the chart give the agent's pod: GPUs, rights, and a place on the node."""

import posixpath
from typing import Any

import pytest
import yaml

from charts import CASES, CHART, GOLDENS, Manifest, of_kind, parse, pod_of
from inferometer.sources.devices import library


def golden(case: str) -> tuple[Manifest, ...]:
    return parse((GOLDENS / f"{case}.yaml").read_text(encoding="utf-8"))


def agent(case: str) -> Any:
    """Give the container of a case."""
    (container,) = pod_of(golden(case))["containers"]
    return container


def mounts(case: str) -> dict[str, Any]:
    return {mount["name"]: mount for mount in agent(case)["volumeMounts"]}


def hosts(case: str) -> dict[str, Any]:
    """What of the node is mounted."""
    volumes = pod_of(golden(case))["volumes"]
    return {volume["name"]: volume["hostPath"] for volume in volumes if "hostPath" in volume}


def test_a_claim_takes_no_gpu_and_no_privilege() -> None:
    """By admin access the pod is as it is by a runtime class: without capabilities, without device mounts, without the class."""
    (template,) = of_kind(golden("dra"), "ResourceClaimTemplate")
    pod = pod_of(golden("dra"))
    assert template["spec"]["spec"]["devices"]["requests"][0]["exactly"]["adminAccess"] is True
    assert pod["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": template["metadata"]["name"]}]
    assert agent("dra")["resources"]["claims"] == [{"name": "gpus"}]
    assert agent("dra")["securityContext"] == agent("defaults")["securityContext"]
    assert hosts("dra") == hosts("defaults")
    assert "runtimeClassName" not in pod
    assert not [variable for variable in agent("dra")["env"] if variable["name"].startswith("NVIDIA_")]


@pytest.mark.parametrize(
    ("case", "path", "found"),
    [
        ("host-path", "/usr/lib64", "/run/nvidia/driver/usr/lib64"),
        ("gke", "/home/kubernetes/bin/nvidia", "/home/kubernetes/bin/nvidia/lib64"),
    ],
)
def test_the_nodes_driver_is_mounted_where_the_agent_looks(case: str, path: str, found: str) -> None:
    """In one of the library's usual roots, read-only."""
    driver = mounts(case)["driver"]
    assert hosts(case)["driver"] == {"path": path, "type": "Directory"}
    assert found in library.ROOTS
    assert posixpath.commonpath((found, driver["mountPath"])) == driver["mountPath"]
    assert driver["readOnly"]


@pytest.mark.parametrize("case", ["host-path", "gke"])
def test_the_nodes_own_devices_take_a_privileged_container(case: str) -> None:
    """/dev is the node's, read-only, so that Kubernetes writes no message of the container's end into it."""
    assert agent(case)["securityContext"]["privileged"] is True
    assert "allowPrivilegeEscalation" not in agent(case)["securityContext"]  # refused beside it
    assert mounts(case)["dev"] == {"name": "dev", "mountPath": "/dev", "readOnly": True}
    assert not agent(case)["terminationMessagePath"].startswith("/dev/")


def test_privilege_is_there_where_its_values_say_so_and_nowhere_else() -> None:
    """Of all cases those that read device files of the node; and the one capability where MIG is monitored without it."""
    contexts = {case: agent(case)["securityContext"] for case in CASES}
    assert {case for case, context in contexts.items() if context.get("privileged")} == {
        "everything",
        "gke",
        "host-path",
        "otlp",
    }
    added = {case: context.get("capabilities", {}).get("add", []) for case, context in contexts.items()}
    assert {case: names for case, names in added.items() if names} == {
        "kubelet": ["SYS_ADMIN"],
        "openshift": ["SYS_ADMIN"],
        "runtime-class": ["SYS_ADMIN"],
    }
    assert {case for case in CASES if pod_of(golden(case)).get("hostPID")} == {"everything", "openshift"}
    assert all(context["readOnlyRootFilesystem"] for context in contexts.values() if "runAsGroup" in context)


def test_the_local_tier_has_no_right_at_all() -> None:
    """Neither role nor token; the kubelet's sockets are there."""
    assert not {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"} & {m["kind"] for m in golden("tier-local")}
    assert pod_of(golden("tier-local"))["automountServiceAccountToken"] is False
    assert {"pod-resources", "pods-api"} <= set(hosts("tier-local"))


def test_the_spool_and_the_logs_place_are_in_one_directory_of_the_node() -> None:
    """They outlive the pod, and so an upgrade and its rollback; no other directory of the node is written to."""
    (configmap,) = of_kind(golden("otlp"), "ConfigMap")
    config = yaml.safe_load(configmap["data"]["inferometer.yaml"])
    kept = hosts("otlp")["state"]
    assert kept == {"path": "/var/lib/inferometer", "type": "DirectoryOrCreate"}
    assert config["otlp"]["spool"]["directory"].startswith(f"{kept['path']}/")
    assert config["devices"]["kernel_log"]["state"].startswith(f"{kept['path']}/")
    assert [name for name, mount in mounts("otlp").items() if not mount.get("readOnly")] == ["state"]


# security.openshift.io/v1 SecurityContextConstraints
_OF_A_CONSTRAINT = frozenset(
    {
        *("apiVersion", "kind", "metadata", "priority", "users", "groups", "volumes", "fsGroup", "supplementalGroups"),
        *("allowHostDirVolumePlugin", "allowHostIPC", "allowHostNetwork", "allowHostPID", "allowHostPorts"),
        *("allowPrivilegeEscalation", "allowPrivilegedContainer", "allowedCapabilities", "defaultAddCapabilities"),
        *("requiredDropCapabilities", "readOnlyRootFilesystem", "runAsUser", "seLinuxContext", "seccompProfiles"),
    }
)


def test_the_constraint_admits_the_pod_and_little_else() -> None:
    """OpenShift's admission would take the pod under it, by its name; what the pod does not use is refused."""
    (constraint,) = of_kind(golden("openshift"), "SecurityContextConstraints")
    (daemonset,) = of_kind(golden("openshift"), "DaemonSet")
    pod, container = pod_of(golden("openshift")), agent("openshift")
    security = container["securityContext"]
    assert set(constraint) == _OF_A_CONSTRAINT
    name = constraint["metadata"]["name"]
    assert daemonset["spec"]["template"]["metadata"]["annotations"]["openshift.io/required-scc"] == name
    assert constraint["allowHostPID"] is pod["hostPID"] is True
    assert constraint["allowedCapabilities"] == security["capabilities"]["add"]
    assert constraint["requiredDropCapabilities"] == security["capabilities"]["drop"] == ["ALL"]
    assert constraint["runAsUser"] == {"type": "MustRunAs", "uid": security["runAsUser"]}
    assert constraint["seLinuxContext"]["seLinuxOptions"] == pod["securityContext"]["seLinuxOptions"]
    assert constraint["readOnlyRootFilesystem"] is security["readOnlyRootFilesystem"]
    assert constraint["seccompProfiles"] == ["runtime/default"]
    used = {key for volume in pod["volumes"] for key in volume if key != "name"}
    token = {"projected"}
    assert used | token <= set(constraint["volumes"])
    assert "csi" in constraint["volumes"]
    refused = ("IPC", "Network", "Ports")
    assert not any(constraint[f"allowHost{what}"] for what in refused)
    assert not constraint["allowPrivilegedContainer"]
    assert not constraint["allowPrivilegeEscalation"]


def test_only_the_agent_may_use_the_constraint() -> None:
    """One service account, in one namespace, by name."""
    (constraint,) = of_kind(golden("openshift"), "SecurityContextConstraints")
    (role,) = (
        role for role in of_kind(golden("openshift"), "ClusterRole") if role["metadata"]["name"].endswith("-scc")
    )
    (binding,) = of_kind(golden("openshift"), "RoleBinding")
    assert role["rules"] == [
        {
            "apiGroups": ["security.openshift.io"],
            "resources": ["securitycontextconstraints"],
            "resourceNames": [constraint["metadata"]["name"]],
            "verbs": ["use"],
        }
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert subject["name"] == pod_of(golden("openshift"))["serviceAccountName"]
    assert (constraint["users"], constraint["groups"]) == ([], [])


def test_what_is_for_one_mode_is_in_no_other() -> None:
    """Claims by `dra`, constraints on OpenShift, and nothing of either elsewhere."""
    kinds = {case: {manifest["kind"] for manifest in golden(case)} for case in CASES}
    assert {case for case in CASES if "ResourceClaimTemplate" in kinds[case]} == {"dra"}
    assert {case for case in CASES if "SecurityContextConstraints" in kinds[case]} == {"openshift"}


def test_the_examples_are_no_part_of_the_package() -> None:
    """Who installs the chart has no use for the values that it is tested with."""
    assert "ci/" in (CHART / ".helmignore").read_text(encoding="utf-8").splitlines()
