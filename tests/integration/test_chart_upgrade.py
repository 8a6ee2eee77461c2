# SPDX-License-Identifier: Apache-2.0
"""What was installed by chart 0.1.0 can be upgraded: its values still render, and nothing that cannot be changed changes."""

import shutil
import tarfile
from pathlib import Path

import pytest
import yaml

from charts import CHART, ROOT, Manifest, of_kind, parse
from integration.programs import Needs
from integration.rendering import helm, render

OLD = ROOT / "tests" / "fixtures" / "charts" / "inferometer-0.1.0.tgz"
VALUES = ROOT / "tests" / "fixtures" / "charts" / "0.1.0"
CASES = ("all", "defaults", *sorted(path.stem for path in VALUES.glob("*.yaml")))


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


@pytest.fixture
def old_values(tmp_path: Path) -> Path:
    """The values file of chart 0.1.0."""
    with tarfile.open(OLD) as package:
        member = package.extractfile("inferometer/values.yaml")
        assert member is not None
        (tmp_path / "old.yaml").write_bytes(member.read())
    return tmp_path / "old.yaml"


@pytest.fixture(params=CASES)
def arguments(request: pytest.FixtureRequest, old_values: Path) -> tuple[str | Path, ...]:
    """What somebody gave 0.1.0: nothing, some values, or all of them, as `helm get values --all` shows."""
    if request.param == "defaults":
        return ()
    return ("--values", old_values if request.param == "all" else VALUES / f"{request.param}.yaml")


def by_name(manifests: tuple[Manifest, ...]) -> dict[tuple[str, str], Manifest]:
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}


def test_the_values_of_the_last_chart_still_render(arguments: tuple[str | Path, ...], tmp_path: Path) -> None:
    """Every object keeps its name and the DaemonSet its selector; the role and the agent's configuration stay as they were."""
    before = by_name(parse(render(tmp_path, *arguments, chart=OLD)))
    after = by_name(parse(render(tmp_path, *arguments)))
    assert before.keys() <= after.keys()
    for key, manifest in before.items():
        if key[0] == "DaemonSet":
            assert after[key]["spec"]["selector"] == manifest["spec"]["selector"]
        elif key[0] in {"ClusterRole", "ClusterRoleBinding", "ConfigMap", "Service", "ServiceAccount"}:
            assert {**after[key], "metadata": None} == {**manifest, "metadata": None}


def test_an_upgrade_loses_no_privilege_and_gains_none(arguments: tuple[str | Path, ...], tmp_path: Path) -> None:
    """The pod's mounts and its security context are those of before, whatever the new chart could do."""

    def pod(chart: Path) -> Manifest:
        (daemonset,) = of_kind(parse(render(tmp_path, *arguments, chart=chart)), "DaemonSet")
        found: Manifest = daemonset["spec"]["template"]["spec"]
        return found

    before, after = pod(OLD), pod(CHART)
    assert after["volumes"] == before["volumes"]
    assert after["containers"][0]["securityContext"] == before["containers"][0]["securityContext"]
    assert after["containers"][0]["volumeMounts"] == before["containers"][0]["volumeMounts"]
    assert after.keys() == before.keys()


def test_values_of_an_older_chart_are_refused_where_they_hide_the_new_defaults(
    old_values: Path, tmp_path: Path
) -> None:
    """`helm upgrade --reuse-values` puts the old chart's values.yaml in the place of the new one: the schema says what is missing."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    shutil.copy(old_values, chart / "values.yaml")
    answer = helm(tmp_path, "template", "inferometer", chart)
    assert answer.returncode != 0
    assert "missing property 'tier'" in answer.stderr


def test_the_chart_has_a_version_of_its_own() -> None:
    """Whoever has 0.1.0 gets another version."""
    with tarfile.open(OLD) as package:
        member = package.extractfile("inferometer/Chart.yaml")
        assert member is not None
        old = yaml.safe_load(member.read())["version"]
    new = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]
    assert old == "0.1.0"
    assert tuple(map(int, new.split("."))) > (0, 1, 0)
