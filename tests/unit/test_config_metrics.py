# SPDX-License-Identifier: Apache-2.0
"""What the configuration may say of metrics, and how each mistake is explained."""

from pathlib import Path

import pytest

from inferometer import catalog
from inferometer.config import ConfigError, drops_of, limits_of, load


def read(folder: Path, text: str) -> str:
    path = folder / "c.yaml"
    path.write_text(text)
    return str(path)


def problem(folder: Path, text: str) -> str:
    """Give the one thing that is wrong, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(read(folder, text), {})
    (found,) = caught.value.problems
    return f"{found.place.rpartition(':')[2]}: {found.key}: {found.message}"


def test_a_metric_has_the_limit_of_the_last_entry_that_it_fits(tmp_path: Path) -> None:
    """A name or a pattern; only the star is special in it."""
    text = "limits: {metrics: [{metric: 'inference.*', series: 7}, {metric: inference.tokens, series: 9}]}"
    limits = limits_of(load(read(tmp_path, text), {}))

    assert (limits[catalog.TOKENS], limits[catalog.PREEMPTIONS], limits.get(catalog.POWER)) == (9, 7, None)
    assert "no metric is called 'hw.powe[r]'" in problem(
        tmp_path, "limits: {metrics: [{metric: 'hw.powe[r]', series: 1}]}"
    )


def test_a_rule_drops_what_the_metrics_that_it_names_have(tmp_path: Path) -> None:
    """Of several rules each adds to what a metric does without."""
    text = """
attributes:
  drop:
    - {metric: "*", attributes: [k8s.pod.name]}
    - {metric: inference.tokens, attributes: [gen_ai.request.model]}
"""
    dropped = drops_of(load(read(tmp_path, text), {}))

    assert dropped[catalog.TOKENS] == {"k8s.pod.name", "gen_ai.request.model"}
    assert dropped[catalog.OWNER_INFO] == {"k8s.pod.name"}
    assert catalog.POWER not in dropped


def rule(metric: str, *attributes: str) -> str:
    return f"attributes: {{drop: [{{metric: '{metric}', attributes: [{', '.join(attributes)}]}}]}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "limits:\n  metrics:\n    - {metric: hw_power_watts, series: 10}",
            "3: limits.metrics[0].metric: no metric is called 'hw_power_watts'; did you mean hw.power?",
        ),
        (
            rule("hw.power", "hw.idd"),
            "1: attributes.drop[0].attributes[0]: hw.power has no attribute 'hw.idd'; the nearest is hw.id",
        ),
        (
            rule("hw.*", "k8s.pod.name"),
            "none of these metrics has an attribute 'k8s.pod.name'; the nearest is gpu.index",
        ),
        (
            rule("inference.kv_cache.utilization", "gen_ai.request.model"),
            "series that it tells apart would be one, and means and ratios do not add up; name only metrics that add up",
        ),
        (
            rule("gpu.owner.*", "k8s.pod.name", "k8s.pod.uid").replace("k8s.pod.name, ", ""),
            "gpu.owner.info cannot do without k8s.pod.uid: series that it tells apart would be one, and infos are to be joined;",
        ),
        (rule("hw.power", "inferometer.simulated"), "inferometer.simulated cannot be dropped"),
    ],
)
def test_each_mistake_names_its_place_and_what_was_meant(tmp_path: Path, text: str, message: str) -> None:
    """Where it stands, the metric and the attribute, and the nearest that would do."""
    assert message in problem(tmp_path, text)


def test_what_only_describes_goes_as_long_as_what_tells_it_stays(tmp_path: Path) -> None:
    """A serial number goes from an info that has the UUID; with the UUID gone it would have told GPUs apart."""
    load(read(tmp_path, rule("gpu.info", "hw.serial_number")), {})
    load(read(tmp_path, rule("*", "k8s.pod.name", "k8s.namespace.name", "inferometer.team")), {})
    with pytest.raises(ConfigError) as caught:
        load(read(tmp_path, rule("gpu.info", "hw.id", "hw.serial_number")), {})
    assert [each.message.rpartition("; ")[2] for each in caught.value.problems] == [
        "name only metrics that add up",
        "keep hw.id",
    ]
