# SPDX-License-Identifier: Apache-2.0
"""The catalogue holds to the naming rules."""

import re

import pytest

from inferometer import catalog
from inferometer.catalog import METRICS, prometheus_name
from inferometer.model import Aggregation, Attribute, Instrument, Metric, Stability

G, C, U, H = Instrument.GAUGE, Instrument.COUNTER, Instrument.UPDOWNCOUNTER, Instrument.HISTOGRAM

BASE_UNITS = {"s", "By", "By/s", "J", "W", "Hz", "Cel", "1"}
RATIOS = ("utilization", "activity", "occupancy", "hit_ratio", "gpu.fan.speed")  # what has the unit 1


@pytest.mark.parametrize(
    ("name", "unit", "instrument", "expected"),
    [
        # From Prometheus' own translation of OTLP metrics (prometheus/otlptranslator, default strategy).
        ("hw.gpu.utilization", "1", G, "hw_gpu_utilization_ratio"),
        ("hw.gpu.memory.usage", "By", U, "hw_gpu_memory_usage_bytes"),
        ("hw.energy", "J", C, "hw_energy_joules_total"),
        ("hw.power", "W", G, "hw_power_watts"),
        ("hw.status", "1", U, "hw_status"),
        ("hw.temperature", "Cel", G, "hw_temperature_celsius"),
        ("hw.errors", "{error}", C, "hw_errors_total"),
        ("gpu.pcie.throughput", "By/s", G, "gpu_pcie_throughput_bytes_per_second"),
        ("gpu.info", "{gpu}", G, "gpu_info"),
        ("gpu.owner.time", "s", C, "gpu_owner_time_seconds_total"),
        ("inference.tokens", "{token}", C, "inference_tokens_total"),
        ("gen_ai.server.time_to_first_token", "s", H, "gen_ai_server_time_to_first_token_seconds"),
        ("inferometer.source.up", "{source}", G, "inferometer_source_up"),
        ("already.in.seconds", "s", G, "already_in_seconds"),
    ],
)
def test_names_are_translated_as_prometheus_does(name: str, unit: str, instrument: Instrument, expected: str) -> None:
    """One dashboard serves both routes only if both give a metric the same name."""
    assert prometheus_name(name, unit, instrument) == expected


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_every_metric_holds_to_the_rules(metric: Metric) -> None:
    """Base units; `1` only for ratios and a convention's states; a sentence; the simulation's mark; no clash."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", metric.name)
    assert metric.unit in BASE_UNITS or re.fullmatch(r"\{[a-z]+\}", metric.unit)
    if metric.unit == "1" and metric.name != "hw.status":
        assert metric.instrument is G
        assert metric.name.removesuffix(".max").endswith(RATIOS)
    if metric.name.endswith(".info"):
        assert metric.aggregation is Aggregation.JOIN
        assert metric.instrument is G
        assert metric.unit.startswith("{")
    assert metric.description.endswith(".")
    assert metric.attributes[-1] is catalog.SIMULATED
    assert len({a.key for a in metric.attributes}) == len(metric.attributes)
    assert len({a.label for a in metric.attributes}) == len(metric.attributes)
    assert (metric.stability is Stability.CONVENTION) == metric.name.startswith(("hw.", "gen_ai."))


def test_names_are_unique_in_both_forms() -> None:
    """No two metrics share a name, on either route; histograms' parts included."""
    series = [
        name + suffix
        for m in METRICS
        for name in [m.prometheus]
        for suffix in (("_bucket", "_sum", "_count") if m.instrument is H else ("",))
    ]

    assert len(set(series)) == len(series)
    assert len({m.name for m in METRICS}) == len(METRICS)


def test_hw_describes_physical_gpus_only() -> None:
    """What a MIG instance does has names of its own, so that sum() over a name is right."""
    for metric in METRICS:
        if metric.name.startswith("hw."):
            assert catalog.MIG_PROFILE not in metric.attributes
            assert catalog.HW_ID in metric.attributes


def test_device_metrics_carry_no_owner() -> None:
    """Loss of identity never ends, renames or splits a device's series (law 6)."""
    for metric in METRICS:
        if metric.name.startswith(("hw.", "gpu.")) and not metric.name.startswith("gpu.owner."):
            assert catalog.POD not in metric.attributes
            assert catalog.POD_UID not in metric.attributes


def test_engines_never_carry_a_claim() -> None:
    """The pod UID joins engines to gpu.owner.*."""
    for metric in METRICS:
        if metric.name.startswith(("inference.", "gen_ai.")):
            assert catalog.CLAIM not in metric.attributes
            # How long engines of a model take to start is the model's.
            assert catalog.POD_UID in metric.attributes or metric is catalog.STARTUP_DURATION


def test_owner_values_share_one_order_of_attributes() -> None:
    """A tenure's attributes are aligned once for all of gpu.owner.*."""
    assert catalog.OWNER_TIME.keys == catalog.OWNER_MEMORY_USAGE.keys == catalog.OWNER_UTILIZATION.keys


def test_attributes_are_defined_once() -> None:
    """One key, one definition, one sentence."""
    defined = [value for value in vars(catalog).values() if isinstance(value, Attribute)]

    assert len({a.key for a in defined}) == len(defined)
    assert all(a.description for a in defined)
    assert {a.key for m in METRICS for a in m.attributes} <= {a.key for a in defined}
