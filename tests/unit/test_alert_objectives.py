# SPDX-License-Identifier: Apache-2.0
"""Objectives: what they become, and the sentence with which one that cannot be is refused."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from alerts import bounds, burn
from alerts.__main__ import main
from alerts.files import render
from alerts.objective import Objective, load
from alerts.site import Site
from inferometer import catalog
from inferometer.config import ConfigError, Seconds
from inferometer.model import Metric

ENGINES = Path(__file__).parents[1] / "fixtures" / "engines"

OBJECTIVE = Objective(name="chat", description="Chat is quick.", threshold=Seconds(1), objective="99%", engine="vllm")


@pytest.mark.parametrize(("window", "factors"), [("30d", "14.4 6 3 1"), ("28d", "13.44 5.6 2.8 0.9333")])
def test_the_burn_rates_spend_the_same_shares_of_the_budget(window: str, factors: str) -> None:
    """2 % in an hour, 5 % in six, 10 % in a day and in three: for 30 days the SRE workbook's numbers."""
    hours = int(window.removesuffix("d")) * 24
    assert [pace.factor(hours) for pace in burn.PACES] == [Decimal(factor) for factor in factors.split()]


def test_what_cannot_be_reached_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a budget of a tenth no outage burns 14.4 times as fast: that pair would never fire."""
    slo = tmp_path / "slo.yaml"
    slo.write_text("slos: [{name: easy, description: Most are quick., threshold: 1s, objective: 90%, engine: vllm}]")

    assert main(["--slo", str(slo), "--out", str(tmp_path)]) == 0

    said = capsys.readouterr().err
    assert said.startswith("easy: with 90% a burn rate of 14.4 cannot be reached")
    text = (tmp_path / "rules" / "slo.rules.yaml").read_text()
    assert "(6 * 0.1)" in text
    assert "14.4" not in text


@pytest.mark.parametrize(
    ("threshold", "written"), [(1, r'le=~"1(\\.0)?"'), (2.5, 'le="2.5"'), (0.05, 'le="0.05"'), (640, r'"640(\\.0)?"')]
)
def test_a_bound_is_selected_however_it_is_written(threshold: float, written: str) -> None:
    """A whole number of seconds stands as 1 or as 1.0, by route and version; the rest in one way."""
    text = yaml_of(replace(OBJECTIVE, threshold=Seconds(threshold)))
    assert written in text


def test_a_selector_is_quoted() -> None:
    """A regular expression reaches PromQL as it was written."""
    text = yaml_of(replace(OBJECTIVE, match={"gen_ai.request.model": 'a\\.b"c'}))
    (loaded, *_) = re.findall(r"gen_ai_request_model=~\"(.*?)\",le", text)
    assert loaded == r"a\\.b\"c"


def yaml_of(objective: Objective) -> str:
    """The rules of one objective, as their expressions stand in the file."""
    file = yaml.safe_load(render([objective], Site())["rules/slo.rules.yaml"])
    return "\n".join(rule["expr"] for group in file["groups"] for rule in group["rules"])


GOOD = """\
slos:
  - name: chat
    description: Chat is quick.
    threshold: 1s
    objective: 99%
    engine: vllm
"""

BAD = [
    ("engine: vllm", "engin: vllm", ":6: slos[0].engin: is not a known key; did you mean slos[].engine?"),
    ("    objective: 99%\n", "", "slos[0].objective: is required"),
    ("objective: 99%", "objective: 0.99", ":5: slos[0].objective: must be a text, not a number"),
    ("objective: 99%", "objective: 0%", ":5: slos[0].objective: promises nothing"),
    ("objective: 99%", "objective: 100%", ":5: slos[0].objective: must be a percentage below 100"),
    ("name: chat", "name: Chat SLO", ":2: slos[0].name: must be lower-case letters, digits and hyphens"),
    ("engine: vllm", "engine: vlm", ":6: slos[0].engine: the bounds of vlm are not known; the nearest is vllm"),
    ("engine: vllm", "window: 7d", ":6: slos[0].window: must be one of 30d, 28d"),
    ("    engine: vllm\n", "", ":4: slos[0].threshold: cannot be checked, for the engine's bounds are not known"),
    ("engine: vllm", "bounds: [1s, soon]", ":6: slos[0].bounds: each must be a duration"),
    (
        "engine: vllm",
        "metric: gen_ai.server.time_to_first_tokn",
        (
            ":6: slos[0].metric: no metric is named gen_ai.server.time_to_first_tokn;"
            " the nearest is gen_ai.server.time_to_first_token"
        ),
    ),
    (
        "engine: vllm",
        "metric: hw.power",
        ":6: slos[0].metric: hw.power is no histogram of seconds; those are gen_ai.server.request.duration,",
    ),
    (
        "engine: vllm",
        "match: {gen_ai.request.modle: chat}",
        (
            ":6: slos[0].match.gen_ai.request.modle: gen_ai.server.time_to_first_token has no attribute"
            " gen_ai.request.modle; the nearest is gen_ai.request.model"
        ),
    ),
    (
        "engine: vllm",
        'match: {gen_ai.request.model: "("}',
        "slos[0].match.gen_ai.request.model: is no regular expression",
    ),
    (
        "engine: vllm",
        'match: {gen_ai.request.model: "(?!test).*"}',
        ":6: slos[0].match.gen_ai.request.model: has (?!, which Prometheus does not know",
    ),
    ("description: Chat is quick.", "description: 'for {{ everybody'", "slos[0].description: holds {{"),
    (
        "engine: vllm",
        "by: [gpu.index]",
        ":6: slos[0].by[0]: gen_ai.server.time_to_first_token has no attribute gpu.index",
    ),
    (
        "threshold: 1s",
        "threshold: 1200ms",
        (
            ":4: slos[0].threshold: 1.2s is no bucket bound of gen_ai.server.time_to_first_token: it lies between 1s and"
            " 2.5s of vllm's own. Take a bound, or start vllm with --custom-histogram-buckets '{\"time_to_first_token\": [0.001,"
        ),
    ),
    (
        "threshold: 1s\n    objective: 99%\n    engine: vllm",
        "threshold: 1200ms\n    objective: 99%\n    engine: sglang",
        "it lies between 1s and 2s of sglang's own. Take a bound, or start sglang with --bucket-time-to-first-token 0.1 ",
    ),
    (
        "threshold: 1s",
        "threshold: 1h",
        "3600s is no bucket bound of gen_ai.server.time_to_first_token: it lies above the highest",
    ),
]


@pytest.mark.parametrize(("good", "bad", "sentence"), BAD)
def test_an_objective_that_cannot_be_is_refused_by_file_and_key(
    good: str, bad: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each wrong file is refused with the place, the key, what is wrong and the nearest that would be right."""
    assert good in GOOD
    slo = tmp_path / "slo.yaml"
    slo.write_text(GOOD.replace(good, bad))

    assert main(["--slo", str(slo), "--out", str(tmp_path / "out")]) == 2

    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith(str(slo))
    assert not (tmp_path / "out").exists()


def test_two_objectives_cannot_share_a_name(tmp_path: Path) -> None:
    """Their recordings would overwrite one another."""
    slo = tmp_path / "slo.yaml"
    slo.write_text(GOOD + GOOD.removeprefix("slos:\n"))
    with pytest.raises(ConfigError, match=r"slo\.yaml:7: slos\[1\]\.name: chat stands twice"):
        load(str(slo))


def test_bounds_that_are_given_take_the_place_of_the_engines_own(tmp_path: Path) -> None:
    """An engine that was started with other bounds can have a threshold among them, and none of its defaults."""
    slo = tmp_path / "slo.yaml"
    slo.write_text(GOOD.replace("threshold: 1s", "threshold: 450ms") + "    bounds: [200ms, 450ms, 2s]\n")
    assert load(str(slo))[0].threshold == 0.45
    slo.write_text(GOOD + "    bounds: [200ms, 450ms, 2s]\n")
    with pytest.raises(ConfigError, match=r"between 0\.45s and 2s of the bounds given"):
        load(str(slo))


PAGE = "\n".join(
    f'gen_ai_server_time_to_first_token_seconds_bucket{{k8s_namespace_name="ns",k8s_pod_name="{pod}",'
    f'gen_ai_request_model="{model}",le="{le}"}} 1'
    for pod, model, les in (("one", "a", "0.5 1.0 2.5 +Inf"), ("two", "b", "0.45 2.0 +Inf"))
    for le in les.split()
)


def test_a_page_says_which_bounds_are_really_there(tmp_path: Path) -> None:
    """Held against a page, the threshold must be a bound of every engine that the objective selects."""
    slo = tmp_path / "slo.yaml"
    slo.write_text(GOOD)
    with pytest.raises(ConfigError, match=r"1s is no bucket bound of .*: it lies between 0\.45s and 2s of ns/two/b\. "):
        load(str(slo), page=PAGE)
    slo.write_text(GOOD + "    match: {gen_ai.request.model: a}\n")
    assert load(str(slo), page=PAGE)[0].name == "chat"
    slo.write_text(GOOD + "    match: {gen_ai.request.model: c}\n")
    with pytest.raises(
        ConfigError, match=r"the page has no gen_ai_server_time_to_first_token_seconds_bucket that this"
    ):
        load(str(slo), page=PAGE)


def recorded_bounds(page: Path, family: str) -> tuple[float, ...]:
    """The finite bounds of a family on an engine's recorded page."""
    found = re.findall(rf'^{family}_bucket{{.*le="([^"]+)"', page.read_text(), re.MULTILINE)
    return tuple(sorted({float(bound) for bound in found} - {float("inf")}))


@pytest.mark.parametrize(
    ("engine_name", "page", "families"),
    [
        (
            "vllm",
            "vllm/real_v0.32.0_cpu_after60.txt",
            {
                catalog.TIME_TO_FIRST_TOKEN: "vllm:time_to_first_token_seconds",
                catalog.TIME_PER_OUTPUT_TOKEN: "vllm:request_time_per_output_token_seconds",
                catalog.REQUEST_DURATION: "vllm:e2e_request_latency_seconds",
            },
        ),
        (
            "sglang",
            "sglang/realcode_v0.5.23_metrics_collector.txt",
            {
                catalog.TIME_TO_FIRST_TOKEN: "sglang:time_to_first_token_seconds",
                catalog.REQUEST_DURATION: "sglang:e2e_request_latency_seconds",
            },
        ),
        (
            "trtllm",
            "trtllm_serve/derived_trtllm_serve_main_collector.txt",
            {
                catalog.TIME_TO_FIRST_TOKEN: "trtllm_time_to_first_token_seconds",
                catalog.TIME_PER_OUTPUT_TOKEN: "trtllm_time_per_output_token_seconds",
                catalog.REQUEST_DURATION: "trtllm_e2e_request_latency_seconds",
            },
        ),
    ],
)
def test_the_known_bounds_are_those_of_recorded_pages(
    engine_name: str, page: str, families: Mapping[Metric, str]
) -> None:
    """What the generator believes of an engine is what the engine shows."""
    known_bounds = {metric: buckets.bounds for metric, buckets in bounds.DEFAULTS[engine_name].items()}
    assert known_bounds == {metric: recorded_bounds(ENGINES / page, family) for metric, family in families.items()}
