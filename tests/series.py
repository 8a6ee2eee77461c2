# SPDX-License-Identifier: Apache-2.0
"""Every series that a query can select, and what is known of it without its values: derived from the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from inferometer import catalog
from inferometer.model import Aggregation, Instrument
from units import ONE, Unit

# Prometheus adds them to everything that it scrapes or receives.
TARGET = frozenset({"job", "instance"})
# A scrape of pods adds their name too, which is another one after each rollout: to be left out, never to be asked for.
OF_A_POD = frozenset({"pod"})


class Kind(StrEnum):
    """What a vector's values are."""

    GAUGE = "gauge"
    COUNTER = "counter"
    BUCKET = "bucket"  # a histogram's cumulative counts, by `le`
    DERIVED = "derived"  # the result of a function or an operator


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a vector without its values.

    `labels` are all that it can have. A `unit` of None fits any: a number. `observed` is the unit of what a histogram's
    buckets count, while `le` still tells them apart. An `indicator` is 1 wherever it exists: it selects, and leaves the
    unit of what it is multiplied with. `aggregation` is what the catalogue allows across series, while it still applies.
    """

    labels: frozenset[str] = frozenset()
    unit: Unit | None = None
    kind: Kind = Kind.DERIVED
    observed: Unit | None = None
    indicator: bool = False
    aggregation: Aggregation | None = None
    scalar: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One name that can be selected. `values` closes the sets of some labels' values."""

    name: str
    shape: Shape
    values: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


def recorded(name: str, shape: Shape, labels: Iterable[str] = ()) -> Series:
    """Give the series of a recording rule: its name, the shape of its expression, and the labels that the rule adds."""
    return Series(name, replace(shape, labels=shape.labels | set(labels)))


def _of_catalogue() -> dict[str, Series]:
    found = {}
    for metric in catalog.METRICS:
        labels = TARGET | {attribute.label for attribute in metric.attributes}
        values = {attribute.label: attribute.values for attribute in metric.attributes if attribute.values}
        unit = Unit.parse(metric.unit)
        joins = metric.aggregation is Aggregation.JOIN
        if metric.instrument is Instrument.HISTOGRAM:
            observations = Unit.parse("{observation}")
            shapes = {
                "_bucket": Shape(labels | {"le"}, observations, Kind.BUCKET, observed=unit),
                "_count": Shape(labels, observations, Kind.COUNTER),
                "_sum": Shape(labels, unit, Kind.COUNTER),
            }
        else:
            kind = Kind.COUNTER if metric.instrument is Instrument.COUNTER else Kind.GAUGE
            shapes = {"": Shape(labels, unit, kind, indicator=joins, aggregation=metric.aggregation)}
        for suffix, shape in shapes.items():
            found[metric.prometheus + suffix] = Series(metric.prometheus + suffix, shape, values)
    return found


# What both routes keep of a resource; Prometheus puts it here only.
_RESOURCE = ("k8s_cluster_name", "k8s_node_name", "host_name", "service_version")
_OF_PROMETHEUS = (
    Series("up", Shape(TARGET, ONE, Kind.GAUGE, aggregation=Aggregation.SUM)),
    Series(
        "target_info",
        Shape(
            TARGET | set(_RESOURCE),
            Unit.parse("{target}"),
            Kind.GAUGE,
            indicator=True,
            aggregation=Aggregation.JOIN,
        ),
    ),
    Series(
        "ALERTS",
        Shape(TARGET | {"alertname", "alertstate", "severity"}, Unit.parse("{alert}"), Kind.GAUGE, indicator=True),
        {"alertstate": ("pending", "firing")},
    ),
)
KNOWN: Mapping[str, Series] = MappingProxyType({**_of_catalogue(), **{s.name: s for s in _OF_PROMETHEUS}})
