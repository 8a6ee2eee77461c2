# SPDX-License-Identifier: Apache-2.0
"""What stands before each number of a Prometheus page: metadata, names and labels.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from inferometer.catalog import prometheus_unit
from inferometer.model import Exemplar, Instrument, Metric, Resource

_TYPES = {
    Instrument.GAUGE: "gauge",
    Instrument.COUNTER: "counter",
    Instrument.UPDOWNCOUNTER: "gauge",
    Instrument.HISTOGRAM: "histogram",
}

# Prometheus makes `job` and `instance` of these and leaves them out of target_info (prometheus/prometheus
# storage/remote/otlptranslator/prometheusremotewrite, addResourceTargetInfo). Both routes say the same.
_IDENTIFYING = frozenset({"service.name", "service.namespace", "service.instance.id"})


def texts(metric: Metric, attributes: Sequence[str | None], bounds: Sequence[float] | None) -> tuple[str, ...]:
    """Write what stands before each number of one series, each with the line break before it, without a bucket's edge."""
    labels = _labels(metric, attributes)
    name = metric.prometheus
    if bounds is None:
        return (f"\n{name}{braced(labels)} ",)
    bucket = f"\n{name}_bucket{{{''.join(f'{each},' for each in labels)}"
    return (
        *[bucket] * (len(bounds) + 1),
        f"\n{name}_sum{braced(labels)} ",
        f"\n{name}_count{braced(labels)} ",
    )


def edges(bounds: tuple[float, ...] | None) -> tuple[str, ...]:
    """Write the edges of a histogram's buckets; its sum and count, and any other number, have none."""
    if bounds is None:
        return ("",)
    return _known_edges(bounds) if len(bounds) <= _FEW else _edges(bounds)


def _edges(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(f"{label('le', edge)}}} " for edge in (*map(boundary, bounds), "+Inf")), "", "")


_FEW = (
    128  # edges that are worth being kept, more than any engine has; a hostile one's thousands may be others every time
)
_known_edges = lru_cache(256)(_edges)  # the same few tuples in all series


def _labels(metric: Metric, attributes: Sequence[str | None]) -> list[str]:
    """Write a series' labels. An empty one is an absent one to Prometheus, so an empty attribute is left out on every route."""
    pairs = zip(metric.attributes, attributes, strict=True)
    return [label(attribute.label, value) for attribute, value in pairs if value]


def exemplar(each: Exemplar) -> str:
    """Write what stands behind a number: an exemplar with its labels, which may be none, its value and its time."""
    labels = ",".join([label(name, value) for name, value in each.labels])
    time = "" if each.at is None else f" {each.at!r}"
    return f" # {{{labels}}} {each.value!r}{time}"


def created(metric: Metric, attributes: Sequence[str | None], begun: float) -> str:
    """Write when a counter or histogram began, in Unix seconds."""
    return f"\n{metric.prometheus.removesuffix('_total')}_created{braced(_labels(metric, attributes))} {begun!r}"


def braced(labels: Sequence[str]) -> str:
    """Write a label set; none needs no braces."""
    return f"{{{','.join(labels)}}}" if labels else ""


def label(name: str, value: str) -> str:
    """Write one label, its value escaped as both formats ask: backslash, quote and line feed."""
    return f'{name}="{_escape(value)}"'


def _escape(text: str) -> str:
    """Escape what cannot stand inside quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def header(metric: Metric, *, openmetrics: bool) -> str:
    """Write a family's metadata. OpenMetrics names a counter's family without `_total` and escapes quotes in HELP."""
    kind = _TYPES[metric.instrument]
    if not openmetrics:
        text = metric.description.replace("\\", r"\\").replace("\n", r"\n")
        return f"\n# HELP {metric.prometheus} {text}\n# TYPE {metric.prometheus} {kind}"
    family = metric.prometheus.removesuffix("_total") if kind == "counter" else metric.prometheus
    unit = prometheus_unit(metric)
    unit_line = f"\n# UNIT {family} {unit}" if unit else ""
    return f"\n# HELP {family} {_escape(metric.description)}\n# TYPE {family} {kind}{unit_line}"


def target_info(node: Resource) -> str:
    """Write the resource as Prometheus does for OTLP; nothing where it would say nothing."""
    values: dict[str, str] = {}
    for key, value in node.attributes:
        name = _label_name(key)
        if value and name.strip("_") and key not in _IDENTIFYING:
            # Keys that become one label are joined by `;` in key order, as Prometheus does.
            values[name] = f"{values[name]};{value}" if name in values else value
    if not values:
        return ""
    labels = braced([label(name, value) for name, value in values.items()])
    return f"\n# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{labels} 1.0"


def _label_name(key: str) -> str:
    """Turn a resource attribute's key, which an operator may choose freely, into a label name.

    Source: prometheus/otlptranslator, label_namer.go: every run of other characters becomes one underscore, and a name
    that begins with a digit gains `key_`.
    """
    name = re.sub(r"[^a-zA-Z0-9]+", "_", key)
    return f"key_{name}" if name[:1].isdigit() else name


def boundary(bound: float) -> str:
    """Write a bucket's bound as Prometheus does: shortest digits, an exponent from 1e+06 on, `1.0` for 1.

    Source: labels.FormatOpenMetricsFloat, Go's FormatFloat(f, 'g', -1, 64) plus `.0` for a whole number.
    """
    text = repr(bound + 0.0)
    whole, _, fraction = text.lstrip("-").partition(".")
    if "e" in text or len(whole) <= len("100000"):  # shortest 'g' of a longer one has an exponent
        return text
    digits = (whole + fraction).rstrip("0")
    mantissa = f"{digits[0]}.{digits[1:]}" if digits[1:] else digits
    return f"{'-' if bound < 0 else ''}{mantissa}e+{len(whole) - 1:02d}"
