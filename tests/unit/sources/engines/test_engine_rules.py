# SPDX-License-Identifier: Apache-2.0
"""The rules by which families are read: what is added up, chosen, converted, or left out; each on the smallest page."""

import pytest

from inferometer import catalog
from inferometer.model import EngineReport, Histogram, Metric, Reading, Target
from inferometer.sources.engines.reader import Reader

TARGET = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")
VLLM = 'vllm:num_requests_running{model_name="m"} 1\n'
LORA = "vllm:lora_requests_info"
TTFT = "sglang:time_to_first_token_seconds"


def read(text: str) -> EngineReport:
    return Reader(TARGET).read(text.encode())


def values(report: EngineReport, metric: Metric) -> list[object]:
    return [reading.value for reading in report.readings if reading.metric is metric]


def one(report: EngineReport, metric: Metric) -> Reading:
    (reading,) = [reading for reading in report.readings if reading.metric is metric]
    return reading


def lora(running: str, waiting: str, at: str, most: str = "4") -> str:
    labels = f'max_lora="{most}",running_lora_adapters="{running}",waiting_lora_adapters="{waiting}"'
    return f"{LORA}{{{labels}}} {at}\n"


def stream(streaming: str, *buckets: tuple[str, int], created: str = "") -> str:
    labels = f'model_name="m",is_streaming="{streaming}"'
    lines = [f'{TTFT}_bucket{{{labels},le="{le}"}} {count}' for le, count in buckets]
    lines += [f"{TTFT}_count{{{labels}}} {buckets[-1][1]}", f"{TTFT}_sum{{{labels}}} 0.5"]
    return "\n".join([*lines, *([f"{TTFT}_created{{{labels}}} {created}"] if created else []), ""])


def test_of_lora_series_the_newest_counts() -> None:
    """Old combinations never go: the largest time is what holds now, whichever line it stands on."""
    page = VLLM + lora("a", "", "1000") + lora("a,b,c", "d", "3000") + lora("a,b", "d,e", "2000")
    report = read(page)
    assert values(report, catalog.LORA_RUNNING) == [3]
    assert values(report, catalog.LORA_WAITING) == [1]
    assert values(report, catalog.LORA_LIMIT) == [4]
    later = read(page.replace(" 2000", " 4000"))
    assert values(later, catalog.LORA_RUNNING) == [2]


def test_an_empty_list_of_adapters_is_none_and_a_time_of_zero_is_no_time() -> None:
    """No adapter is a count of 0; a series that was never set tells nothing."""
    assert values(read(VLLM + lora("", "", "1000")), catalog.LORA_RUNNING) == [0]
    assert values(read(VLLM + lora("a", "", "0")), catalog.LORA_RUNNING) == []
    assert values(read(VLLM + lora("a", "", "NaN")), catalog.LORA_RUNNING) == []


def test_minus_one_and_an_idle_estimate_are_off_and_no_doubt() -> None:
    """A hit rate of -1, and FLOPs of 0, mean that the engine does not count; that is absent, not wrong."""
    report = read(
        'vllm:gpu_prefix_cache_hit_rate{model_name="m"} -1\nvllm:estimated_flops_per_gpu_total{model_name="m"} 0\n'
    )
    assert (report.readings, dict(report.dropped)) == ((), {})
    assert one(read('vllm:gpu_prefix_cache_hit_rate{model_name="m"} 0\n'), catalog.PREFIX_HIT_RATIO).value == 0


def test_milliseconds_become_the_seconds_that_a_person_would_write() -> None:
    """A bound of 300 ms is 0.3 s and not its neighbour; microseconds likewise."""
    labels = 'model="m",version="1"'
    name = "nv_inference_first_response_histogram_ms"
    page = "".join(f'{name}_bucket{{{labels},le="{le}"}} 3\n' for le in ("0.7", "33.3", "300", "+Inf"))
    page += f"{name}_count{{{labels}}} 3\n{name}_sum{{{labels}}} 250\nnv_inference_queue_duration_us{{{labels}}} 7\n"
    report = read(page)
    assert one(report, catalog.TIME_TO_FIRST_TOKEN).value == Histogram((0.0007, 0.0333, 0.3), (3, 0, 0, 0), 0.25)
    assert one(report, catalog.PHASE_TIME).value == 7e-06


def test_parts_are_added_with_the_earliest_of_their_starts() -> None:
    """Streams and the rest are one distribution, with their bounds; it began when the first of them did."""
    page = stream("true", ("0.1", 1), ("+Inf", 3), created="2000") + stream(
        "false", ("0.1", 2), ("+Inf", 2), created="1000"
    )
    reading = one(read(page), catalog.TIME_TO_FIRST_TOKEN)
    assert reading.value == Histogram((0.1,), (3, 2), 1.0)
    assert reading.start == 1000
    assert one(read(page.replace(" 1000", " 0")), catalog.TIME_TO_FIRST_TOKEN).start is None


def test_parts_with_other_bounds_are_not_bent_to_one_anothers() -> None:
    """Histograms are never re-bucketed: what cannot be added is dropped and counted."""
    report = read(stream("true", ("0.1", 1), ("+Inf", 3)) + stream("false", ("0.2", 2), ("+Inf", 2)))
    assert (values(report, catalog.TIME_TO_FIRST_TOKEN), dict(report.dropped)) == ([], {"ambiguous": 2})


def test_a_sum_of_which_a_part_is_not_believed_is_not_believed() -> None:
    """Half of the tokens is no number of tokens."""
    page = 'sglang:prompt_tokens_total{model_name="m",is_streaming="true"} 5\n'
    report = read(page + 'sglang:prompt_tokens_total{model_name="m",is_streaming="false"} NaN\n')
    assert (values(report, catalog.TOKENS), dict(report.dropped)) == ([], {"not_finite": 2})


def test_of_ranks_that_repeat_the_whole_the_lowest_counts() -> None:
    """By number and not by text; data-parallel ranks are not repetitions."""
    rows = [
        f'sglang:num_running_reqs{{model_name="m",tp_rank="{tp}",dp_rank="{dp}"}} {tp * 10 + dp}\n'
        for dp in (0, 1)
        for tp in (11, 10, 9)
    ]
    assert values(read("".join(rows)), catalog.REQUESTS_RUNNING) == [90, 91]


def test_of_priorities_only_the_total_counts() -> None:
    """SGLang puts the total beside its parts, under an empty priority."""
    rows = [f'sglang:num_queue_reqs{{model_name="m",priority="{p}"}} {v}\n' for p, v in (("", 5), ("0", 2), ("9", 3))]
    assert values(read("".join(rows)), catalog.REQUESTS_WAITING) == [5]


def test_what_a_page_says_twice_is_read_once() -> None:
    """Tokens by source say the same as the tokens; reasons the same as the waiting; each total is read once."""
    page = VLLM + 'vllm:prompt_tokens_total{model_name="m"} 10\nvllm:num_requests_waiting{model_name="m"} 3\n'
    assert values(read(page), catalog.TOKENS) == [10]
    page += 'vllm:prompt_tokens_by_source_total{model_name="m",source="local_compute"} 4\n'
    page += 'vllm:prompt_tokens_by_source_total{model_name="m",source="local_cache_hit"} 5\n'
    page += 'vllm:prompt_tokens_by_source_total{model_name="m",source="external_kv_transfer"} 1\n'
    page += 'vllm:num_requests_waiting_by_reason{model_name="m",reason="capacity"} 3\n'
    report = read(page)
    assert values(report, catalog.TOKENS) == [4, 6]
    assert values(report, catalog.REQUESTS_WAITING) == [3]
    assert {"vllm:prompt_tokens_total", "vllm:num_requests_waiting"} <= set(report.unmapped)
    assert report.unknown == ()


def test_a_series_that_no_label_gives_to_the_engine_needs_the_engine_on_the_page() -> None:
    """`http_requests_total` is anybody's: without a series of vLLM's own it is not read, even if an operator insists."""
    errors = 'http_requests_total{handler="/v1/completions",method="POST",status="4xx"} 3\n'
    insisting = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics", engine="vllm")
    assert Reader(insisting).read(errors.encode()).readings == ()
    assert values(read(VLLM + errors), catalog.HTTP_ERRORS) == [3]
    assert values(read(VLLM + errors.replace("4xx", "2xx")), catalog.HTTP_ERRORS) == []


@pytest.mark.parametrize(("word", "expected"), [("None", [32.0]), ("1e999", [32.0]), ("2_0", [32.0]), ("7", [7.0])])
def test_a_capacity_that_is_no_number_is_reckoned_from_the_blocks(word: str, expected: list[float]) -> None:
    """Before 0.32 vLLM gave blocks and their size only; words are no numbers."""
    labels = f'kv_cache_size_tokens="{word}",num_gpu_blocks="2",block_size="16"'
    assert values(read(VLLM + f"vllm:cache_config_info{{{labels}}} 1\n"), catalog.KV_CACHE_CAPACITY) == expected


def test_a_capacity_without_the_size_of_its_blocks_is_unknown() -> None:
    """A factor that is not there makes no product."""
    page = 'trtllm_num_requests_running{model_name="m"} 1\ntrtllm_kv_cache_max_blocks{model_name="m"} 100\n'
    assert values(read(page), catalog.KV_CACHE_CAPACITY) == []
    page += 'trtllm_kv_cache_tokens_per_block{model_name="other"} 32\n'
    assert values(read(page), catalog.KV_CACHE_CAPACITY) == []
    page += 'trtllm_kv_cache_tokens_per_block{model_name="m"} 64\n'
    assert values(read(page), catalog.KV_CACHE_CAPACITY) == [6400]


def test_counts_that_are_typed_gauge_are_counters() -> None:
    """LMDeploy's requests, before it counted by reason."""
    page = "".join(
        f'# TYPE lmdeploy:{name} gauge\nlmdeploy:{name}{{model_name="m",engine="0"}} {value}\n'
        for name, value in (("num_requests_succeeded", 9), ("num_requests_failed", 1))
    )
    assert values(read(page), catalog.REQUESTS_FINISHED) == [9, 1]
    better = (
        page + 'lmdeploy:request_success_total{model_name="m",engine="0",finished_reason="ResponseType.FINISH"} 8\n'
    )
    assert values(read(better), catalog.REQUESTS_FINISHED) == [8]


def test_an_engine_behind_a_host_speaks_for_itself() -> None:
    """Of the host that shows vLLM's series only what vLLM does not say is read, and what counts other requests."""
    worker = 'dynamo_component="backend",dynamo_endpoint="generate"'
    page = f"dynamo_component_inflight_requests{{{worker}}} 7\ndynamo_rejection_request_total 2\n"
    assert values(read(page), catalog.REQUESTS_RUNNING) == [7]
    report = read(page + VLLM)
    assert values(report, catalog.REQUESTS_RUNNING) == [1]
    assert values(report, catalog.REQUESTS_REJECTED) == [2]


def test_nim_with_its_backends_page_is_read_once() -> None:
    """Releases between 1 and 2 show both: the requests are the backend's."""
    page = 'num_request_max{model_name="m"} 8\nnum_requests_running{model_name="m"} 1\n' + VLLM
    assert values(read(page), catalog.REQUESTS_RUNNING) == [1]


def test_a_summary_is_not_turned_into_a_histogram() -> None:
    """Quantiles cannot be added up, and nothing is made of them."""
    name = "nv_inference_request_summary_us"
    labels = 'model="m",version="1"'
    page = f'# TYPE {name} summary\n{name}{{{labels},quantile="0.5"}} 9\n{name}_count{{{labels}}} 1\n{name}_sum{{{labels}}} 9\n'
    report = read(page)
    assert (report.engine, report.readings, report.unmapped, report.unknown) == ("triton", (), (name,), ())


def test_who_hangs_up_on_dynamos_frontend_is_no_error() -> None:
    """A cancelled request is an abort, whatever else it was; other types of error, and successes, say no more than the status."""
    name = "dynamo_frontend_requests_total"
    outcomes = {"": ("success", 5), "cancelled": ("error", 2), "not_found": ("error", 3), "unavailable": ("error", 4)}
    report = read(
        "".join(
            f'{name}{{endpoint="{endpoint}",error_type="{kind}",model="m",request_type="stream",status="{status}"}} {n}\n'
            for kind, (status, n) in outcomes.items()
            for endpoint in ("chat_completions", "completions")
        )
    )

    assert {dict(r.attributes)["inference.finish_reason"]: r.value for r in report.readings} == {
        "success": 10,
        "abort": 4,
        "error": 14,
    }


def test_what_a_host_counts_keeps_its_name_when_its_engine_begins_to_speak() -> None:
    """A Dynamo worker's page has nothing of its engine before the first request: the worker's own counter goes on as it was."""
    worker = 'dynamo_component_x{dynamo_component="b",dynamo_endpoint="e"} 1\ndynamo_rejection_request_total 2\n'

    before, after = [one(read(text), catalog.REQUESTS_REJECTED) for text in (worker, worker + VLLM)]

    assert before == after
    assert dict(one(read(worker + VLLM), catalog.REQUESTS_RUNNING).attributes)["gen_ai.provider.name"] == "vllm"
