# SPDX-License-Identifier: Apache-2.0
"""Names are what they are given as, also where YAML would take them for a number or a flag."""

from pathlib import Path

import kubernetes_validate
import pytest

from charts import CHART, Manifest, of_kind, parse, pod_of
from integration.programs import Needs
from integration.rendering import helm

VALUES = """
gpuAccess: {runtimeClassName: "7"}
priorityClassName: "007"
serviceAccount: {create: false, name: "42"}
podMonitor: {enabled: true}
dashboards: {enabled: true, namespace: "9"}
networkPolicy: {enabled: true, scrapers: [{podSelector: {}}]}
"""


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


def manifests_of(directory: Path, release: str, namespace: str, values: str, program: str) -> tuple[Manifest, ...]:
    """Render a release of another name."""
    file = directory / "values.yaml"
    file.write_text(values, encoding="utf-8")
    answer = helm(
        directory,
        *("template", release, CHART, "--namespace", namespace, "--values", file, "--kube-version", "1.34"),
        program=program,
    )
    assert answer.returncode == 0, answer.stderr
    return parse(answer.stdout)


@pytest.mark.parametrize("program", ["helm", "helm3"])
@pytest.mark.parametrize(
    ("release", "namespace", "values"),
    [("123", "456", VALUES), ("1e3", "0x1f", VALUES), ("null", "true", 'nameOverride: "on"\nfullnameOverride: "null"')],
)
def test_a_name_stays_a_text(
    needs: Needs, program: str, release: str, namespace: str, values: str, tmp_path: Path
) -> None:
    """Teams number their namespaces and releases: the API server gets texts, by which the agents are found."""
    needs(program)
    manifests = manifests_of(tmp_path, release, namespace, values, program)
    for manifest in manifests:
        assert all(isinstance(value, str) for value in manifest["metadata"]["labels"].values()), manifest["metadata"]
        assert isinstance(manifest["metadata"]["name"], str)
        assert isinstance(manifest["metadata"].get("namespace", ""), str)
        if manifest["kind"] != "PodMonitor":
            kubernetes_validate.validate(dict(manifest), "1.34", strict=True)
    (daemonset,) = of_kind(manifests, "DaemonSet")
    assert daemonset["metadata"]["namespace"] == namespace
    assert daemonset["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"] == release
    assert pod_of(manifests)["containers"][0]["image"].startswith("inferometer:")
