# SPDX-License-Identifier: Apache-2.0
"""The chart on a real API server, without and with the kinds of other operators: what it refuses, and what it makes."""

from collections.abc import Iterator
from functools import partial

import pytest
import yaml

from charts import CHART
from e2e.control_plane import PROGRAMS, ControlPlane, control_plane
from e2e.kube import wait
from integration.programs import MissingError, find

MONITORING = "/apis/monitoring.coreos.com/v1"
GRAFANA = "/apis/grafana.integreatly.org/v1beta1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KINDS = {
    "PodMonitor": f"{MONITORING}/podmonitors",
    "ServiceMonitor": f"{MONITORING}/servicemonitors",
    "PrometheusRule": f"{MONITORING}/prometheusrules",
    "GrafanaDashboard": f"{GRAFANA}/grafanadashboards",
}
EVERYTHING = (
    *("--set", "podMonitor.enabled=true,prometheusRule.enabled=true,networkPolicy.enabled=true"),
    *("--set", "dashboards.enabled=true,dashboards.kind=GrafanaDashboard"),
)
RELEASE = ("gauge", CHART, "--namespace", "gpus")


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """A cluster that nobody has added a kind to."""
    try:
        for program in (*PROGRAMS, "helm", *(f"{kind}.yaml" for kind in KINDS)):
            find(program)
    except MissingError as error:
        pytest.skip(str(error))
    with control_plane() as started:
        yield started


@pytest.fixture(scope="module")
def equipped(bare: ControlPlane) -> ControlPlane:
    """The same with the Prometheus operator's kinds and the Grafana operator's; what needs it bare stands above."""
    for kind in KINDS:
        bare.ask("POST", DEFINITIONS, yaml.safe_load(find(f"{kind}.yaml").read_text(encoding="utf-8")))
    for path in KINDS.values():
        wait(path, partial(bare.serves, path))
        wait(path, partial(bare.discovers, path))
    return bare


def test_what_a_real_cluster_lacks_is_refused_before_anything_is_made(bare: ControlPlane) -> None:
    """By its own discovery, in a sentence for each kind; defaults ask for none of them."""
    answer = bare.helm("install", *RELEASE, "--create-namespace", *EVERYTHING)
    assert answer.returncode != 0
    sentences = [line for line in answer.stderr.splitlines() if line.startswith("- ")]
    assert len(sentences) == 3, answer.stderr
    assert "install the Prometheus operator first" in sentences[0]
    assert "install the Grafana operator first" in sentences[2]
    assert bare.names("/apis/apps/v1/daemonsets") == set()
    answer = bare.helm("install", *RELEASE, "--create-namespace", "--dry-run=server")
    assert answer.returncode == 0, answer.stderr


def test_a_real_cluster_takes_all_of_it_and_keeps_nothing(equipped: ControlPlane) -> None:
    """Monitors, rules, dashboards and policy are accepted, changed for others, and gone with the release."""
    answer = equipped.helm("install", *RELEASE, "--create-namespace", *EVERYTHING)
    assert answer.returncode == 0, answer.stderr
    assert "is not known to have" not in answer.stdout
    assert equipped.names(KINDS["PodMonitor"]) == equipped.names(KINDS["PrometheusRule"]) == {"gauge-inferometer"}
    assert len(equipped.names(KINDS["GrafanaDashboard"])) == len(list((CHART / "files" / "dashboards").iterdir()))
    assert equipped.names("/apis/networking.k8s.io/v1/networkpolicies") == {"gauge-inferometer"}
    other = ("--set", "podMonitor.enabled=false,serviceMonitor.enabled=true,dashboards.kind=ConfigMap")
    answer = equipped.helm("upgrade", *RELEASE, *EVERYTHING, *other)
    assert answer.returncode == 0, answer.stderr
    assert equipped.names(KINDS["ServiceMonitor"]) == {"gauge-inferometer"}
    assert equipped.names(KINDS["PodMonitor"]) == equipped.names(KINDS["GrafanaDashboard"]) == set()
    answer = equipped.helm("uninstall", "gauge", "--namespace", "gpus")
    assert answer.returncode == 0, answer.stderr
    left = [*KINDS.values(), "/apis/apps/v1/daemonsets", "/apis/networking.k8s.io/v1/networkpolicies"]
    assert [name for path in left for name in equipped.names(path)] == []
