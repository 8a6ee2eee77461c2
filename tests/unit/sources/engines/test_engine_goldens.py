# SPDX-License-Identifier: Apache-2.0
"""Every recorded page: what it is, what is read from it, and that what is read is what stands there.

`INFEROMETER_UPDATE_GOLDENS=1` writes the goldens anew.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

from inferometer import catalog
from inferometer.model import EngineReport, Histogram, Reading, Target
from inferometer.sources.engines.reader import Reader, describe

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "fixtures" / "engines").glob("*/*.txt"))
GOLDENS = ROOT / "golden" / "engines"


def read(path: Path) -> EngineReport:
    return Reader(Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")).read(path.read_bytes())


def shown(reading: Reading) -> str:
    """One reading on one line."""
    value = reading.value._asdict() if isinstance(reading.value, Histogram) else reading.value
    line = {"metric": reading.metric.name, **dict(reading.attributes), "value": value, "start": reading.start}
    return json.dumps({key: each for key, each in line.items() if each is not None})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_recorded_page_reads_as_reviewed(path: Path) -> None:
    """The description and the readings of each page are those that a person has looked at."""
    report = read(path)
    described = asdict(describe(path.read_bytes()))
    assert not described.pop("passed") + described.pop("withheld")  # unless somebody asks for it
    text = json.dumps(described, indent=1) + "\n"
    text += "".join(f"dropped {doubt}: {count}\n" for doubt, count in sorted(report.dropped.items()))
    text += "".join(f"{shown(reading)}\n" for reading in report.readings)
    golden = GOLDENS / f"{path.parent.name}.{path.stem}.golden"
    if os.environ.get("INFEROMETER_UPDATE_GOLDENS"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


# What the family of each metric is on a vLLM page, where a reading is one series; written down once more, newest first.
_SOURCES = {
    catalog.REQUEST_DURATION: ["vllm:e2e_request_latency_seconds"],
    catalog.TIME_TO_FIRST_TOKEN: ["vllm:time_to_first_token_seconds"],
    catalog.TIME_PER_OUTPUT_TOKEN: ["vllm:request_time_per_output_token_seconds"],
    catalog.INTER_TOKEN_LATENCY: ["vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"],
    catalog.QUEUE_DURATION: ["vllm:request_queue_time_seconds"],
    catalog.PREFILL_DURATION: ["vllm:request_prefill_time_seconds"],
    catalog.DECODE_DURATION: ["vllm:request_decode_time_seconds"],
    catalog.REQUESTS_RUNNING: ["vllm:num_requests_running"],
    catalog.REQUESTS_WAITING: ["vllm:num_requests_waiting_by_reason", "vllm:num_requests_waiting"],
    catalog.REQUESTS_FINISHED: ["vllm:request_success_total"],
    catalog.PREEMPTIONS: ["vllm:num_preemptions_total"],
    catalog.KV_CACHE_UTILIZATION: ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
    catalog.PREFIX_QUERIES: ["vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"],
    catalog.PREFIX_HITS: ["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"],
    catalog.SPEC_DRAFTS: ["vllm:spec_decode_num_drafts_total"],
    catalog.SPEC_DRAFT_TOKENS: ["vllm:spec_decode_num_draft_tokens_total"],
    catalog.SPEC_ACCEPTED_TOKENS: ["vllm:spec_decode_num_accepted_tokens_total"],
}
_LABELS = {
    catalog.MODEL.key: "model_name",
    catalog.RANK.key: "engine",
    catalog.FINISH_REASON.key: "finished_reason",
    catalog.WAIT_REASON.key: "reason",
}

VLLM_PAGES = [path for path in PAGES if path.parent.name == "vllm" or "mocker_worker" in path.stem]


@pytest.mark.parametrize("path", VLLM_PAGES, ids=lambda path: path.stem)
def test_every_reading_of_a_vllm_page_stands_on_the_page(path: Path) -> None:
    """Value by value against prometheus_client: numbers, bounds, bucket counts, sums, counts and start times."""
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }
    there = {name for name, _ in samples}
    for reading in read(path).readings:
        attributes = dict(reading.attributes)
        if reading.metric not in _SOURCES or "model_name" not in _model_labels(attributes):
            continue
        labels = frozenset((label, attributes[key]) for key, label in _LABELS.items() if key in attributes)
        name = next(name for name in _SOURCES[reading.metric] if name in there or name + "_count" in there)
        if isinstance(reading.value, Histogram):
            seen, total = reading.value, 0
            for bound, count in zip((*seen.bounds, float("inf")), seen.counts, strict=True):
                total += count
                le = {
                    value
                    for n, pairs in samples
                    if n == name + "_bucket"
                    for key, value in pairs
                    if key == "le" and float(value) == bound
                }
                assert samples[name + "_bucket", labels | {("le", le.pop())}] == total
            assert samples[name + "_count", labels] == sum(seen.counts)
            assert samples[name + "_sum", labels] == seen.sum
        else:
            assert samples[name, labels] == reading.value
        assert reading.start == samples.get((name.removesuffix("_total") + "_created", labels))


def _model_labels(attributes: dict[str, str]) -> set[str]:
    """The labels of vLLM's own series: what a host says beside it has none."""
    return {label for key, label in _LABELS.items() if key in attributes}


@pytest.mark.parametrize("path", VLLM_PAGES, ids=lambda path: path.stem)
def test_no_series_of_a_vllm_page_is_left_out(path: Path) -> None:
    """As many readings as the page has series of the best name of each family."""
    samples = [sample for family in text_string_to_metric_families(path.read_text()) for sample in family.samples]
    there = [sample.name.removesuffix("_count") for sample in samples]
    readings = read(path).readings
    for metric, names in _SOURCES.items():
        expected = next((there.count(name) for name in names if name in there), 0)
        found = [r for r in readings if r.metric is metric and "model_name" in _model_labels(dict(r.attributes))]
        assert len(found) == expected, metric.name
