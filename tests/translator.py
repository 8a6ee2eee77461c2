# SPDX-License-Identifier: Apache-2.0
"""What Prometheus 3.14 makes of OTLP, by each of its strategies: its own rules, written down from its source and not from ours.

Sources: prometheus/otlptranslator v1.0.0 (metric_namer.go, label_namer.go, unit_namer.go, strconv.go) and prometheus/prometheus
v3.14.0, storage/remote/otlptranslator/prometheusremotewrite (createAttributes, add*DataPoints). Not here: promoted resource and
scope attributes, which are off by default, and `job` and `instance`.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import accumulate
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue  # noqa: TID251  # oracle
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb  # noqa: TID251  # oracle

Sample = tuple[str, tuple[tuple[str, str], ...], float]
"""A sample's name, its labels and its value."""


class Strategy(Enum):
    """`otlp.translation_strategy`: whether names are escaped to underscores, and whether they gain suffixes."""

    UNDERSCORES = "UnderscoreEscapingWithSuffixes"  # the default
    UNDERSCORES_BARE = "UnderscoreEscapingWithoutSuffixes"
    UTF8 = "NoUTF8EscapingWithSuffixes"
    UTF8_BARE = "NoTranslation"

    @property
    def escapes(self) -> bool:
        """Whether names are made of letters, digits and underscores alone (strategy.go, ShouldEscape)."""
        return self.name.startswith("UNDERSCORES")

    @property
    def adds_suffixes(self) -> bool:
        """Whether a unit's word, `total` and `ratio` are appended (strategy.go, ShouldAddSuffixes)."""
        return not self.name.endswith("BARE")


class UnsayableError(ValueError):
    """Prometheus refuses the name."""


# unit_namer.go: unitMap and perUnitMap, whole.
_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def metric_name(name: str, unit: str, kind: str, strategy: Strategy) -> str:
    """Name a metric as MetricNamer.Build does; `kind` is `gauge`, `counter` (a monotonic sum), `sum` or `histogram`."""
    if not strategy.escapes:
        return _suffixed(name, unit, kind) if strategy.adds_suffixes else name
    if strategy.adds_suffixes:
        tokens = [token for token in re.split("[^a-zA-Z0-9:]", name) if token]
        main, per = (_cleaned(word) for word in _unit_words(unit))
        added = [] if main in tokens else [main]
        per = per.removesuffix("_")
        added += [] if per in ("per", *tokens) else [per]
        tokens += [word for word in added if word]
        if kind == "counter":
            tokens = [token for token in tokens if token != "total"] + ["total"]
        if kind == "gauge" and unit == "1":
            tokens = [token for token in tokens if token != "ratio"] + ["ratio"]
        built = "_".join(tokens)
    else:
        built = "_".join(part for part in re.split("[^a-zA-Z0-9:_]", name) if part)
    built = f"_{built}" if built[:1].isdigit() else built
    if not built or (built != name and not built.strip("_")):
        raise UnsayableError(name)
    return built


def _suffixed(name: str, unit: str, kind: str) -> str:
    """Append what buildMetricName does: unit, unit per what, `total`, `ratio`, each once at the end."""
    ends: list[str] = []
    if kind == "gauge" and unit == "1":
        name = _trimmed(name, "ratio")
        ends.insert(0, "_ratio")
    if kind == "counter":
        name = _trimmed(name, "total")
        ends.insert(0, "_total")
    main, per = _unit_words(unit)
    if per:
        name = _trimmed(name, per)
        ends.insert(0, f"_{per}")
    if main and not name.endswith(main):
        name += f"_{main}"
    return name + "".join(ends)


def _trimmed(name: str, suffix: str) -> str:
    """Take a suffix off, and whatever character stands before it (trimSuffixAndDelimiter).

    Prometheus takes one byte: what it leaves of a longer character is no name of anything.
    """
    if name.endswith(suffix) and len(name.encode()) > len(suffix) + 1:
        return name[: -len(suffix) - 1]
    return name


def _unit_words(unit: str) -> tuple[str, str]:
    """Give a unit's word and that of what it is per (buildUnitSuffixes)."""
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    word = _UNITS.get(main, main) if main and not set("{}") & set(main) else ""
    per_word = _PER.get(per, per) if per and not set("{}") & set(per) else ""
    return word, f"per_{per_word}" if per_word else ""


def _cleaned(word: str) -> str:
    """Make a unit's word fit a name (cleanUpUnit)."""
    return re.sub("__+", "_", re.sub("[^a-zA-Z0-9:]", "_", word)).removeprefix("_")


def label_name(key: str, strategy: Strategy) -> str:
    """Name a label as LabelNamer.Build does."""
    name = key
    if strategy.escapes:
        reserved = len(key) >= 4 and key.startswith("__") and key.endswith("__")
        name = re.sub("[^a-zA-Z0-9]+", "_", key[2:-2] if reserved else key)
        name = f"__{name}__" if reserved else name
        name = f"key_{name}" if name[:1].isdigit() else name
    if not name.strip("_"):
        raise UnsayableError(key)
    return name


def labels_of(attributes: Iterable[Any], strategy: Strategy) -> dict[str, str]:
    """Make labels of KeyValues: those that become one name are joined by `;`, in the order of their keys; empty ones are none."""
    labels: dict[str, str] = {}
    for key, value in sorted((pair.key, _text(pair.value)) for pair in attributes if pair.key != "__name__"):
        name = label_name(key, strategy)
        labels[name] = f"{labels[name]};{value}" if labels.get(name) else value
    return {name: value for name, value in labels.items() if value}


def _text(value: AnyValue) -> str:
    """Write an attribute's value (pcommon.Value.AsString), of the kinds that there are here."""
    if value.WhichOneof("value") == "bool_value":
        return "true" if value.bool_value else "false"
    return value.string_value


def kind_of(metric: pb.Metric) -> str:
    """Give a metric's kind, as names depend on it."""
    kind = metric.WhichOneof("data") or ""
    return "counter" if kind == "sum" and metric.sum.is_monotonic else kind


def samples_of(metric: pb.Metric, strategy: Strategy) -> Iterator[tuple[Any, Sample]]:
    """Give the samples that a metric becomes, each with the data point that it is of.

    A bucket's `le` is as Python writes it; Prometheus writes it otherwise here than on a page, and means the same.
    """
    name = metric_name(metric.name, metric.unit, kind_of(metric), strategy)
    for point in getattr(metric, metric.WhichOneof("data") or "gauge").data_points:
        labels = labels_of(point.attributes, strategy)
        if not metric.HasField("histogram"):
            yield point, _sample(name, labels, point.as_double)
            continue
        counts = list(accumulate(point.bucket_counts))
        for bound, count in zip(point.explicit_bounds, counts, strict=False):
            yield point, _sample(f"{name}_bucket", {**labels, "le": repr(float(bound))}, count)
        yield point, _sample(f"{name}_bucket", {**labels, "le": "inf"}, point.count)
        yield point, _sample(f"{name}_sum", labels, point.sum)
        yield point, _sample(f"{name}_count", labels, point.count)


def _sample(name: str, labels: dict[str, str], value: float) -> Sample:
    return name, tuple(sorted(labels.items())), float(value)
