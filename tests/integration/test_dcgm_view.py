# SPDX-License-Identifier: Apache-2.0
"""What was built upon dcgm-exporter finds its series in a real Prometheus that scrapes /metrics/dcgm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.config import Server
from inferometer.simulation.node import SimulatedNode
from integration.agents import agent_on, scrape_job
from integration.backends import Prometheus
from integration.programs import Needs
from whole.agents import await_that

_OF_HOST = '{Hostname=~"simulated-node", gpu=~"0|1|2|3|4|5|6|7"}'

# Every panel of grafana/dcgm-exporter-dashboard.json (dashboard 12239), its variables filled in.
DASHBOARD = (
    f"max(DCGM_FI_DEV_GPU_TEMP{_OF_HOST}) by (Hostname, gpu, uuid)",
    f"avg(DCGM_FI_DEV_GPU_TEMP{_OF_HOST})",
    f"max(DCGM_FI_DEV_POWER_USAGE{_OF_HOST}) by (Hostname, gpu, uuid)",
    f"sum(max(DCGM_FI_DEV_POWER_USAGE{_OF_HOST}) by (gpu))",
    f"max(DCGM_FI_DEV_SM_CLOCK{_OF_HOST} * 1000000) by (Hostname, UUID, gpu)",
    f"max(DCGM_FI_PROF_GR_ENGINE_ACTIVE{_OF_HOST}) by (Hostname, gpu, GPU_I_ID, GPU_I_PROFILE)",
    f"max(DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{_OF_HOST}) by (Hostname, gpu, GPU_I_ID, GPU_I_PROFILE)",
    f"max(DCGM_FI_DEV_FB_USED{_OF_HOST}) by (Hostname, gpu, GPU_I_ID, GPU_I_PROFILE)",
    "group(DCGM_FI_DEV_FB_FREE) by (Hostname)",  # label_values() of its variables
    'group(DCGM_FI_DEV_FB_FREE{Hostname=~"simulated-node"}) by (gpu)',
)

# What autoscalers ask: KEDA's Prometheus scaler, and an HPA by the Prometheus adapter; what cost tools divide by pod; alerts.
OTHERS = (
    'avg(DCGM_FI_DEV_GPU_UTIL{namespace="assistants", pod=~"chat-.*"})',
    'avg(avg_over_time(DCGM_FI_DEV_GPU_UTIL{namespace="assistants", pod=~"chat-.*"}[1m]))',
    'avg(DCGM_FI_DEV_GPU_UTIL{namespace="assistants", pod!=""}) by (namespace, pod)',
    "100 * DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)",
    'avg(DCGM_FI_PROF_GR_ENGINE_ACTIVE{container!=""}) by (container, pod, namespace)',
    "sum(rate(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION[10s]) / 1000) by (pod, namespace)",
    "DCGM_FI_DEV_XID_ERRORS >= 0",
    "sum(DCGM_FI_PROF_PCIE_TX_BYTES + DCGM_FI_PROF_PCIE_RX_BYTES) by (gpu)",
    "sum(DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS + DCGM_FI_DEV_ROW_REMAP_FAILURE)",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, needs: Needs) -> Iterator[Prometheus]:
    """A Prometheus that scrapes both pages of an agent, each as a job of its own."""
    needs("prometheus")
    honest = {"honor_labels": True}
    with SimulatedNode(seed=7) as node, agent_on(node, server=Server(dcgm=True)) as agent:
        jobs = [
            {**scrape_job(agent, metrics_path="/metrics/dcgm", **honest), "job_name": "dcgm"},
            scrape_job(agent),
        ]
        with Prometheus(tmp_path_factory.mktemp("prometheus"), scrape=jobs) as prometheus:
            await_that(lambda: prometheus.query("count_over_time(DCGM_FI_DEV_GPU_UTIL[1m]) > 4"), "a few scrapes", 60)
            await_that(lambda: prometheus.query("hw_power_watts"), "the other page")
            yield prometheus


@pytest.mark.parametrize("expression", [*DASHBOARD, *OTHERS])
def test_what_is_asked_finds_something(store: Prometheus, expression: str) -> None:
    """Each query of the dashboard, and those that autoscalers, cost tools and alerts are known to send, has an answer."""
    await_that(lambda: store.query(expression), expression)


def test_sums_are_the_other_pages(store: Prometheus) -> None:
    """Whoever shares or divides a GPU, the sum over a name is the devices', as on /metrics; and Prometheus knows the types."""
    for theirs, ours in (
        ("sum(DCGM_FI_DEV_FB_FREE + DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_RESERVED) * 1048576 / 1e9", _LIMITS),
        ("count(DCGM_FI_DEV_POWER_USAGE)", "count(hw_power_watts)"),
        ("count(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION)", "count(hw_energy_joules_total)"),
    ):

        def equal(theirs: str = theirs, ours: str = ours) -> bool:
            said, meant = store.query(theirs), store.query(ours)
            return bool(said and meant) and said[0].value == pytest.approx(meant[0].value)

        await_that(equal, theirs)
    kinds = {name: entry["type"] for name, entry in store.metadata().items()}
    assert kinds["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == "counter"
    assert kinds["DCGM_FI_DEV_FB_USED"] == "gauge"


# The memory of whole GPUs, and of the instances of those that are divided: of these the GPU's own is not on the page.
_LIMITS = (
    "(sum(hw_gpu_memory_limit_bytes unless on (hw_id) label_replace(gpu_mig_info, "
    '"hw_id", "$1", "hw_parent", "(.*)")) + sum(gpu_mig_memory_limit_bytes)) / 1e9'
)


def test_a_scrape_of_it_is_off_by_default(node: SimulatedNode, tmp_path: Path, needs: Needs) -> None:
    """Without `server.dcgm` the path is not there, and a scrape says so."""
    needs("prometheus")
    with agent_on(node) as agent:
        job = scrape_job(agent, metrics_path="/metrics/dcgm")
        with Prometheus(tmp_path / "off", scrape=[job]) as prometheus:
            await_that(lambda: any("404" in target["lastError"] for target in prometheus.targets()), "a refusal")
