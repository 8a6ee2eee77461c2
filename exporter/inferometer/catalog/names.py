# SPDX-License-Identifier: Apache-2.0
"""What Prometheus calls a metric: the name and unit that it gives the same OTLP metric by default."""

import re

from inferometer.model import Instrument, Metric

# Units as Prometheus' own OTLP translation spells them (prometheus/otlptranslator, unit maps).
_UNITS = {
    "": "",
    "s": "seconds",
    "By": "bytes",
    "J": "joules",
    "W": "watts",
    "Hz": "hertz",
    "Cel": "celsius",
    "1": "",
    "By/s": "bytes_per_second",
}


def prometheus_name(name: str, unit: str, instrument: Instrument) -> str:
    """Translate a name as Prometheus does by default for OTLP (strategy UnderscoreEscapingWithSuffixes).

    Source: prometheus/otlptranslator `metric_namer.go`. A gauge of unit `1` gains `_ratio`, a monotonic sum `_total`,
    a unit its word, and an annotation unit in braces nothing. A colon stays, every run of other characters is one underscore.
    """
    tokens = [t for t in re.split(r"[^a-zA-Z0-9:]+", name) if t]
    word = "" if unit.startswith("{") else _UNITS[unit]
    if word and word not in tokens:
        tokens.append(word)
    if instrument is Instrument.COUNTER:
        tokens = [t for t in tokens if t != "total"] + ["total"]
    if instrument is Instrument.GAUGE and unit == "1":
        tokens = [t for t in tokens if t != "ratio"] + ["ratio"]
    translated = "_".join(tokens)
    return f"_{translated}" if translated[:1].isdigit() else translated


def prometheus_unit(metric: Metric) -> str:
    """Give the unit word that a metric's Prometheus name ends in, or nothing: what OpenMetrics' UNIT line may say."""
    word = "" if metric.unit.startswith("{") else "ratio" if metric.unit == "1" else _UNITS[metric.unit]
    return word if word and metric.prometheus.removesuffix("_total").endswith(f"_{word}") else ""
