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
}
_PER = {"s": "per_second"}


def prometheus_name(name: str, unit: str, instrument: Instrument) -> str:
    """Translate a name as Prometheus does by default for OTLP (strategy UnderscoreEscapingWithSuffixes).

    Source: prometheus/otlptranslator `metric_namer.go`. A gauge of unit `1` gains `_ratio`, a monotonic sum `_total`,
    a unit its word, and an annotation unit in braces nothing. A colon stays, every run of other characters is one underscore.
    """
    tokens = [t for t in re.split(r"[^a-zA-Z0-9:]+", name) if t]
    tokens += [word for word in _words(unit) if word and word not in tokens]
    if instrument is Instrument.COUNTER:
        tokens = [t for t in tokens if t != "total"] + ["total"]
    if instrument is Instrument.GAUGE and unit == "1":
        tokens = [t for t in tokens if t != "ratio"] + ["ratio"]
    return "_".join(("", *tokens) if tokens and tokens[0][0].isdigit() else tokens)


def _words(unit: str) -> tuple[str, str]:
    """Give the words of a unit and of what it is per; an annotation in braces has none. Raises KeyError: no base unit."""
    main, _, per = unit.partition("/")
    return "" if main.startswith("{") else _UNITS[main], _PER[per] if per and not per.endswith("}") else ""


def prometheus_unit(metric: Metric) -> str:
    """Give the unit word that a metric's Prometheus name ends in, or nothing: what OpenMetrics' UNIT line may say."""
    word = "ratio" if metric.unit == "1" else "_".join(filter(None, _words(metric.unit)))
    return word if word and metric.prometheus.removesuffix("_total").endswith(f"_{word}") else ""
