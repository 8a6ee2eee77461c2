# SPDX-License-Identifier: Apache-2.0
"""What docs/privileges.md says that a switch costs is what the chart renders for it, and all of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import Manifest, of_kind, parse, pod_of
from helm.generate.switches import DEFAULTS, OFF, Switch
from integration.programs import Needs
from integration.rendering import render

SWITCHES = (*DEFAULTS, *OFF)


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Turn `a.b: 1` into `{a: {b: 1}}`."""
    root: dict[str, Any] = {}
    for key, value in values.items():
        *path, last = key.split(".")
        node = root
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    return root


def accesses(manifests: tuple[Manifest, ...]) -> Iterator[str]:
    """Say in words what a render gives the agent of its node and of the cluster."""
    pod = pod_of(manifests)
    (container,) = pod["containers"]
    security = container["securityContext"]
    if security.get("privileged"):
        yield "a privileged container"
    for name in security.get("capabilities", {}).get("add", ()):
        yield f"the capability {name}"
    if security.get("allowPrivilegeEscalation"):
        yield "a gain of privileges"
    for name, words in {"hostPID": "processes", "hostIPC": "memory", "hostNetwork": "network"}.items():
        if pod.get(name):
            yield f"the node's {words} ({name})"
    if "runtimeClassName" in pod:
        yield f"the runtime class `{pod['runtimeClassName']}`"
    if "seLinuxOptions" in pod.get("securityContext", {}):
        yield f"the SELinux type `{pod['securityContext']['seLinuxOptions']['type']}`"
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    for volume in pod["volumes"]:
        if "hostPath" in volume:
            how = "read-only" if mounts[volume["name"]].get("readOnly") else "written to"
            yield f"`{volume['hostPath']['path']}`, {how}"
    for template in of_kind(manifests, "ResourceClaimTemplate"):
        for request in template["spec"]["spec"]["devices"]["requests"]:
            assert request["exactly"]["adminAccess"]
            yield f"a claim with admin access to every `{request['exactly']['deviceClassName']}` of the node"
    if pod["automountServiceAccountToken"]:
        yield "a token of the service account"
    for role in (*of_kind(manifests, "ClusterRole"), *of_kind(manifests, "Role")):
        for rule in role["rules"]:
            verbs = " and ".join(f"`{verb}`" for verb in rule["verbs"])
            yield from (f"{verbs} on {resource}" for resource in rule["resources"])


def rendered(switch: Switch, on: bool, directory: Path) -> set[str]:
    """Give the accesses with a switch, or without it."""
    values = nested({**switch.beside, **(switch.on if on else switch.off)})
    file = directory / "values.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return set(accesses(parse(render(directory, "--values", file))))


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.value)
def test_a_switch_costs_what_its_row_says(switch: Switch, tmp_path: Path) -> None:
    """Each access that it adds is in the row, and the row has no other."""
    assert rendered(switch, True, tmp_path) - rendered(switch, False, tmp_path) == set(switch.costs)


def test_every_access_has_a_row(tmp_path: Path) -> None:
    """What the defaults have is what the rows of the defaults cost."""
    defaults = set(accesses(parse(render(tmp_path))))
    assert defaults == {cost for switch in DEFAULTS for cost in switch.costs}


def test_the_least_costs_nothing(tmp_path: Path) -> None:
    """With every row of the defaults taken back nothing is left."""
    off: dict[str, Any] = {}
    for switch in DEFAULTS:
        off |= {**switch.off, **{key: value for key, value in switch.beside.items() if key not in off}}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(nested({**off, "rbac.tier": "local"})), encoding="utf-8")
    assert set(accesses(parse(render(tmp_path, "--values", file)))) == set()
