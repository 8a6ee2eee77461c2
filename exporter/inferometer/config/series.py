# SPDX-License-Identifier: Apache-2.0
# key and section are dataclass field specifiers, not shared default values
"""The keys of the configuration for series: how many there may be, and which attributes they do without."""

from dataclasses import dataclass

from inferometer.config.declare import key


@dataclass(frozen=True, slots=True)
class MetricLimit:
    """A limit of one metric, or of several, each for itself."""

    metric: str = key("", "Name of the metric, as in docs/metrics.md; `*` stands for any characters.", required=True)
    series: int = key(
        1, "Most series of it. The last of the entries that a metric fits counts.", minimum=1, required=True
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What the agent may never exceed, and what becomes of the rest: docs/series.md."""

    series: int = key(
        50_000,
        "Most series of one snapshot, every bucket of a histogram being one. Those that are there stay; beyond it new gauges and "
        "histograms are left out, and counters go on in one series of their metric. A tenth is kept for the agent's own metrics, which no "
        "limit leaves out, and for the counters that go on. Of engines no more than four times as many are looked at.",
        minimum=1_000,
    )
    series_per_metric: int = key(10_000, "Most series of one metric. 0: no limit.", minimum=0)
    metrics: tuple[MetricLimit, ...] = key((), "Metrics with limits of their own.")


@dataclass(frozen=True, slots=True)
class DropRule:
    """Attributes that the series of a metric, or of several, do without."""

    metric: str = key("", "Name of the metric, as in docs/metrics.md; `*` stands for any characters.", required=True)
    attributes: tuple[str, ...] = key((), "Their keys, such as `k8s.pod.name`.", required=True)


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of series. What is the same without an attribute becomes one, as the metric allows: docs/series.md."""

    drop: tuple[DropRule, ...] = key((), "What to leave out.")
