# SPDX-License-Identifier: Apache-2.0
"""What the chart gives to Prometheus, Grafana and the network, as Helm renders it and their own programs read it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from charts import CHART, ROOT, of_kind, parse
from commands import run
from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on
from integration.programs import Needs
from integration.rendering import helm, notes, refusal, render, rendered
from whole.agents import eventually

DASHBOARDS = ROOT / "dashboards" / "generated"
REAL = ("--api-versions", "apps/v1/DaemonSet")  # what Helm knows of any real cluster, and of none without one


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


# --- dashboards ---------------------------------------------------------------------------------------------------


def test_the_dashboards_are_those_of_the_repository(tmp_path: Path) -> None:
    """To the byte: what stands in braces in them is Grafana's, and Helm leaves it alone."""
    manifests = rendered(tmp_path, "dashboards: {enabled: true}")
    found: dict[str, str] = {}
    for manifest in of_kind(manifests, "ConfigMap"):
        if manifest["metadata"]["labels"].get("grafana_dashboard") == "1":
            assert manifest["metadata"]["annotations"] == {"grafana_folder": "Inferometer"}
            assert len(json.dumps(manifest)) < 1 << 20
            found |= manifest["data"]
    files = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS.iterdir()}
    assert found == files
    assert any("{{" in text for text in files.values())


def test_the_grafana_operator_gets_the_same(tmp_path: Path) -> None:
    """As resources of its own kind, for the Grafanas that its selector names."""
    values = (
        "dashboards: {enabled: true, kind: GrafanaDashboard, namespace: grafana,"
        " grafanaOperator: {instanceSelector: {matchLabels: {dashboards: gpus}}, folder: GPUs}}"
    )
    found = of_kind(rendered(tmp_path, values), "GrafanaDashboard")
    assert len({manifest["metadata"]["name"] for manifest in found}) == len(list(DASHBOARDS.iterdir()))
    for manifest in found:
        spec = manifest["spec"]
        # Another release's would have its own namespace in their names.
        assert manifest["metadata"]["name"].startswith("inferometer-inferometer-dashboard-")
        assert manifest["metadata"]["namespace"] == "grafana"
        assert (spec["folder"], spec["instanceSelector"]["matchLabels"]) == ("GPUs", {"dashboards": "gpus"})
        uid = json.loads(spec["json"])["uid"]
        assert json.loads(spec["json"]) == json.loads((DASHBOARDS / f"{uid}.json").read_text(encoding="utf-8"))


# --- what the cluster lacks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "remedy"),
    [
        ("podMonitor: {enabled: true}", "monitoring.coreos.com/v1/PodMonitor", "the Prometheus operator"),
        ("serviceMonitor: {enabled: true}", "monitoring.coreos.com/v1/ServiceMonitor", "the Prometheus operator"),
        ("prometheusRule: {enabled: true}", "monitoring.coreos.com/v1/PrometheusRule", "the Prometheus operator"),
        (
            "dashboards: {enabled: true, kind: GrafanaDashboard}",
            "grafana.integreatly.org/v1beta1/GrafanaDashboard",
            "the Grafana operator",
        ),
    ],
)
def test_a_kind_that_the_cluster_lacks_is_refused_where_there_is_one(
    values: str, kind: str, remedy: str, tmp_path: Path
) -> None:
    """In a sentence with what to install. Without a cluster nobody knows, and it is rendered."""
    said = refusal(tmp_path, values, *REAL)
    sentences = [line for line in said.splitlines() if line.startswith("- ")]
    assert len(sentences) == 1, said
    assert kind in sentences[0]
    assert f"install {remedy} first" in sentences[0]
    assert of_kind(rendered(tmp_path, values, *REAL, "--api-versions", kind), kind.rpartition("/")[2])
    assert of_kind(rendered(tmp_path, values), kind.rpartition("/")[2])


def test_all_that_the_cluster_lacks_is_told_at_once(tmp_path: Path) -> None:
    """And defaults ask for nothing that a cluster may lack."""
    said = refusal(tmp_path, "podMonitor: {enabled: true}\nprometheusRule: {enabled: true}", *REAL)
    assert sum(line.startswith("- ") for line in said.splitlines()) == 2
    assert rendered(tmp_path, "{}", *REAL)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (
            "podMonitor: {enabled: true}\nserviceMonitor: {enabled: true}",
            ["podMonitor.enabled and serviceMonitor.enabled", "scraped twice"],
        ),
        (
            "serviceMonitor: {enabled: true}\nservice: {enabled: false}",
            ["serviceMonitor.enabled", "service.enabled is false"],
        ),
        (
            "serviceMonitor: {enabled: true}\nconfig: {otlp: {endpoint: 'http://c:4318'}}",
            ["serviceMonitor.enabled", "config.otlp.endpoint", "allowBothRoutes"],
        ),
        (
            "serviceMonitor: {interval: 1m, scrapeTimeout: 61s}",
            ["serviceMonitor.scrapeTimeout is 61s", "serviceMonitor.interval is 1m"],
        ),
        (
            "serviceMonitor: {enabled: true}\npodAnnotations: {prometheus.io/scrape: 'true'}",
            ["serviceMonitor.enabled", "prometheus.io/scrape"],
        ),
        (
            "podMonitor: {enabled: true, tlsConfig: {insecureSkipVerify: true}}",
            ["podMonitor.tlsConfig", "config.server.tls.certificate is not"],
        ),
        (
            "serviceMonitor: {bearerTokenFile: /a, authorization: {credentials: {name: a, key: b}}}",
            ["serviceMonitor.authorization and serviceMonitor.bearerTokenFile", "Keep one"],
        ),
        ("prometheusRule: {objectives: 'a: 1'}", ["prometheusRule.objectives is no rule file", "python -m alerts"]),
        ("prometheusRule: {objectives: '{['}", ["prometheusRule.objectives is no rule file"]),
        ("prometheusRule: {objectives: '{groups: [a]}'}", ["prometheusRule.objectives is no rule file"]),
        ("prometheusRule: {objectives: '{groups: [{name: a}]}'}", ["prometheusRule.objectives is no rule file"]),
        (
            "prometheusRule: {customRules: [{name: gpu, rules: []}]}",
            ["prometheusRule.customRules has a group gpu", "twice"],
        ),
        (
            "prometheusRule: {customRules: [{name: a, rules: [{expr: up}]}]}",
            ["prometheusRule.customRules has a rule in a", "alert or record"],
        ),
    ],
)
def test_what_contradicts_is_refused_in_a_sentence(values: str, named: list[str], tmp_path: Path) -> None:
    """The render fails with one sentence that names both sides."""
    said = refusal(tmp_path, values)
    sentences = [line for line in said.splitlines() if line.startswith("- ")]
    assert len(sentences) == 1, said
    assert all(name in sentences[0] for name in named), said


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ("prometheusRule: {alerts: {GpuLosst: {enabled: false}}}", ["/prometheusRule/alerts", "GpuLosst"]),
        ("prometheusRule: {alerts: {GpuLost: {mising: {for: 1m}}}}", ["/prometheusRule/alerts/GpuLost", "mising"]),
        ("prometheusRule: {alerts: {GpuXid: {threshold: 1}}}", ["/prometheusRule/alerts/GpuXid", "threshold"]),
        (
            "prometheusRule: {alerts: {GpuThrottled: {threshold: 10}}}",
            ["/prometheusRule/alerts/GpuThrottled/threshold"],
        ),
        ("prometheusRule: {alerts: {GpuThrottled: {for: 5 minutes}}}", ["/prometheusRule/alerts/GpuThrottled/for"]),
        ("prometheusRule: {customRules: [{name: a, rules: [{exprs: up}]}]}", ["/prometheusRule/customRules/0/rules/0"]),
        ("prometheusRule: {runbooks: 'http://a\"b'}", ["/prometheusRule/runbooks"]),
        # What YAML takes for something else where it is put into the rules: a map, a comment, another line.
        ("prometheusRule: {runbooks: '{a}'}", ["/prometheusRule/runbooks"]),
        ("prometheusRule: {jobs: 'a #b'}", ["/prometheusRule/jobs"]),
        ('prometheusRule: {jobs: "a\\nb"}', ["/prometheusRule/jobs"]),
        ("podMonitor: {tlsConfig: {serverNames: a}}", ["/podMonitor/tlsConfig", "serverNames"]),
        ("networkPolicy: {scrapers: [{podselector: {}}]}", ["/networkPolicy/scrapers/0", "podselector"]),
        ("networkPolicy: {apiServerPorts: ['443']}", ["/networkPolicy/apiServerPorts/0"]),
        ("dashboards: {kind: configmap}", ["/dashboards/kind"]),
        ("test: {identity: everything}", ["/test/identity"]),
    ],
)
def test_the_schema_names_the_place(values: str, place: list[str], tmp_path: Path) -> None:
    """An alert's unknown name, a number out of bounds, a misspelt field: refused, with where it stands."""
    said = refusal(tmp_path, values)
    assert all(name in said for name in place), said


# --- the test that Helm runs --------------------------------------------------------------------------------------


def test_the_tests_pod_asks_as_it_should(needs: Needs, tmp_path: Path) -> None:
    """Its command finds a running agent well, and a page of somebody else's not."""
    (pod,) = of_kind(rendered(tmp_path, "test: {wait: 20s}"), "Pod")
    (container,) = pod["spec"]["containers"]
    command, url = container["args"], container["args"][2]
    assert url == "http://inferometer.inferometer.svc:9466/metrics"
    with SimulatedNode() as node, agent_on(node) as agent:

        def finds_it_well() -> None:
            answer = run(*(agent.url if word == url else word for word in command))
            assert answer.returncode == 0, answer.stdout + answer.stderr
            assert "identity uid" in answer.stdout

        eventually(finds_it_well)


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ("{}", ["--identity=partial", "http://inferometer.inferometer.svc:9466/metrics"], ["--insecure-tls"]),
        ("config: {identity: {pods: {source: off}}}", ["--identity=name"], []),
        ("config: {identity: {podresources: {enabled: false}}}", ["--identity=none"], []),
        ("test: {identity: uid, wait: 5m}", ["--identity=uid", "--wait=5m"], []),
        # A headless Service's name is the pods' addresses: its own port is nowhere.
        ("service: {port: 80}", ["http://inferometer.inferometer.svc:9466/metrics"], []),
        ("service: {port: 80, headless: false}", ["http://inferometer.inferometer.svc:80/metrics"], []),
        (
            "config: {server: {auth: {token_review: true}}}",
            ["http://inferometer.inferometer.svc:9466/readyz"],
            ["--identity=partial"],
        ),
        (
            "config: {server: {tls: {certificate: /a, key: /b}}}",
            ["https://inferometer.inferometer.svc:9466/metrics", "--insecure-tls"],
            [],
        ),
    ],
)
def test_what_the_test_asks_follows_the_configuration(
    values: str, said: list[str], unsaid: list[str], tmp_path: Path
) -> None:
    """Port, scheme, page, and how much of owners may be expected."""
    (pod,) = of_kind(rendered(tmp_path, values), "Pod")
    words = pod["spec"]["containers"][0]["args"]
    assert [word for word in said if word not in words] == []
    assert [word for word in unsaid if word in words] == []


def test_openshift_chooses_the_tests_user(tmp_path: Path) -> None:
    """The test's pod has the namespace's constraint, which refuses any user outside the namespace's range."""
    (pod,) = of_kind(rendered(tmp_path, "{}"), "Pod")
    assert pod["spec"]["securityContext"]["runAsUser"] == 65532
    (pod,) = of_kind(rendered(tmp_path, "openshift: {enabled: true}"), "Pod")
    assert pod["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize(
    ("values", "ports"),
    [("", {53}), ("openshift: {enabled: true}", {53, 5353})],
)
def test_the_network_lets_names_be_asked_for(values: str, ports: set[int], tmp_path: Path) -> None:
    """A policy counts the port of the pods behind a Service, and OpenShift's name servers listen on 5353."""
    (policy,) = of_kind(rendered(tmp_path, f"networkPolicy: {{enabled: true}}\n{values}"), "NetworkPolicy")
    asked = {(port["protocol"], port["port"]) for port in policy["spec"]["egress"][0]["ports"]}
    assert asked == {(protocol, port) for protocol in ("TCP", "UDP") for port in ports}


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ("METRICS_ENDPOINT: 'http://a:1', ENDPOINT: 'http://b:2'", 1),
        ("ENDPOINT: 'http://b:2', METRICS_ENDPOINT: 'http://a:1'", 1),
        ("ENDPOINT: 'http://b:2'", 2),
        ("METRICS_ENDPOINT: ''", 3),
    ],
)
def test_the_network_lets_out_where_the_agent_pushes(variables: str, port: int, tmp_path: Path) -> None:
    """Of several endpoints the agent takes the metrics' own before the general one, and both before the file's."""
    given = [
        {"name": f"OTEL_EXPORTER_OTLP_{name}", "value": value}
        for name, value in yaml.safe_load(f"{{{variables}}}").items()
    ]
    own = {"name": "INFEROMETER_OTLP__ENDPOINT", "value": "http://c:3"}
    values = {
        "networkPolicy": {"enabled": True},
        "config": {"otlp": {"endpoint": "http://d:4"}},
        "extraEnv": [*given, own],
    }
    (policy,) = of_kind(rendered(tmp_path, yaml.safe_dump(values)), "NetworkPolicy")
    assert policy["spec"]["egress"][2] == {"ports": [{"port": port, "protocol": "TCP"}]}


def test_the_network_lets_the_agent_to_an_api_server_of_another_port(tmp_path: Path) -> None:
    """`config.identity.pods.server` names the port that is asked."""
    values = "networkPolicy: {enabled: true}\nconfig: {identity: {pods: {server: 'https://10.0.0.1:16443'}}}"
    (policy,) = of_kind(rendered(tmp_path, values), "NetworkPolicy")
    assert [port["port"] for port in policy["spec"]["egress"][1]["ports"]] == [443, 6443, 16443]
    everything = f"networkPolicy: {{enabled: true, apiServerPorts: []}}\n{values.partition(chr(10))[2]}"
    (policy,) = of_kind(rendered(tmp_path, everything), "NetworkPolicy")
    assert policy["spec"]["egress"][1] == {}


@pytest.mark.parametrize("values", ["test: {enabled: false}", "service: {enabled: false}"])
def test_there_may_be_no_test(values: str, tmp_path: Path) -> None:
    """Where nobody wants one, and where nothing has an address."""
    assert of_kind(rendered(tmp_path, values), "Pod") == ()


# --- notes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ("{}", ["helm -n gpus test gauge"], ["prometheusRule"]),
        ("test: {enabled: false}", [], ["helm -n gpus test"]),
        (
            "prometheusRule: {enabled: true}",
            ["PrometheusRule: install", "runbooks is relative", "is an example", "prometheusRule.labels is empty"],
            [],
        ),
        (
            "serviceMonitor: {enabled: true}\nconfig: {server: {tls: {certificate: /a, key: /b}}}",
            ["serviceMonitor.tlsConfig is empty"],
            ["Nothing collects", "shows nothing"],
        ),
        (
            "podMonitor: {enabled: true}\nconfig: {server: {auth: {users_file: /users}}}",
            ["podMonitor shows nothing", "authorization, basicAuth or tlsConfig"],
            [],
        ),
        (
            "networkPolicy: {enabled: true}\nextraEnvFrom: [{secretRef: {name: a}}]",
            ["extraEnvFrom may lead where the chart cannot see", "networkPolicy.extraEgress"],
            [],
        ),
        ("service: {port: 80}", ["gauge-inferometer.gpus.svc:9466 (its A records"], [":80"]),
    ],
)
def test_the_notes_say_what_monitoring_lacks(values: str, said: list[str], unsaid: list[str], tmp_path: Path) -> None:
    """What was asked for and is not complete, with the value that completes it."""
    text = notes(tmp_path, values)
    assert [words for words in said if words not in text] == []
    assert [words for words in unsaid if words in text] == []


def test_a_packaged_chart_has_its_files(tmp_path: Path) -> None:
    """`.helmignore` leaves out nothing that the templates read."""
    copy = shutil.copytree(CHART, tmp_path / "inferometer")
    assert helm(tmp_path, "package", copy, "--destination", tmp_path).returncode == 0
    (package,) = tmp_path.glob("inferometer-*.tgz")
    values = ("--set", "prometheusRule.enabled=true", "--set", "dashboards.enabled=true")
    assert parse(render(tmp_path, *values, chart=package)) == parse(render(tmp_path, *values))
