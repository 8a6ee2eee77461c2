# SPDX-License-Identifier: Apache-2.0
"""What goes over the configurations of collector-config/: every combination is valid; TLS, tokens and pods, run."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from inferometer.simulation.node import SimulatedNode
from integration.agents import EVERYTHING, agent_on, kept
from integration.collectors import SHIPPED, collector, prometheus_for_otlp
from integration.programs import Needs, ProgramError, call, post
from kubelet.certificates import Certificates, issue
from whole.agents import await_that
from whole.pages import scrape
from whole.routes import CALM, names, same, still

TOKEN = "a-token-of-the-senders"

COMBINATIONS: tuple[tuple[str, ...], ...] = (
    ("agent",),
    ("gateway",),
    ("single",),
    ("agent", "secure-agent"),
    ("gateway", "secure-gateway"),
    ("single", "secure-single"),
    ("single", "scrape"),
    ("gateway", "remote-write"),
    ("gateway", "promote"),
    ("gateway", "pods"),
    ("gateway", "remote-write", "pods", "secure-gateway"),
    ("single", "scrape", "remote-write", "promote", "secure-single"),
)


@pytest.fixture(autouse=True)
def programs(needs: Needs) -> None:
    """Everything here needs both."""
    needs("otelcol", "prometheus")


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    """The Collectors' certificate."""
    (tmp_path / "tls").mkdir()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return issue(tmp_path / "tls")


def flags(folder: Path, names: Sequence[str]) -> list[str]:
    files = [folder / f"{names[0]}.yaml", *(folder / "overlays" / f"{name}.yaml" for name in names[1:])]
    return [f"--config={file}" for file in files]


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_every_combination_is_valid_in_both_forms(names: Sequence[str]) -> None:
    """`otelcol validate` accepts the current names without a word, and the old ones, which it still knows."""
    for folder in (SHIPPED, SHIPPED / "old-names"):
        valid = call("otelcol", "validate", *flags(folder, names))
        assert (valid.returncode, valid.stdout + valid.stderr) == (0, ""), folder.name


def test_every_overlay_is_in_a_combination() -> None:
    """None is left out above."""
    shipped = {path.stem for path in SHIPPED.glob("overlays/*.yaml")}
    assert shipped == {name for names in COMBINATIONS for name in names[1:]}


def test_a_misspelt_key_is_refused_by_its_name(tmp_path: Path) -> None:
    """What is wrong in a configuration is said before the Collector runs."""
    misspelt = tmp_path / "agent.yaml"
    misspelt.write_text(
        (SHIPPED / "agent.yaml").read_text(encoding="utf-8").replace("num_consumers", "num_consumer"), encoding="utf-8"
    )
    refused = call("otelcol", "validate", f"--config={misspelt}")
    assert refused.returncode != 0
    assert "num_consumer" in refused.stderr


def test_with_tls_and_a_token_from_the_agent_to_the_gateway(
    node: SimulatedNode, tmp_path: Path, files: Certificates
) -> None:
    """Agent, Collector and gateway show the token by TLS; without it nothing is taken, and nothing by plain HTTP."""
    secrets = {
        "TLS_CERT_FILE": str(files.certificate),
        "TLS_KEY_FILE": str(files.key),
        "TLS_CA_FILE": str(files.ca),
        "TOKEN_FILE": str(tmp_path / "token"),
    }
    with (
        prometheus_for_otlp(tmp_path / "prometheus") as prometheus,
        collector(
            "gateway",
            tmp_path / "gateway",
            over=["secure-gateway"],
            environment=secrets,
            PROMETHEUS_ENDPOINT=prometheus.url,
        ) as gateway,
        collector(
            "agent",
            tmp_path / "agent",
            over=["secure-agent"],
            environment=secrets,
            GATEWAY_ENDPOINT=gateway.grpc_address,
        ) as beside,
    ):
        by_tls = f"https://127.0.0.1:{beside.told['http']}"
        with agent_on(
            node, endpoint=by_tls, certificate=str(files.ca), headers={"authorization": "Bearer wrong"}
        ) as stranger:
            await_that(lambda: stranger._push.outcomes, "an outcome")
            assert "success" not in stranger._push.outcomes
        with pytest.raises((ProgramError, OSError)):
            post(f"{beside.http_url}/v1/metrics", b"", "application/x-protobuf")
        assert prometheus.query("gpu_devices") == []
        with agent_on(node, endpoint=by_tls, certificate=str(files.ca), headers={"authorization": f"Bearer {TOKEN}"}):
            await_that(lambda: prometheus.query("gpu_devices"), "what the agent says")


def test_a_gateway_takes_nothing_from_a_collector_without_the_token(
    node: SimulatedNode, tmp_path: Path, files: Certificates
) -> None:
    """A Collector that has TLS, and the wrong token, is refused by the gateway, by its token's fault."""
    (tmp_path / "wrong").write_text("not-that-token\n")
    secrets = {
        "TLS_CERT_FILE": str(files.certificate),
        "TLS_KEY_FILE": str(files.key),
        "TLS_CA_FILE": str(files.ca),
    }
    trusting = f"exporters::otlp_grpc/gateway::tls: {{insecure: false, ca_file: {files.ca}}}"
    with (
        prometheus_for_otlp(tmp_path / "prometheus") as prometheus,
        collector(
            "gateway",
            tmp_path / "gateway",
            over=["secure-gateway"],
            environment={**secrets, "TOKEN_FILE": str(tmp_path / "token")},
            PROMETHEUS_ENDPOINT=prometheus.url,
        ) as gateway,
        collector("agent", tmp_path / "agent", changes=[trusting], GATEWAY_ENDPOINT=gateway.grpc_address) as beside,
        agent_on(node, endpoint=beside.grpc_url, protocol="grpc"),
    ):
        await_that(lambda: "Unauthenticated" in beside.log, "the refusal")
        assert prometheus.query("gpu_devices") == []


def test_pods_are_found_by_their_uid_and_no_gpu_is_given_to_the_senders_pod(
    node: SimulatedNode, tmp_path: Path
) -> None:
    """What an engine says gets its pod's label; what is said of devices and owners gets nothing, whoever sent it."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(node.endpoints.api_server)), encoding="utf-8")
    with (
        prometheus_for_otlp(tmp_path / "prometheus") as prometheus,
        collector(
            "gateway",
            tmp_path / "gateway",
            over=["pods"],
            PROMETHEUS_ENDPOINT=prometheus.url,
            KUBERNETES_AUTH="kubeConfig",
            KUBECONFIG=str(kubeconfig),
            KUBE_FEATURE_WatchListClient="false",  # the simulated API server lists, and watches from there
        ) as gateway,
        agent_on(node, endpoint=gateway.grpc_url, protocol="grpc"),
    ):
        named = 'k8s_pod_label_app_kubernetes_io_name="vllm"'
        await_that(lambda: prometheus.query(f"inference_requests_running{{{named}}}"), "an engine's label", 60)
        await_that(lambda: prometheus.query("gpu_owner_info"), "owners")
        labelled = prometheus.query(f'count by (job) ({{{named},job!="inferometer"}})')
        assert {dict(each.labels)["job"] for each in labelled} >= {"assistants/vllm", "search/vllm"}
        assert prometheus.query(f'{{{named},job="inferometer"}}') == []
        # Of devices nothing names a pod: neither the sender's nor any other.
        assert prometheus.query('{__name__=~"hw_.+|gpu_info",k8s_pod_name!=""}') == []


def test_remote_write_2_has_what_the_page_has(node: SimulatedNode, tmp_path: Path) -> None:
    """As README.md says it is switched on, it writes every series as it is scraped, and ends those that end."""
    message = "exporters::prometheus_remote_write::protobuf_message: io.prometheus.write.v2.Request"
    with (
        prometheus_for_otlp(tmp_path / "prometheus") as prometheus,
        collector(
            "gateway",
            tmp_path / "gateway",
            over=["remote-write"],
            changes=[message],
            options=["--feature-gates=exporter.prometheusremotewritexporter.enableSendingRW2"],
            REMOTE_WRITE_ENDPOINT=f"{prometheus.url}/api/v1/write",
        ) as gateway,
        agent_on(node, endpoint=gateway.grpc_url, protocol="grpc", period=CALM) as agent,
    ):
        stored, page = same(lambda: kept(prometheus.query(EVERYTHING)), lambda: scrape(agent.url))
        mine = f'gpu_owner_info{{k8s_pod_uid="{node.ledger().pod("code").uid}"}}'
        await_that(lambda: prometheus.query(mine), "the holding")
        node.pod_dies("code")
        await_that(lambda: not prometheus.query(mine), "the holding's end")
    assert names(stored) == names(page)
    assert still(stored) == still(page)


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "simulated", "cluster": {"server": server}}],
        "contexts": [{"name": "simulated", "context": {"cluster": "simulated", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
        "current-context": "simulated",
    }
