# SPDX-License-Identifier: Apache-2.0
"""The whole agent on the simulated node: /metrics against the ledger, value by value, and both routes against each other."""

from collections.abc import Iterator

import pytest

from inferometer import app
from inferometer.app.simulated import point_at
from inferometer.config import Config
from inferometer.simulation.ledger import EngineLedger, Ledger
from inferometer.simulation.node import SimulatedNode
from inferometer.xid_catalog import ALERTED
from otlp_receiver import HttpReceiver
from whole.agents import agent_on, await_that, eventually, page_where
from whole.pages import ROUTE_ONLY, Page, Series, get, received, scrape, values
from whole.routes import CALM, names, same, still


def next_snapshot(agent: app.Agent) -> None:
    """Wait for snapshots whose reads all began after now."""
    for _ in range(2):
        before = agent.newest
        await_that(lambda: agent.newest is not before, "a snapshot")  # noqa: B023  # called at once


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node whose time stands still."""
    node = SimulatedNode(seed=7)
    node.pause()
    with node:
        yield node


def assert_devices_agree(page: Page, ledger: Ledger) -> None:
    """Compare everything that is said of GPUs and instances with the ledger."""
    gpus = [d for d in ledger.devices if d.parent is None]
    instances = [d for d in ledger.devices if d.parent is not None]

    def told(name: str, *keys: str) -> dict[tuple[str | None, ...], float]:
        return values(page, name, "hw_id", *keys)

    assert told("hw_power_watts") == {(g.uuid,): g.power for g in gpus}
    assert told("hw_energy_joules_total") == {(g.uuid,): g.joules for g in gpus}
    assert told("gpu_power_limit_watts") == {(g.uuid,): g.power_limit for g in gpus}
    assert told("hw_gpu_memory_usage_bytes") == {(g.uuid,): g.memory_used for g in gpus}
    assert told("hw_gpu_memory_limit_bytes") == {(g.uuid,): g.memory_total for g in gpus}
    assert told("gpu_memory_reserved_bytes") == {(g.uuid,): g.memory_reserved for g in gpus}
    assert told("gpu_mig_memory_usage_bytes") == {(i.uuid,): i.memory_used for i in instances}
    assert told("gpu_mig_memory_limit_bytes") == {(i.uuid,): i.memory_total for i in instances}
    assert {k[:1]: v for k, v in told("hw_gpu_utilization_ratio", "hw_gpu_task").items() if k[1] == "general"} == {
        (g.uuid,): g.utilization for g in gpus if g.utilization is not None
    }
    assert told("hw_temperature_celsius", "hw_sensor_location") == {
        (g.uuid, location): value
        for g in gpus
        for location, value in (("core", g.temperature), ("memory", g.memory_temperature))
        if value is not None
    }
    assert told("gpu_mig_info", "hw_parent", "gpu_mig_profile") == {
        (i.uuid, i.parent, i.profile): 1.0 for i in instances
    }


def assert_holdings_agree(page: Page, ledger: Ledger) -> None:
    """Compare who holds what with the ledger: each holding once, with everything that is known of it."""
    pods = {p.uid: p for p in ledger.pods}
    keys = [
        "hw_id",
        "k8s_namespace_name",
        "k8s_pod_name",
        "k8s_pod_uid",
        "k8s_container_name",
        "k8s_resourceclaim_namespace",
        "k8s_resourceclaim_name",
        "k8s_resourceclaim_uid",
        "k8s_resourceclaim_request",
        "role",
        "inferometer_team",
        "inferometer_cost_center",
        "k8s_workload_kind",
        "k8s_workload_name",
    ]
    expected = {
        (
            *(h.device, h.namespace, h.pod, h.pod_uid, h.container),
            *(h.claim_namespace, h.claim_name, h.claim_uid, h.request, h.role),
            *(pods[h.pod_uid].team or None, pods[h.pod_uid].cost_center or None),
            *(pods[h.pod_uid].workload_kind or None, pods[h.pod_uid].workload_name or None),
        ): 1.0
        for h in ledger.holdings
    }
    assert values(page, "gpu_owner_info", *keys) == expected


_HISTOGRAMS = {
    "e2e_request_latency_seconds": "gen_ai_server_request_duration_seconds",
    "time_to_first_token_seconds": "gen_ai_server_time_to_first_token_seconds",
    "request_time_per_output_token_seconds": "gen_ai_server_time_per_output_token_seconds",
}


def assert_engine_agrees(page: Page, engine: EngineLedger) -> None:
    """Compare everything that is said of one engine with its ledger."""

    def told(name: str, *keys: str) -> dict[tuple[str | None, ...], float]:
        mine = {
            (sample, labels): value
            for (sample, labels), value in page.items()
            if ("k8s_pod_uid", engine.pod_uid) in labels
        }
        return values(mine, name, *keys)

    cached = engine.cached_prompt_tokens
    assert told("inference_tokens_total", "gen_ai_token_type", "inference_token_cached", "gen_ai_request_model") == {
        ("input", "false", engine.model): engine.prompt_tokens - cached,
        ("input", "true", engine.model): cached,
        ("output", None, engine.model): engine.generation_tokens,
    }
    assert told("inference_requests_running") == {(): engine.running}
    assert sum(told("inference_requests_waiting", "inference_wait_reason").values()) == engine.waiting
    assert told("inference_requests_finished_total", "inference_finish_reason") == {
        (reason,): count for reason, count in engine.finished.items()
    }
    assert told("inference_preemptions_total") == {(): engine.preemptions}
    assert told("inference_kv_cache_utilization_ratio")[()] == pytest.approx(engine.kv_utilization)
    for family, name in _HISTOGRAMS.items():
        histogram = engine.histograms[family]
        running, cumulative = 0, {}
        for bound, count in zip([*histogram.bounds, float("inf")], histogram.counts, strict=True):
            running += count
            cumulative[(repr(float(bound)),)] = running
        assert told(f"{name}_bucket", "le") == cumulative
        assert told(f"{name}_count") == {(): histogram.count}
        assert told(f"{name}_sum")[()] == pytest.approx(histogram.sum)


def test_metrics_agree_with_the_ledger_before_and_after_time_passes(node: SimulatedNode) -> None:
    """Every GPU, instance, holding and engine is said as the node's own books have it, at two moments."""

    def agree() -> None:
        page, ledger = scrape(agent.url), node.ledger()
        assert_devices_agree(page, ledger)
        assert_holdings_agree(page, ledger)
        for engine in ledger.engines:
            assert_engine_agrees(page, engine)
        assert len(ledger.engines) >= 6

    with agent_on(node) as agent:
        for _ in range(2):
            eventually(agree)
            node.advance(7.0)


def test_a_devices_use_is_its_owners_and_nobodys(node: SimulatedNode) -> None:
    """The parts of gpu.owner.* are the device's own value; a pod that is alone has all of it, pods that share have equal parts."""
    with agent_on(node) as agent:
        eventually(lambda: assert_uses_agree(scrape(agent.url), node.ledger()))


def assert_uses_agree(page: Page, ledger: Ledger) -> None:
    """Compare what every owner uses of a device with what the device does."""
    pods_on: dict[str, set[str]] = {}
    for holding in ledger.holdings:
        pods_on.setdefault(holding.device, set()).add(holding.pod_uid)
    devices = {device.uuid for device in ledger.devices if not any(d.parent == device.uuid for d in ledger.devices)}
    used = values(page, "gpu_owner_memory_usage_bytes", "hw_id", "k8s_pod_uid", "attribution")
    for device in devices:
        total, pods = ledger.device(device).memory_used, pods_on.get(device, set())
        parts = {(uid, how): value for (where, uid, how), value in used.items() if where == device}
        assert sum(parts.values()) == pytest.approx(total)
        if len(pods) == 1:
            assert parts.keys() in ({(*pods, "exclusive")}, {(*pods, "mig")})
        elif pods:
            assert parts == {(uid, "equal"): pytest.approx(total / len(pods)) for uid in pods}
        else:
            assert parts == {(None, "none"): total}
    busy = values(page, "gpu_owner_utilization_ratio", "hw_id", "k8s_pod_uid", "attribution")
    for device in devices:
        if (utilization := ledger.device(device).utilization) is not None:
            assert sum(v for (where, *_), v in busy.items() if where == device) == pytest.approx(utilization)
    assert {len(pods) for pods in pods_on.values()} > {1}


def test_both_routes_say_the_same(node: SimulatedNode) -> None:
    """What is pushed by OTLP equals what is scraped: every name, label and value that does not move with the clock."""
    with HttpReceiver() as receiver, agent_on(node, endpoint=receiver.url, period=CALM) as agent:
        pushed, page = same(lambda: received(r.request for r in tuple(receiver.received)), lambda: scrape(agent.url))

    assert names(pushed) == names(page)
    assert still(pushed) == still(page)
    assert len(pushed) > 700


def test_everything_that_is_simulated_says_so(node: SimulatedNode) -> None:
    """Each series carries inferometer_simulated, and the status page says it to a person."""
    with agent_on(node) as agent:
        page = scrape(agent.url)
        status = get(f"{agent.url}/", accept="text/html")

    unmarked = {name for name, labels in page if ("inferometer_simulated", "true") not in labels}
    assert unmarked <= ROUTE_ONLY
    assert "simulated" in status.lower()


def test_a_pod_that_ends_takes_its_holdings_and_leaves_its_counters(node: SimulatedNode) -> None:
    """gpu.owner.info ends within a period; what the owner held stays frozen; the same name again is another owner."""
    with agent_on(node) as agent:
        uid = node.ledger().pod("code").uid
        held = {(h.device,) for h in node.ledger().held_by(uid)}
        node.pod_dies("code")
        await_that(lambda: (uid,) not in owners(agent), "the end of the holding")
        frozen: dict[tuple[str | None, ...], float] = {}

        def is_frozen() -> None:  # if nothing was read in time, the holding is back once more
            nonlocal frozen
            frozen = time_of(agent, uid)
            next_snapshot(agent)
            assert time_of(agent, uid) == frozen
            assert (uid,) not in owners(agent)

        eventually(is_frozen)
        again = node.pod_starts("code")
        await_that(lambda: (again,) in owners(agent), "the new holding")
        assert time_of(agent, uid) == frozen

    assert set(frozen) == held
    assert again != uid


def owners(agent: app.Agent) -> set[tuple[str | None, ...]]:
    return {(k[0],) for k in values(scrape(agent.url), "gpu_owner_info", "k8s_pod_uid", "hw_id", "k8s_container_name")}


def time_of(agent: app.Agent, uid: str) -> dict[tuple[str | None, ...], float]:
    # Where pods were not read in time, their names without UIDs are owners of their own.
    told = values(scrape(agent.url), "gpu_owner_time_seconds_total", "hw_id", "k8s_pod_uid", "k8s_pod_name")
    return {key[:1]: value for key, value in told.items() if key[1] == uid}


def test_without_the_kubelet_devices_and_engines_go_on(node: SimulatedNode) -> None:
    """Owners vanish after the grace, nothing else; and they come back with the kubelet's new socket."""
    with agent_on(node) as agent:
        # GPM's first values are of two reads.
        await_that(lambda: any(name == "gpu_sm_activity_ratio" for name, _ in devices_of(agent)), "a complete page")
        before = devices_of(agent)
        node.kubelet_down()
        page_where(agent, is_without_owners)
        # A page that is missed in time is none that lost its owners: what counts is that the devices stand without them.
        await_that(lambda: devices_of(agent) >= before and not owners(agent), "the devices as before")
        node.replace_kubelet_socket()
        await_that(lambda: bool(owners(agent)), "the owners back")


def is_without_owners(page: Page) -> None:
    """Check that the kubelet's source is down, and that engines go on."""
    up = values(page, "inferometer_source_up", "inferometer_source_name", "inferometer_source_instance")
    assert up["podresources", None] == 0.0
    assert values(page, "inferometer_identity_level", "inferometer_identity_level")[("none",)] == 1.0
    assert not values(page, "gpu_owner_info", "k8s_pod_uid", "hw_id", "k8s_container_name")
    assert values(page, "inference_requests_running", "k8s_pod_uid")


def devices_of(agent: app.Agent) -> set[Series]:
    return {s for s in scrape(agent.url) if s[0].startswith(("hw_", "gpu_")) and not s[0].startswith("gpu_owner_")}


def test_an_engine_that_is_down_fails_alone(node: SimulatedNode) -> None:
    """Its values vanish and its source is down; the other engines and all devices stay."""
    with agent_on(node) as agent:
        uid = node.ledger().pod("chat").uid
        node.engine_down("chat")

        def is_alone(page: Page) -> None:
            running = values(page, "inference_requests_running", "k8s_pod_uid")
            assert (uid,) not in running
            assert len(running) == len(node.ledger().engines) - 1
            up = values(page, "inferometer_source_up", "inferometer_source_name", "inferometer_source_instance")
            assert [v for k, v in up.items() if v == 0.0 and "chat" in (k[1] or "")] == [0.0]
            assert sum(v == 0.0 for v in up.values()) == 1
            assert values(page, "hw_power_watts", "hw_id")

        page_where(agent, is_alone)


def test_a_gpu_that_is_lost_takes_only_itself(node: SimulatedNode) -> None:
    """The other seven GPUs keep their readings."""
    with agent_on(node) as agent:
        node.gpu_lost(6)
        await_that(lambda: len(values(scrape(agent.url), "hw_power_watts", "hw_id")) == 7, "seven GPUs")


def test_a_driver_that_is_unloaded_takes_the_devices_and_gives_them_back(node: SimulatedNode) -> None:
    """Without a driver owners and engines go on; when it is loaded again the devices return."""
    with agent_on(node) as agent:
        node.unload_driver()

        def is_without_devices(page: Page) -> None:
            assert not values(page, "hw_power_watts", "hw_id")
            assert values(page, "gpu_owner_info", "hw_id", "k8s_pod_uid", "k8s_container_name")
            assert values(page, "inference_requests_running", "k8s_pod_uid")

        page_where(agent, is_without_devices)
        node.load_driver()
        await_that(lambda: len(values(scrape(agent.url), "hw_power_watts", "hw_id")) == 8, "eight GPUs", seconds=60)


def test_the_endpoint_is_ready_and_healthy(node: SimulatedNode) -> None:
    """After the first snapshot both probes succeed."""
    with agent_on(node) as agent:
        assert get(f"{agent.url}/readyz")
        assert get(f"{agent.url}/healthz")


def test_check_finds_nothing_wrong_with_a_node_that_has_mig(node: SimulatedNode) -> None:
    """What a GPU does not tell while MIG is on is named, and is no fault; everything else works."""
    config, stand = point_at(node.endpoints, Config())
    findings: tuple[app.Finding, ...] = ()

    def nothing_is_wrong() -> None:  # a deadline is missed while the machine stands still
        nonlocal findings
        findings = tuple(app.check(config, {}, stand))
        assert {finding.state for finding in findings} == {"ok", "absent", "off"}

    eventually(nothing_is_wrong)
    absent = [finding.reason for finding in findings if finding.state == "absent"]
    (with_mig,) = [
        reason for reason in absent if "nvmlDeviceGetUtilizationRates" in reason and reason.startswith("hw.")
    ]
    assert with_mig.startswith("hw.gpu.utilization is absent on GPU-")
    assert with_mig.endswith("nvmlDeviceGetUtilizationRates answers not_while_mig_is_enabled")


def test_xids_are_counted_each_once_as_the_ledger_has_them(node: SimulatedNode) -> None:
    """A GPU's XIDs stand by code and severity; one that hangs or is lost has told why; a new sampler repeats none."""

    def told(agent: app.Agent) -> dict[tuple[str | None, ...], float]:
        counters = values(scrape(agent.url), "gpu_xid_errors_total", "hw_id", "gpu_xid_code")
        return {series: value for series, value in counters.items() if value}

    def booked() -> dict[tuple[str, str], int]:
        return {(d.uuid, str(code)): count for d in node.ledger().devices for code, count in d.xids.items()}

    def nothing_happened() -> None:
        page = scrape(agent.url)
        standing = values(page, "gpu_xid_errors_total", "gpu_index", "gpu_xid_code")
        assert standing == {(str(index), str(code)): 0.0 for index in range(8) for code in ALERTED}
        assert values(page, "gpu_xid_events_total", "gpu_index") == {(str(index),): 0.0 for index in range(8)}

    with agent_on(node) as agent:
        eventually(nothing_happened)
        for index, code in ((0, 31), (0, 31), (2, 94), (5, 119), (6, 79)):
            node.xid(index, code)
        node.hang_gpu(5)
        node.gpu_lost(6)
        await_that(lambda: told(agent) == booked(), "every XID")
        node.hang_gpu(5, hung=False)
        node.unload_driver()  # the sampler is ended
        await_that(lambda: not values(scrape(agent.url), "hw_power_watts", "hw_id"), "no GPU")
        node.load_driver()
        await_that(lambda: len(values(scrape(agent.url), "hw_power_watts", "hw_id")) == 7, "seven GPUs")
        await_that(lambda: told(agent) == booked(), "every XID")
        node.xid(2, 94)
        await_that(lambda: told(agent) == booked(), "every XID")
        page_where(agent, are_four_told)

    assert len(booked()) == 4


def are_four_told(page: Page) -> None:
    """Check what is said of four GPUs' XIDs, six in all."""
    severities = values(page, "gpu_xid_errors_total", "gpu_index", "gpu_xid_code", "gpu_xid_severity")
    assert {series: value for series, value in severities.items() if value} == {
        ("0", "31", "application"): 2.0,
        ("2", "94", "warning"): 2.0,
        ("5", "119", "fatal"): 1.0,
        ("6", "79", "fatal"): 1.0,
    }
    totals = values(page, "gpu_xid_events_total", "gpu_index")
    assert {index: value for (index,), value in totals.items() if value} == {"0": 2.0, "2": 2.0, "5": 1.0, "6": 1.0}
    actions = values(page, "gpu_xid_info", "gpu_xid_code", "gpu_xid_mnemonic", "gpu_xid_action")
    assert ("31", "FIFO_ERROR_MMU_ERR_FLT", "restart_app") in actions
    assert len(actions) == len(ALERTED) + 1
    assert len(values(page, "gpu_xid_last_time_seconds", "gpu_index", "gpu_xid_code")) == 4
