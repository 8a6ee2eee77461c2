# SPDX-License-Identifier: Apache-2.0
"""What the README tells a newcomer to ask is answered by a real Prometheus."""

import re
from pathlib import Path

from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on, scrape_job
from integration.backends import Prometheus
from integration.programs import Needs
from whole.agents import eventually

README = Path(__file__).parents[2] / "README.md"


def test_the_first_query_gives_tokens_per_joule_of_pods_that_hold_whole_gpus_alone(
    tmp_path: Path, needs: Needs
) -> None:
    """The query works as it stands, but for its window, and names just the pods that the ledger has on whole GPUs alone."""
    needs("prometheus")
    (query,) = re.findall(r"```promql\n(.*?)```", README.read_text(), re.DOTALL)
    query = query.replace("[5m]", "[10s]")
    with (
        SimulatedNode(seed=7) as node,
        agent_on(node) as agent,
        Prometheus(tmp_path, scrape=[scrape_job(agent, scrape_interval="500ms")]) as prometheus,
    ):
        ledger = node.ledger()
        pods: dict[str, set[str]] = {}
        for holding in ledger.holdings:
            pods.setdefault(holding.device, set()).add(holding.pod_uid)
        serving = {engine.pod_uid for engine in ledger.engines}
        alone = {
            next(iter(uids))
            for device, uids in pods.items()
            if len(uids) == 1 and ledger.device(device).parent is None and uids <= serving
        }

        def answers_for_every_pod() -> None:
            answer = {dict(sample.labels)["k8s_pod_uid"]: sample.value for sample in prometheus.query(query)}
            assert set(answer) == alone
            assert all(0.01 < value < 100 for value in answer.values())

        eventually(answers_for_every_pod)
