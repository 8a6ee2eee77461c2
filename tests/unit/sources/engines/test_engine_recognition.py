# SPDX-License-Identifier: Apache-2.0
"""Which engine a page is from: by the shape of its labels, never by a prefix alone."""

from pathlib import Path

import pytest

from inferometer.model import Target
from inferometer.sources.engines.dialect import Dialect
from inferometer.sources.engines.dialects import BACKENDS, BY_NAME, DIALECTS
from inferometer.sources.engines.page import Parser
from inferometer.sources.engines.reader import Reader, describe
from inferometer.sources.engines.recognise import recognise

FIXTURES = Path(__file__).parents[3] / "fixtures" / "engines"

VLLM = 'vllm:num_requests_running{model_name="m",engine="0"} 1\n'


TRTLLM_INFOS = """\
trtllm_parallel_config_info{model_name="m",tensor_parallel_size="4",pipeline_parallel_size="2"} 1
trtllm_model_config_info{model_name="m",quantization="fp8"} 1
"""


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
        ("dynamo/real_dynamo1.6.1_mocker_trtllm_after.txt", ("dynamo", "trtllm", "engine")),
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


PAGES = sorted(FIXTURES.glob("*/*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_recorded_page_has_all_that_its_age_has(path: Path) -> None:
    """No false alarm: not before the first request, nor in multiprocess mode; but Dynamo's mocker does lack families."""
    if path.stem == "real_dynamo1.6.1_mocker_worker_after":
        assert "vllm:generation_tokens_total" in describe(path.read_bytes()).missing
    else:
        assert describe(path.read_bytes()).missing == ()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_family_of_a_recorded_page_is_unheard_of(path: Path) -> None:
    """What is not mapped is known and left out on purpose."""
    page = describe(path.read_bytes())
    assert page.unknown == ()
    assert set(page.unknown) <= set(page.unmapped)


def test_a_family_that_nobody_has_heard_of_is_named() -> None:
    """Under the engine's own prefix or not; a deprecated name of a known family is not news."""
    page = VLLM + 'vllm:quantum_tokens_total{model_name="m"} 1\nvllm:gpu_cache_usage_perc{model_name="m"} 0\nodd 1\n'
    assert describe(page.encode()).unknown == ("odd", "vllm:quantum_tokens_total")


def test_an_unknown_page_says_what_its_families_look_like() -> None:
    """Nothing is read; names that other engines use too are named with what they mean there, if the type agrees."""
    page = (
        "# TYPE acme:time_to_first_token_seconds histogram\n# TYPE acme_num_requests_running gauge\n"
        "# TYPE acme_generation_tokens counter\n# TYPE acme:num_requests_waiting counter\n# TYPE acme_odd gauge\nacme_odd 1\n"
    )
    described = describe(page.encode())
    assert (described.engine, described.mapped, described.unknown) == ("unknown", (), ())
    assert described.likely == (
        ("acme:time_to_first_token_seconds", "gen_ai.server.time_to_first_token"),
        ("acme_num_requests_running", "inference.requests.running"),
        ("acme_generation_tokens", "inference.tokens"),
    )
    assert describe((FIXTURES / "vllm/real_v0.32.0_cpu_idle.txt").read_bytes()).likely == ()


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (VLLM, {"inference.token.timing": "step", "inference.engine.parallel.data": "1"}),
        (
            VLLM + 'vllm:num_requests_running{model_name="m",engine="1"} 1\n',
            {"inference.token.timing": "step", "inference.engine.parallel.data": "2"},
        ),
        ('sglang:token_usage{model_name="m"} 0\n', {"inference.token.timing": "completion"}),
        (
            TRTLLM_INFOS,
            {
                "inference.token.timing": "completion",
                "inference.engine.parallel.tensor": "4",
                "inference.engine.parallel.pipeline": "2",
                "inference.engine.quantization": "fp8",
            },
        ),
        (
            'trtllm_model_config_info{model_name="m",quantization="None"} 1\n',
            {"inference.token.timing": "completion"},
        ),
        ('request_predict_seconds_count{model_name="m"} 1\n', {}),
    ],
)
def test_a_page_tells_of_its_engine(page: str, expected: dict[str, str]) -> None:
    """When tokens are counted, the parallel sizes and the quantisation, where the page has them."""
    assert dict(Reader(Target("i", "http://h/")).read(page.encode()).details) == expected


def test_what_derives_from_a_dialect_finds_what_it_needs() -> None:
    """Aborts need four families that agree on what a request is; an objective needs the option that moves the bounds."""
    vllm = BY_NAME["vllm"]
    assert vllm.balanced
    assert not BY_NAME["sglang"].balanced
    for name in ("vllm", "sglang"):
        families = [f for f in BY_NAME[name].families if f.metric.name.startswith("gen_ai.")]
        assert all(f.option.startswith("--") for f in families), name


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_a_dialect_is_consistent(dialect: Dialect) -> None:
    """Attributes are those of the metric, preferred families exist, and no name is written with its prefix."""
    names = {name for family in dialect.families for name in family.names}
    for family in dialect.families:
        keys = set(family.metric.keys)
        assert {key for key, _ in family.fixed} | {label.attribute for label in family.labels} <= keys
        assert set(family.unless) <= names
        assert not any(prefix and name.startswith(prefix) for name in family.names for prefix in dialect.prefixes)


def test_an_old_page_lacks_nothing_that_its_age_did_not_have() -> None:
    """V0 (vLLM 0.8.5) has no time per output token per request and the old name of the cache's usage."""
    page = describe((FIXTURES / "vllm/realcode_v0.8.5_V0engine_metrics.txt").read_bytes())
    assert page.missing == ()
    assert ("vllm:gpu_cache_usage_perc", "inference.kv_cache.utilization") in page.mapped
    assert ("vllm:time_per_output_token_seconds", "inference.inter_token_latency") in page.mapped  # one value per event


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


def test_no_two_dialects_are_one_another() -> None:
    """A host's backends are tried in their order; a router is never a backend."""
    assert all(dialect.kind.value == "engine" for dialect in BACKENDS)
    assert all(dialect.families for dialect in BACKENDS)


def test_every_engine_has_the_name_that_check_engine_promises() -> None:
    """The names are a closed set."""
    names = "vllm sglang trtllm triton tgi nim dynamo llamacpp lmdeploy kserve ray epp production_stack"
    assert sorted(BY_NAME) == sorted(names.split())
