# SPDX-License-Identifier: Apache-2.0
"""What is switched off is named by `inferometer check`, with what it costs and the chart's value that brings it."""

import re
from pathlib import Path

import pytest
import yaml

from charts import CASES, CHART, GOLDENS, of_kind, parse
from helm.generate.values import read_values
from inferometer.app import Finding
from inferometer.app.checking import unsupported
from inferometer.app.switched_off import switched_off
from inferometer.config import load
from inferometer.model import Resource, Snapshot, Unsupported

_BARE = {"INFEROMETER_IDENTITY__PODS__SOCKET": "/nonexistent/pods-api.sock"}  # a node where nobody tells of pods


def off(file: Path, text: str) -> dict[str, Finding]:
    """What is off by a configuration."""
    file.write_text(text, encoding="utf-8")
    status = status_with(file.parent, "000001ffffffffff")
    return {finding.source: finding for finding in switched_off(load(str(file), _BARE), _BARE, status)}


def status_with(folder: Path, capabilities: str) -> Path:
    """What the kernel tells of a process with these effective capabilities."""
    status = folder / "status"
    status.write_text(f"Name:\tinferometer\nGroups:\t\nCapPrm:\t{0:016x}\nCapEff:\t{capabilities}\n")
    return status


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "inferometer.yaml"


@pytest.mark.parametrize(
    ("text", "source", "cost", "value"),
    [
        ("devices: {kernel_log: {enabled: false}}", "kernel_log", "SXIDs are not counted", "hostAccess.kernelLog"),
        ("identity: {processes: {enabled: false}}", "cgroups", "divided without it", "hostAccess.processes"),
        ("identity: {claims: {source: off}}", "claims", "role is unknown", "rbac.tier: node+claims"),
        ("identity: {slices: {enabled: false}}", "slices", "NVIDIA's driver only", "rbac.tier: node+claims"),
        ("identity: {pods: {source: off}}", "pods", "namespace and name only", "rbac.tier: node)"),
        (
            "identity: {podresources: {enabled: false}}",
            "podresources",
            "who holds which device",
            "podresources.enabled",
        ),
    ],
)
def test_what_is_off_is_named(text: str, source: str, cost: str, value: str, file: Path) -> None:
    """With what it costs, and what would bring it."""
    finding = off(file, text)[source]
    assert finding.state == "off"
    assert cost in finding.reason
    assert value in finding.remedy


@pytest.mark.parametrize(
    ("capabilities", "named"),
    [("0000000000000000", {"mig"}), ("0000000000200000", set()), ("000001ffffdfffff", {"mig"}), ("", set())],
)
def test_what_mig_keeps_to_the_privileged_is_named(capabilities: str, named: set[str], file: Path) -> None:
    """Without CAP_SYS_ADMIN, as the chart has it by default, and only where the kernel says so."""
    file.write_text("{identity: {pods: {source: api, server: 'https://127.0.0.1'}}}", encoding="utf-8")
    found = switched_off(load(str(file), _BARE), _BARE, status_with(file.parent, capabilities))
    assert {finding.source for finding in found} - {"pods"} == named
    assert all("gpuAccess.migMonitor" in finding.remedy for finding in found if finding.source == "mig")


def test_what_is_on_is_not_named(file: Path) -> None:
    """Defaults switch nothing off; of this node only the pods cannot be told by anybody."""
    assert set(off(file, "period: 5s")) == {"pods"}


def test_what_nobody_wants_is_not_named(file: Path) -> None:
    """Without a kubelet no claim is heard of, without a driver no XID and no process."""
    text = (
        "{devices: {nvidia: {enabled: false}, kernel_log: {enabled: false}}, identity: {processes: {enabled: false}, "
        "podresources: {enabled: false}, claims: {source: off}, slices: {enabled: false}}}"
    )
    assert set(off(file, text)) == {"nvidia", "podresources", "pods"}


@pytest.mark.parametrize("case", CASES)
def test_check_names_all_that_the_chart_switches_off(case: str, file: Path) -> None:
    """Nothing of a rendered configuration is off in silence."""
    (configmap,) = of_kind(parse((GOLDENS / f"{case}.yaml").read_text(encoding="utf-8")), "ConfigMap")
    config = yaml.safe_load(configmap["data"]["inferometer.yaml"])
    identity = config["identity"]
    found = off(file, configmap["data"]["inferometer.yaml"])
    reads_nvidia = config["devices"].get("nvidia", {}).get("enabled", True)
    asks_kubelet = identity.get("podresources", {}).get("enabled", True)
    assert ("kernel_log" in found) is (reads_nvidia and not config["devices"]["kernel_log"]["enabled"])
    assert ("cgroups" in found) is (reads_nvidia and not identity["processes"]["enabled"])
    assert ("claims" in found) is (asks_kubelet and identity.get("claims", {}).get("source") == "off")
    assert ("slices" in found) is (asks_kubelet and not identity.get("slices", {}).get("enabled", True))


def test_the_remedies_name_values_that_the_chart_has(file: Path) -> None:
    """A value that is renamed there is renamed here."""
    values = {value.key for value in read_values((CHART / "values.yaml").read_text(encoding="utf-8"))}
    text = (
        "{devices: {kernel_log: {enabled: false}}, identity: {processes: {enabled: false}, pods: {source: off}, "
        "claims: {source: off}, slices: {enabled: false}}}"
    )
    told = [finding.remedy for finding in off(file, text).values()] + [refused("nvmlA").remedy]
    named = {name for remedy in told for name in re.findall(r"the chart's ([\w.]+\w)", remedy)}
    assert named == {"hostAccess.kernelLog", "hostAccess.processes", "rbac.tier", "gpuAccess.migMonitor"}
    assert named <= values


def refused(call: str, reason: str = "no_permission") -> Finding:
    """What is said of a call that a GPU has refused."""
    snapshot = Snapshot(
        0.0, 0.0, Resource.of({}), unsupported=(Unsupported("GPU 0", "hw.gpu.memory.usage", call, reason),)
    )
    (finding,) = unsupported(snapshot)
    return finding


def test_a_call_for_privileged_users_says_what_would_allow_it() -> None:
    """What a device does not have, and what another vendor refuses, has no such remedy."""
    assert "SYS_ADMIN" in refused("nvmlDeviceGetMemoryInfo_v2").remedy
    assert refused("nvmlDeviceGetMemoryInfo_v2").state == "absent"
    assert refused("nvmlDeviceGetMemoryInfo_v2", "not_supported").remedy == ""
    assert refused("amdsmi_get_gpu_total_ecc_count").remedy == ""
