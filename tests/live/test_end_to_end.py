# SPDX-License-Identifier: Apache-2.0
"""The exporter as a user starts it, on real input from all three worlds at once.

The real nvidia-ml-py on a C library, the recorded answers of a real kubelet and API server with the real NVIDIA DRA
driver, and a live NVIDIA Dynamo engine under real OpenAI-API requests.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle reads the engine's page

from fakenvml.build import build
from fakenvml.fakenvml import GIB, Gpu, Instance, Node
from kubelet.api import ApiServer
from kubelet.certificates import issue
from kubelet.podresources import Kubelet, always, recorded
from live.dynamo import Dynamo
from otlp_receiver import HttpReceiver
from whole.agents import eventually
from whole.pages import HOLDING, ROUTE_ONLY, Page, received, scrape, values

pytestmark = pytest.mark.live

RECORDED = Path(__file__).parents[1] / "fixtures" / "kubelet"
UUID = "GPU-01000100-0000-0000-0000-00000000000"

WHOLE = Gpu(UUID + "7", minor=7, pci="00000000:BE:00.0", serial="7007", power_instant=402_500, energy=987_654_321)
SPLIT = Gpu(
    UUID + "1",
    minor=1,
    serial="7001",
    mig=1,
    utilization=None,
    encoder=None,
    decoder=None,
    instances=(
        Instance("MIG-one", gi=9, placement=0, memory_used=3 * GIB),
        None,  # a hole, as after an instance was destroyed
        Instance("MIG-two", gi=11, placement=2, memory_used=5 * GIB),
    ),
)
NODE = Node((SPLIT, WHOLE))

POD_TWO = "53dd15f2-27ed-43f3-9092-143a3a07ed96"  # of the recording: its claim has gpu-7 and gpu-1
WATCHER = "96b00b22-c682-4089-8ec2-c1f9a804c94d"  # of the recording: admin access to every GPU
CLAIM_TWO = "15362eb3-b479-4204-b438-a7f2dc10aeb5"
CLAIM_WATCHER = "5ba5374e-fb41-468a-ba11-f0a71d1d16d5"


@dataclass(frozen=True)
class World:
    """Everything around the agent, and the agent."""

    url: str
    node_file: Path
    dynamo: Dynamo
    receiver: HttpReceiver
    process: "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def world(dynamo: Dynamo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the exporter in the middle of its three worlds."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing: the C library cannot be built")
    folder = tmp_path_factory.mktemp("node")
    library = build(folder)
    node_file = folder / "node.txt"
    NODE.write(node_file)
    listed = json.loads((RECORDED / "api_dra_1.36.json").read_text())["items"]
    certificates = issue(folder)
    (folder / "token").write_text("a-token")
    dynamo.chat("first", max_tokens=1)  # until then its page lacks all that vLLM says
    with ExitStack() as stack:
        socket = folder / "kubelet.sock"
        stack.enter_context(Kubelet(socket, always(recorded(RECORDED / "podresources_dra_1.36.json"))))
        api = stack.enter_context(ApiServer(certificates, pods=tuple(i for i in listed if i["kind"] == "Pod")))
        for claim in (i for i in listed if i["kind"] == "ResourceClaim"):
            api.put_claim(claim)
        receiver = stack.enter_context(HttpReceiver())
        config = {
            "period": "1s",
            # Whatever the machine does meanwhile: what is slow is waited for, and everything is told again each second.
            "devices": {
                "nvidia": {"library": str(library), "deadline": "20s", "medium_period": "1s", "slow_period": "1s"}
            },
            "identity": {
                "podresources": {"socket": str(socket)},
                "pods": {"server": api.url, "token_file": str(folder / "token"), "ca_file": str(certificates.ca)},
            },
            "engines": {"targets": [{"url": f"{dynamo.worker_url}/metrics", "namespace": "default", "pod": "two"}]},
        }
        (folder / "inferometer.yaml").write_text(yaml.safe_dump(config))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "NODE_NAME": "n1",
            "FAKENVML": str(node_file),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
        command = [sys.executable, "-m", "inferometer", "run", "--config", str(folder / "inferometer.yaml")]
        process = stack.enter_context(
            subprocess.Popen([*command, "--listen", "127.0.0.1:0"], env=environment, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        yield World(address(process), node_file, dynamo, receiver, process)


def address(process: "subprocess.Popen[str]") -> str:
    """Read where the agent listens from its log."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", line):
            return found[1]
    raise AssertionError("the agent ended before it listened")


def page_where(world: World, is_so: Callable[[Page], bool], seconds: float = 60.0) -> Page:
    """Scrape until something is so."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):  # 503 until the first snapshot
            page = scrape(world.url)
            if is_so(page):
                return page
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.1)


def complete(page: Page) -> bool:
    """Whether every source has answered, and none too long ago: a machine that stalls makes a page with less on it."""
    owned = ("owner",) in {(k[0],) for k in values(page, "gpu_owner_info", "role", *HOLDING)}
    measured = values(page, "hw_power_watts", "hw_id").keys() == {(WHOLE.uuid,), (SPLIT.uuid,)}
    up = values(page, "inferometer_source_up", "inferometer_source_name", "inferometer_source_instance")
    needed = {"nvidia", "podresources", "pods", "claims", "engine"} & {name for name, _ in up}
    return owned and measured and all(value == 1.0 for (name, _), value in up.items() if name in needed)


def test_devices_are_what_the_c_library_says(world: World) -> None:
    """Every reading of both GPUs and both instances, in base units; nothing of an instance on its GPU's name."""

    def are_so() -> None:
        page = page_where(world, complete)

        def told(name: str, *keys: str) -> Mapping[tuple[str | None, ...], float]:
            return values(page, name, "hw_id", *keys)

        both = {WHOLE.uuid: WHOLE, SPLIT.uuid: SPLIT}
        instances = [i for i in SPLIT.instances if i]
        assert told("hw_power_watts") == {(u,): (g.power or 0) / 1000 for u, g in both.items()}
        assert told("gpu_power_instant_watts") == {(u,): (g.power_instant or 0) / 1000 for u, g in both.items()}
        assert told("hw_energy_joules_total") == {(u,): (g.energy or 0) / 1000 for u, g in both.items()}
        assert told("gpu_power_limit_watts") == {(u,): 700.0 for u in both}
        assert told("hw_gpu_memory_usage_bytes") == {(u,): g.memory_used for u, g in both.items()}
        assert told("hw_gpu_memory_limit_bytes") == {(u,): g.memory_total for u, g in both.items()}
        assert told("gpu_memory_reserved_bytes") == {(u,): g.memory_reserved for u, g in both.items()}
        assert told("hw_gpu_utilization_ratio", "hw_gpu_task") == {
            (WHOLE.uuid, "general"): 0.87,
            (WHOLE.uuid, "encoder"): 0.03,
            (WHOLE.uuid, "decoder"): 0.05,
            (WHOLE.uuid, "jpeg"): 0.07,
            (WHOLE.uuid, "ofa"): 0.09,
        }
        assert told("hw_temperature_celsius", "hw_sensor_location") == {
            (u, location): degrees for u in both for location, degrees in (("core", 61.0), ("memory", 71.0))
        }
        assert told("gpu_clock_frequency_hertz", "gpu_clock_domain") == {
            (u, domain): mhz * 1e6
            for u in both
            for domain, mhz in (("graphics", 1980), ("sm", 1965), ("memory", 2619), ("video", 1545))
        }
        assert told("gpu_mig_memory_usage_bytes") == {(i.uuid,): i.memory_used for i in instances}
        assert told("gpu_mig_memory_limit_bytes") == {(i.uuid,): i.memory_total for i in instances}
        assert told("gpu_mig_info", "hw_parent", "gpu_mig_profile", "gpu_mig_gpu_instance_id", "gpu_mig_placement") == {
            ("MIG-one", SPLIT.uuid, "1g.10gb", "9", "0"): 1.0,
            ("MIG-two", SPLIT.uuid, "1g.10gb", "11", "2"): 1.0,
        }
        assert told(
            "gpu_info", "hw_serial_number", "gpu_minor", "gpu_pci_address", "hw_driver_version", "gpu_mig_mode"
        ) == {
            (WHOLE.uuid, "7007", "7", "0000:be:00.0", "575.57.08", "disabled"): 1.0,
            (SPLIT.uuid, "7001", "1", "0000:3b:00.0", "575.57.08", "enabled"): 1.0,
        }
        assert sum(values(page, "gpu_devices", "hw_model", "gpu_state").values()) == 2.0

    eventually(are_so, 120)


def test_holders_are_what_the_kubelet_and_the_claims_say(world: World) -> None:
    """The container that names the request owns the whole GPU, not the one that names another; the observer never does."""

    def are_so() -> None:
        page = page_where(world, complete)

        of_two = ("default", "two", POD_TWO)
        assert values(page, "gpu_owner_info", *HOLDING, "role") == {
            (WHOLE.uuid, *of_two, "c1", "two-g-xbpqm", CLAIM_TWO, "a", "owner"): 1.0,
            (WHOLE.uuid, "mon", "watcher", WATCHER, "c", "watcher-g-qx7c5", CLAIM_WATCHER, "all", "admin"): 1.0,
        }
        alone = (WHOLE.uuid, *of_two, "c1", "two-g-xbpqm", CLAIM_TWO, "a", "exclusive")
        owned = {
            key: v for key, v in values(page, "gpu_owner_memory_usage_bytes", *HOLDING, "attribution").items() if key[3]
        }
        assert owned == {alone: WHOLE.memory_used}
        assert values(page, "gpu_owner_utilization_ratio", *HOLDING, "attribution") == {alone: 0.87}
        timed = values(page, "gpu_owner_time_seconds_total", *HOLDING, "attribution")
        assert {key for key in timed if key[3]} == {alone}
        # What nobody holds is nobody's: the free instances' memory and time.
        assert {key[0] for key in timed if key[-1] == "none"} == {WHOLE.uuid, "MIG-one", "MIG-two"}
        # ext1 has 2 devices, the other container of two 1 on the split GPU, the watcher 7: none is a device of this node's.
        assert values(page, "gpu_owner_unresolved") == {(): 2 + 1 + 7}
        assert values(page, "inferometer_identity_level", "inferometer_identity_level")[("uid",)] == 1.0

    eventually(are_so, 120)


# Each canonical name and the family that the engine's own page has it in.
GAUGES = {
    "inference_requests_running": "vllm:num_requests_running",
    "inference_kv_cache_utilization_ratio": "vllm:kv_cache_usage_perc",
    "inference_preemptions_total": "vllm:num_preemptions_total",
}
HISTOGRAMS = {
    "gen_ai_server_request_duration_seconds": "vllm:e2e_request_latency_seconds",
    "gen_ai_server_time_to_first_token_seconds": "vllm:time_to_first_token_seconds",
}


def own_words(page: str) -> dict[tuple[str, str | None], float]:
    """Read the engine's page: each sample's value by name and bound."""
    return {
        (sample.name, repr(float(sample.labels["le"])) if "le" in sample.labels else None): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("vllm:")
    }


def test_the_engine_is_what_its_own_page_says_after_real_requests(world: World) -> None:
    """Histograms with the engine's own bounds, counters and gauges, each value as the engine has it, joined to its pod."""
    for number in range(12):
        world.dynamo.chat(f"request {number}", max_tokens=4 + number, stream=number % 2 == 0)

    def is_so() -> None:
        engine = own_words(world.dynamo.worker_metrics())
        count = engine[("vllm:e2e_request_latency_seconds_count", None)]
        assert count >= 12

        page = page_where(
            world, lambda p: values(p, "gen_ai_server_request_duration_seconds_count").get(()) == count, 10
        )

        for ours, theirs in GAUGES.items():
            assert values(page, ours) == {(): engine[(theirs, None)]}, ours
        # Who waits in the worker's own queue is not known to the engine yet.
        assert values(page, "inference_requests_waiting", "inference_wait_reason") == {
            (None,): engine[("vllm:num_requests_waiting", None)],
            ("worker_queue",): 0.0,
        }
        for ours, theirs in HISTOGRAMS.items():
            bounds = {bound: v for (name, bound), v in engine.items() if name == f"{theirs}_bucket"}
            assert {k[0]: v for k, v in values(page, f"{ours}_bucket", "le").items()} == bounds, ours
            assert values(page, f"{ours}_sum") == {(): pytest.approx(engine[(f"{theirs}_sum", None)])}
            assert values(page, f"{ours}_count") == {(): engine[(f"{theirs}_count", None)]}
        identity = (
            "k8s_pod_uid",
            "k8s_pod_name",
            "gen_ai_provider_name",
            "gen_ai_request_model",
            "gen_ai_operation_name",
        )
        assert values(page, "inference_requests_running", *identity) == {
            (POD_TWO, "two", "vllm", world.dynamo.model, "text_completion"): engine[("vllm:num_requests_running", None)]
        }
        told = values(page, "inference_engine_info", "inference_engine_backend", "inference_engine_kind", "k8s_pod_uid")
        assert told == {("vllm", "engine", POD_TWO): 1.0}

    eventually(is_so, 120)


def test_what_is_pushed_is_what_is_scraped(world: World) -> None:
    """Name by name, label by label, value by value: the OTLP route and the Prometheus route agree."""
    moving = ("inferometer_", "gpu_owner_time_", "gpu_reading_age_")

    def agree() -> None:
        world.receiver.wait_for(len(world.receiver.received) + 2, 60)
        page = {s: v for s, v in page_where(world, complete).items() if s[0] not in ROUTE_ONLY}
        pushed = received(r.request for r in world.receiver.received)
        assert set(pushed) == set(page)
        still = {s: v for s, v in pushed.items() if not s[0].startswith(moving)}
        assert still == {s: v for s, v in page.items() if not s[0].startswith(moving)}

    # What was pushed while the machine stalled says that something did not answer, and the page says that it does.
    eventually(agree, 120)
    names = {name for name, _ in received(r.request for r in world.receiver.received)}
    assert {"hw_energy_joules_total", "gpu_owner_info", "gen_ai_server_time_to_first_token_seconds_bucket"} <= names


def test_resources_tell_the_node_and_the_engine_apart(world: World) -> None:
    """One resource for the node, one for the engine's pod, no two alike in one request."""
    page_where(world, complete)
    world.receiver.wait_for(len(world.receiver.received) + 2, 60)
    resources = [
        {a.key: a.value.string_value for a in r.resource.attributes}
        for r in max(world.receiver.received, key=lambda r: len(r.request.resource_metrics)).request.resource_metrics
    ]

    by_service = {r["service.name"]: r for r in resources}
    assert len(by_service) == len(resources) == 2
    assert by_service["inferometer"]["k8s.node.name"] == "n1"
    assert by_service["two"]["k8s.pod.uid"] == POD_TWO


def test_a_value_that_the_driver_changes_is_seen_within_a_period(world: World) -> None:
    """New watts in the C library are new watts on the page; energy moves with it."""
    hotter = replace(WHOLE, power=611_250, energy=988_000_000)
    replace(NODE, gpus=(SPLIT, hotter)).write(world.node_file)

    def is_so() -> None:
        page = page_where(world, complete)
        assert values(page, "hw_power_watts", "hw_id")[(WHOLE.uuid,)] == 611.25
        assert values(page, "hw_energy_joules_total", "hw_id")[(WHOLE.uuid,)] == 988_000.0

    eventually(is_so, 120)


def test_it_ends_on_sigterm_and_leaves_no_child(world: World) -> None:
    """The last act: the agent ends by itself with 0, and its sampler with it."""
    children = psutil.Process(world.process.pid).children(recursive=True)
    assert children

    world.process.send_signal(signal.SIGTERM)

    assert world.process.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
