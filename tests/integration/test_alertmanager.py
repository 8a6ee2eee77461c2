# SPDX-License-Identifier: Apache-2.0
"""A real alert goes from the simulated node to a webhook, through Prometheus and Alertmanager, and resolves."""

from pathlib import Path

import yaml

from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on, scrape_job
from integration.backends import Alertmanager, Prometheus
from integration.programs import Needs
from integration.webhook import Webhook
from whole.agents import await_that

RULES = {
    "groups": [
        {
            "name": "test",
            "interval": "200ms",
            "rules": [
                {
                    "alert": "EngineDown",
                    "expr": 'inferometer_source_up{inferometer_source_name="engine"} == 0',
                    "labels": {"severity": "page"},
                }
            ],
        }
    ]
}
OF_CHAT = {"inferometer_source_instance": "/chat-", "severity": "page"}


def routed_to(url: str) -> dict[str, object]:
    """Give an Alertmanager configuration that notifies a webhook as soon as it can."""
    route = {"receiver": "webhook", "group_wait": "100ms", "group_interval": "200ms", "repeat_interval": "1h"}
    return {"route": route, "receivers": [{"name": "webhook", "webhook_configs": [{"url": url}]}]}


def test_an_engine_that_is_down_pages_and_resolves(node: SimulatedNode, tmp_path: Path, needs: Needs) -> None:
    """The webhook hears which engine fails, and hears again when it is back."""
    needs("prometheus", "alertmanager")
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(RULES), encoding="utf-8")
    with (
        agent_on(node) as agent,
        Webhook() as webhook,
        Alertmanager(tmp_path / "alertmanager", routed_to(f"{webhook.url}/page")) as alertmanager,
        Prometheus(
            tmp_path / "prometheus",
            scrape=[scrape_job(agent)],
            rules=[rules],
            alertmanagers=[alertmanager.address],
        ) as prometheus,
    ):
        await_that(lambda: prometheus.query("inferometer_source_up == 1"), "a scrape")
        await_that(lambda: prometheus.alerts() == [], "silence")

        node.engine_down("chat")
        await_that(lambda: webhook.status("EngineDown", **OF_CHAT) == "firing", "the page")
        node.engine_up("chat")
        await_that(lambda: webhook.status("EngineDown", **OF_CHAT) == "resolved", "the end")
