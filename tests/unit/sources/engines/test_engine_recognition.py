# SPDX-License-Identifier: Apache-2.0
"""Which engine a page is from: by the shape of its labels, never by a prefix alone."""

from pathlib import Path

import pytest

from inferometer.model import Target
from inferometer.sources.engines.dialects import BY_NAME
from inferometer.sources.engines.page import Parser
from inferometer.sources.engines.reader import Reader, describe
from inferometer.sources.engines.recognise import recognise

FIXTURES = Path(__file__).parents[3] / "fixtures" / "engines"

VLLM = 'vllm:num_requests_running{model_name="m",engine="0"} 1\n'


def recognised(text: str, insisted: str = "") -> tuple[str, str, str]:
    page = recognise(Parser().parse(text.encode()).layout, insisted)
    return page.engine, page.backend, page.kind.value


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("vllm/real_v0.32.0_cpu_idle.txt", ("vllm", "vllm", "engine")),
        ("vllm/real_v0.32.0_cpu_apiservers2.idle.txt", ("vllm", "vllm", "engine")),
        ("vllm/realcode_v0.8.5_V0engine_metrics.txt", ("vllm", "vllm", "engine")),
        ("vllm/real_v0.32.0_cpu_disable_log_stats.after.txt", ("unknown", "", "unknown")),
        ("dynamo/real_dynamo1.6.1_frontend_idle.txt", ("dynamo", "", "router")),
        ("dynamo/real_dynamo1.6.1_frontend_after.txt", ("dynamo", "", "router")),
        ("dynamo/real_dynamo1.6.1_mocker_worker_idle.txt", ("dynamo", "", "engine")),
        ("dynamo/real_dynamo1.6.1_mocker_worker_after.txt", ("dynamo", "vllm", "engine")),
        ("production_stack/realcode_HEAD_router_metrics.txt", ("production_stack", "vllm", "router")),
        ("sglang/realcode_v0.5.23_metrics_collector.txt", ("sglang", "sglang", "engine")),
        ("trtllm_serve/derived_trtllm_serve_main_collector.txt", ("trtllm", "trtllm", "engine")),
        ("triton/real_pytriton0.7.0_cpu_after.txt", ("triton", "", "engine")),
        ("tgi/derived_tgi_v3_router.txt", ("tgi", "tgi", "engine")),
        ("llamacpp/real_llama-server_idle.txt", ("llamacpp", "llamacpp", "engine")),
        ("lmdeploy/realcode_HEAD_prometheus_stat_logger.txt", ("lmdeploy", "lmdeploy", "engine")),
        ("kserve/derived_kserve_python_server.txt", ("kserve", "", "engine")),
    ],
)
def test_each_recorded_page_is_recognised(file: str, expected: tuple[str, str, str]) -> None:
    """Engine, backend and kind of every program that was recorded."""
    assert recognised((FIXTURES / file).read_text()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'num_request_max{model_name="m"} 4\ntime_to_first_token_seconds_sum{model_name="m"} 1\n',
            ("nim", "", "engine"),
        ),
        ('ray_vllm_num_requests_running{model_name="m",engine="0",WorkerId="w"} 1\n', ("ray", "vllm", "engine")),
        ('ray_vllm:num_requests_running{model_name="m",WorkerId="w"} 1\n', ("ray", "vllm", "engine")),
        ('ray_node_cpu_count{SessionName="s",Version="2.50.0"} 4\n', ("ray", "", "unknown")),
        ('llm_d_epp_info{commit="c",build_ref="v0.9"} 1\n', ("epp", "", "router")),
        ('inference_objective_request_total{model_name="m"} 1\n', ("epp", "", "router")),
        (
            'dynamo_component_requests_total{dynamo_component="b",dynamo_endpoint="e"} 1\nsglang:token_usage{model_name="m"} 0\n',
            ("dynamo", "sglang", "engine"),
        ),
        (
            'nv_inference_count{model="m",version="1"} 1\nnv_trt_llm_request_metrics{model="m",version="1"} 1\n',
            ("triton", "trtllm", "engine"),
        ),
        (
            'nv_inference_count{model="m",version="1"} 1\nvllm:prompt_tokens_total{model="m",version="1"} 1\n',
            ("triton", "vllm", "engine"),
        ),
        ('request_predict_seconds_count{model_name="m"} 1\n' + VLLM, ("kserve", "vllm", "engine")),
        ("# TYPE vllm:healthy_pods_total gauge\n", ("production_stack", "vllm", "router")),
        (VLLM, ("vllm", "vllm", "engine")),
    ],
)
def test_each_other_known_page_is_recognised(text: str, expected: tuple[str, str, str]) -> None:
    """Programs that were not recorded, by what their documentation says that their pages have."""
    assert recognised(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        'vllm:num_requests_running{model="m"} 1\n',
        "vllm:num_requests_running 1\n",
        "# TYPE vllm:num_requests_running gauge\n",
        'sglang:token_usage{server="x"} 1\n',
        'http_requests_total{handler="/v1/completions"} 1\n',
    ],
)
def test_a_prefix_without_the_engines_labels_proves_nothing(text: str) -> None:
    """A page that only borrows an engine's names is of an unknown engine."""
    assert recognised(text) == ("unknown", "", "unknown")


def test_an_operator_may_insist_on_an_engine() -> None:
    """The name that is configured wins over the page's looks; a name that agrees with the page changes nothing."""
    assert recognised("up 1\n", "vllm") == ("vllm", "vllm", "engine")
    assert recognised("up 1\n", "no-such-engine") == ("unknown", "", "unknown")
    frontend = (FIXTURES / "dynamo/real_dynamo1.6.1_frontend_idle.txt").read_text()
    assert recognised(frontend, "dynamo") == ("dynamo", "", "router")


def test_an_engine_that_is_up_but_blind_lacks_what_it_should_say() -> None:
    """With --disable-log-stats vLLM says nothing: without a hint its page is anybody's; with one, every family is missing."""
    page = (FIXTURES / "vllm/real_v0.32.0_cpu_disable_log_stats.after.txt").read_bytes()
    blind = Reader(Target("i", "http://h/", engine="vllm")).read(page)
    assert (blind.engine, blind.kind, blind.readings) == ("vllm", "engine", ())
    assert "vllm:generation_tokens_total" in blind.missing
    assert "vllm:request_time_per_output_token_seconds" not in blind.missing  # its age cannot be told
    stranger = Reader(Target("i", "http://h/")).read(page)
    assert (stranger.engine, stranger.readings, stranger.missing) == ("unknown", (), ())


def test_the_version_is_the_emitters_and_nobody_elses() -> None:
    """python_info and a model's version are not the engine's; Ray and the endpoint picker tell their own."""
    assert describe((FIXTURES / "vllm/real_v0.32.0_cpu_idle.txt").read_bytes()).version == ""
    assert describe((FIXTURES / "triton/real_pytriton0.7.0_cpu_after.txt").read_bytes()).version == ""
    assert describe(b'ray_vllm_x{model_name="m",Version="2.50.0"} 1\n').version == "2.50.0"
    assert describe(b'llm_d_epp_info{commit="c",build_ref="v0.9.1"} 1\n').version == "v0.9.1"


def test_models_are_those_that_the_page_names() -> None:
    """Sorted, each once, without Dynamo's stand-in for models that nobody serves, and not without end."""
    assert describe(b'vllm:x{model_name="b"} 1\nvllm:y{model_name="a"} 1\nvllm:z{model_name="b"} 1\n').models == (
        "a",
        "b",
    )
    assert describe(b'dynamo_frontend_x{model="m"} 1\ndynamo_frontend_x{model="unknown_model"} 1\n').models == ("m",)
    many = "".join(f'vllm:x{{model_name="{i}"}} 1\n' for i in range(1000)).encode()
    assert len(describe(many).models) == 64


@pytest.mark.parametrize("path", sorted((FIXTURES / "vllm").glob("real_v0.32.0_*[!s].*")), ids=lambda path: path.stem)
def test_nothing_is_missing_on_a_page_of_the_current_version(path: Path) -> None:
    """No false alarm: not even before the first request, or in multiprocess mode, where gauges have no samples yet."""
    if "disable_log_stats" not in path.name:
        assert describe(path.read_bytes()).missing == ()


def test_an_old_page_lacks_nothing_that_its_age_did_not_have() -> None:
    """V0 (vLLM 0.8.5) has no time per output token per request and the old name of the cache's usage."""
    page = describe((FIXTURES / "vllm/realcode_v0.8.5_V0engine_metrics.txt").read_bytes())
    assert page.missing == ()
    assert ("vllm:gpu_cache_usage_perc", "inference.kv_cache.utilization") in page.mapped
    assert "vllm:time_per_output_token_seconds" in page.unmapped  # per event, not per request


def test_a_renamed_family_is_missed() -> None:
    """A current page without its token counter says so: the mapping has drifted."""
    page = (FIXTURES / "vllm/real_v0.32.0_cpu_after60.txt").read_text()
    drifted = describe(page.replace("vllm:generation_tokens", "vllm:output_tokens").encode())
    assert drifted.missing == ("vllm:generation_tokens_total",)
    assert "vllm:output_tokens_total" in drifted.unmapped


def test_mapped_and_unmapped_are_all_the_families_of_the_page() -> None:
    """Each family stands in one of the two, and `_created` families go with what they date."""
    body = (FIXTURES / "vllm/real_v0.32.0_cpu_after60.txt").read_bytes()
    page = describe(body)
    declared = set(Parser().parse(body).layout.types)
    told = [family for family, _ in page.mapped] + list(page.unmapped)
    assert sorted(told) == sorted(name for name in declared if not name.endswith("_created"))


def test_every_engine_has_the_name_that_check_engine_promises() -> None:
    """The names are a closed set."""
    names = "vllm sglang trtllm triton tgi nim dynamo llamacpp lmdeploy kserve ray epp production_stack"
    assert sorted(BY_NAME) == sorted(names.split())
