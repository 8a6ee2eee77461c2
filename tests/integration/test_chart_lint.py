# SPDX-License-Identifier: Apache-2.0
"""What linters and the schemas of other operators' kinds say of the chart, without a network."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from charts import CASES, CHART, ROOT, Manifest, of_kind, parse
from integration.programs import Needs, call, find
from integration.rendering import render, render_case

LINTERS = CHART.parent
KINDS = ("PodMonitor", "ServiceMonitor", "PrometheusRule", "GrafanaDashboard")

# What a case asks for on purpose: whoever clears the values has neither.
CLEARED = {"minimal": ("no-node-affinity", "unset-cpu-requirements", "unset-memory-requirements")}


def kube_linter(manifests: str, folder: Path, excused: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """Lint what was rendered, by the repository's configuration and without some more checks."""
    file, configuration = folder / "rendered.yaml", folder / "kube-linter.yaml"
    file.write_text(manifests, encoding="utf-8")
    content = yaml.safe_load((LINTERS / "kube-linter.yaml").read_text(encoding="utf-8"))
    content["checks"]["exclude"] += excused
    configuration.write_text(yaml.safe_dump(content), encoding="utf-8")
    return call("kube-linter", "lint", "--config", configuration, file)


@pytest.mark.parametrize("case", CASES)
def test_kube_linter_finds_nothing(case: str, needs: Needs, tmp_path: Path) -> None:
    """All its checks but those that the configuration leaves out; each exception has its reason on the object."""
    needs("helm", "kube-linter")
    answer = kube_linter(render_case(tmp_path, case), tmp_path, CLEARED.get(case, ()))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_kube_linter_would_have_found_something(needs: Needs, tmp_path: Path) -> None:
    """It does not excuse everything: without its annotation an exception is a fault."""
    needs("helm", "kube-linter")
    rendered = render(tmp_path)
    bare = "\n".join(line for line in rendered.splitlines() if "ignore-check" not in line)
    answer = kube_linter(bare, tmp_path)
    assert answer.returncode != 0
    assert "run-as-non-root" in answer.stdout + answer.stderr


def test_chart_testing_lints_it(needs: Needs, tmp_path: Path) -> None:
    """`ct lint` finds nothing in Chart.yaml, in values.yaml and in any of the values of ci/."""
    needs("helm", "ct")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "helm").symlink_to(find("helm"))
    home = tmp_path / "home"
    home.mkdir()
    where = os.pathsep.join((str(programs), str(Path(sys.executable).parent), os.defpath))
    answer = subprocess.run(
        (
            *(find("ct"), "lint", "--charts", CHART.relative_to(ROOT)),
            *("--check-version-increment=false", "--validate-maintainers=false"),  # it has no remote to compare with
            *("--chart-yaml-schema", find("chart-schema.yaml"), "--lint-conf", LINTERS / "yamllint.yaml"),
        ),
        cwd=_as_repository(tmp_path),
        env={"PATH": where, "HOME": str(home), "KUBECONFIG": str(home / "none")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == 0, said
    for case in set(CASES) - {"defaults"}:
        assert f"ci/{case}-values.yaml" in said


def _as_repository(folder: Path) -> Path:
    """Give the chart in a folder of its own: chart-testing renders in place."""
    root = folder / "repository"
    shutil.copytree(CHART, root / CHART.relative_to(ROOT))
    return root


# --- other operators' kinds ---------------------------------------------------------------------------------------


@functools.cache
def definition(kind: str) -> tuple[str, Any]:
    """Give the version of a kind, and its schema with unknown fields forbidden."""
    crd = yaml.safe_load(find(f"{kind}.yaml").read_text(encoding="utf-8"))["spec"]
    (version,) = (version for version in crd["versions"] if version["storage"])
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"type": "object"}  # Kubernetes' own
    return f"{crd['group']}/{version['name']}", _strict(schema)


def _strict(node: Any) -> Any:
    """Forbid what is not named, as an API server warns of it, and let a number stand where a text may."""
    if isinstance(node, list):
        return [_strict(below) for below in node]
    if not isinstance(node, dict):
        return node
    told = {name: _strict(below) for name, below in node.items() if name != "format"}
    if isinstance(told.get("properties"), dict) and "additionalProperties" not in told:
        told["additionalProperties"] = bool(node.get("x-kubernetes-preserve-unknown-fields"))
    return told


def faults(manifest: Manifest) -> list[str]:
    """What the API server would say of a manifest of one of these kinds."""
    version, schema = definition(manifest["kind"])
    found = [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(manifest)
    ]
    return found + ([] if manifest["apiVersion"] == version else [f"apiVersion is not {version}"])


def rendered(folder: Path) -> Iterator[Manifest]:
    """Render everything of these kinds, with each case's monitor."""
    for case in ("everything", "monitoring", "service-monitor"):
        more = ("--set", "prometheusRule.enabled=true", "--set", "dashboards.enabled=true")
        manifests = parse(render_case(folder, case, *more, "--set", "dashboards.kind=GrafanaDashboard"))
        yield from (manifest for manifest in manifests if manifest["kind"] in KINDS)


def test_the_operators_know_every_field(needs: Needs, tmp_path: Path) -> None:
    """Each monitor, rule and dashboard fits its kind's definition, and holds nothing that this does not name."""
    needs("helm", *(f"{kind}.yaml" for kind in KINDS))
    manifests = tuple(rendered(tmp_path))
    assert {manifest["kind"] for manifest in manifests} == set(KINDS)
    assert [fault for manifest in manifests for fault in faults(manifest)] == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("PodMonitor", ("podMetricsEndpoints", 0, "honorLabel"), True),
        ("PodMonitor", ("podMetricsEndpoints", 0, "interval"), "15 seconds"),
        ("PodMonitor", ("podMetricsEndpoints", 0, "bearerTokenFile"), "/token"),
        ("ServiceMonitor", ("endpoints", 0, "tlsConfig", "serverNames"), "a"),
        ("ServiceMonitor", ("targetLabel",), ["a"]),
        ("PrometheusRule", ("groups", 0, "rules", 0, "exprs"), "up"),
        ("PrometheusRule", ("groups", 1, "rules", 0, "for"), "5 minutes"),
        ("GrafanaDashboard", ("instanceSelectors",), {}),
    ],
)
def test_a_field_that_they_do_not_know_is_found(
    kind: str, path: tuple[Any, ...], value: object, needs: Needs, tmp_path: Path
) -> None:
    """The check above is no empty one."""
    needs("helm", f"{kind}.yaml")
    (manifest, *_) = of_kind(rendered(tmp_path), kind)
    assert faults(manifest) == []
    node: Any = manifest["spec"]
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value
    assert faults(manifest) != []
