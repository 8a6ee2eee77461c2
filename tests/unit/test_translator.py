# SPDX-License-Identifier: Apache-2.0
"""The oracle of Prometheus' translation says what its own tests say, and the catalogue's names are made for every strategy."""

import pytest

from inferometer import catalog
from inferometer.model import Instrument, Metric
from oracles import KINDS
from translator import Strategy, UnsayableError, label_name, metric_name


@pytest.mark.parametrize(
    ("name", "unit", "kind", "strategy", "built"),
    [
        # prometheus/otlptranslator v1.0.0, metric_namer_test.go.
        ("metric@with#special$chars", "", "gauge", "UnderscoreEscapingWithoutSuffixes", "metric_with_special_chars"),
        ("123metric", "", "gauge", "UnderscoreEscapingWithoutSuffixes", "_123metric"),
        ("requests", "1/s", "gauge", "UnderscoreEscapingWithSuffixes", "requests_per_second"),
        ("throughput", "By/s", "gauge", "UnderscoreEscapingWithSuffixes", "throughput_bytes_per_second"),
        ("items", "1", "counter", "UnderscoreEscapingWithSuffixes", "items_total"),
        ("custom_metric", "By/{custom}", "gauge", "UnderscoreEscapingWithSuffixes", "custom_metric_bytes"),
        ("cpu_usage_ratio", "1", "gauge", "UnderscoreEscapingWithSuffixes", "cpu_usage_ratio"),
        ("cpu_seconds_total", "s", "counter", "UnderscoreEscapingWithSuffixes", "cpu_seconds_total"),
        ("requests.total", "", "counter", "NoUTF8EscapingWithSuffixes", "requests_total"),
        ("http.duration", "ms", "histogram", "NoUTF8EscapingWithSuffixes", "http.duration_milliseconds"),
        ("http.duration", "ms", "histogram", "NoTranslation", "http.duration"),
    ],
)
def test_metrics_are_named_as_prometheus_tests_say(name: str, unit: str, kind: str, strategy: str, built: str) -> None:
    """A few of each rule; a run of the real thing beside it stands in the integration tests."""
    assert metric_name(name, unit, kind, Strategy(strategy)) == built


@pytest.mark.parametrize(
    ("key", "built"),
    [
        ("label:with:colons", "label_with_colons"),
        ("label_with_foreign_characters_字符", "label_with_foreign_characters_"),
        ("123label", "key_123label"),
        ("__reserved__label__name__", "__reserved_label_name__"),
    ],
)
def test_labels_are_named_as_prometheus_tests_say(key: str, built: str) -> None:
    """From label_namer_test.go; with UTF-8 a key is its own name."""
    assert (label_name(key, Strategy.UNDERSCORES), label_name(key, Strategy.UTF8)) == (built, key)


def test_what_prometheus_refuses_has_no_name() -> None:
    """Nothing but underscores names nothing."""
    with pytest.raises(UnsayableError):
        metric_name("@#$%", "", "gauge", Strategy.UNDERSCORES)
    with pytest.raises(UnsayableError):
        label_name("__", Strategy.UTF8)


@pytest.mark.parametrize("metric", catalog.METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_every_strategy(metric: Metric) -> None:
    """The page's name is the default's; with dots kept only they differ, and untranslated it is the catalogue's own."""
    names = {each: metric_name(metric.name, metric.unit, KINDS[metric.instrument], each) for each in Strategy}

    assert names[Strategy.UNDERSCORES] == metric.prometheus
    assert names[Strategy.UTF8].replace(".", "_") == metric.prometheus
    assert names[Strategy.UTF8_BARE] == metric.name
    for attribute in metric.attributes:
        assert label_name(attribute.key, Strategy.UNDERSCORES) == attribute.label


@pytest.mark.parametrize("strategy", Strategy)
def test_no_two_names_are_one(strategy: Strategy) -> None:
    """Neither metrics' nor labels', nor those that Prometheus has uses for, so that every series stays one of its own."""
    names = [metric_name(metric.name, metric.unit, KINDS[metric.instrument], strategy) for metric in catalog.METRICS]
    histograms = [
        f"{name}_{part}"
        for name, metric in zip(names, catalog.METRICS, strict=True)
        for part in ("bucket", "sum", "count")
        if metric.instrument is Instrument.HISTOGRAM
    ]
    assert len({*names, *histograms, "target_info", "up"}) == len(names) + len(histograms) + 2
    labels = [label_name(attribute.key, strategy) for attribute in catalog.ATTRIBUTES]
    assert len({*labels, "job", "instance", "le", "quantile", "__name__"}) == len(labels) + 5
