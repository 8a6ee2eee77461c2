# SPDX-License-Identifier: Apache-2.0
"""Families of engines that are passed on under the names that they have: which may be, and the metrics that they are.

A family's own name is nobody else's: those that begin as ours do are not passed on. Its series need not have the same labels;
those that have are one metric, so that one more label somewhere ends no series, and several metrics may be one family.
"""

import re
import threading
from collections.abc import Sequence
from weakref import WeakValueDictionary

from inferometer.catalog.attributes import PROVIDER, SERVER_ADDRESS, SERVER_PORT, SIMULATED
from inferometer.catalog.define import OF_POD
from inferometer.catalog.names import prometheus_name
from inferometer.model import Aggregation, Attribute, Instrument, Metric, Stability

EXPORTED = "exported_"  # what precedes a label that would clash, as on a scrape of Prometheus'

_ON_PASSED = (*OF_POD, SERVER_ADDRESS, SERVER_PORT, PROVIDER, SIMULATED)
_TAKEN = frozenset({"job", "instance"} | {attribute.label for attribute in _ON_PASSED})

# Names that are the catalogue's, and those that Prometheus has for what it knows of scrapes, resources and alerts.
_ROOTS = ("hw_", "gpu_", "gen_ai_", "inference_", "inferometer_", "scrape_", "otel_scope_")
_WHOLE = frozenset({"up", "target_info", "ALERTS", "ALERTS_FOR_STATE"})

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,255}")
_LABEL = re.compile(r"[a-zA-Z][a-zA-Z0-9]*(?:_[a-zA-Z0-9]+)*_?")
_WORDS = re.compile(r"[a-zA-Z0-9]+")

_metrics: WeakValueDictionary[tuple[str, Instrument, tuple[str, ...]], Metric] = WeakValueDictionary()
_lock = threading.Lock()  # engines are read by several threads


def is_reserved(name: str) -> bool:
    """Tell whether a family's name could be one of ours, or of Prometheus' own."""
    return name.startswith(_ROOTS) or name in _WHOLE


def is_passable(name: str, instrument: Instrument) -> bool:
    """Tell whether Prometheus gives an OTLP metric of this name, without a unit, the same name: both routes then agree."""
    return _NAME.fullmatch(name) is not None and prometheus_name(name, "", instrument) == name


def own_labels(names: Sequence[str]) -> dict[str, str]:
    """Map a series' own labels to what they are called beside the engine's identity.

    A name that clashes, or that Prometheus would spell differently as an OTLP attribute, is spelled as it would and gets
    `exported_` in front. Source: prometheus/otlptranslator v1, `label_namer.go`: runs of underscores become one, a digit in
    front gets `key_`, and an underscore in front may get `key`.
    """
    called: dict[str, str] = {}
    for name in names:
        other = name if _LABEL.fullmatch(name) else EXPORTED + "_".join(_WORDS.findall(name))
        while other in _TAKEN or (other != name and (other in names or other in called.values())):
            other = EXPORTED + other
        called[name] = other
    return called


def spoken(name: str, instrument: Instrument) -> tuple[str, ...]:
    """Give all names that a family has on a page, in either form: no other family may have one of them."""
    if instrument is Instrument.HISTOGRAM:
        return name, f"{name}_bucket", f"{name}_sum", f"{name}_count", f"{name}_created"
    if instrument is Instrument.COUNTER:
        family = name.removesuffix("_total")
        return tuple(dict.fromkeys((name, family, f"{family}_created")))
    return (name,)


def verbatim(name: str, instrument: Instrument, labels: tuple[str, ...]) -> Metric:
    """Give the metric of a family's series that have these labels: the same one for as long as anybody has it."""
    key = (name, instrument, labels)
    with _lock:
        known = _metrics.get(key)
        if known is None:
            known = _metrics[key] = Metric(
                name,
                "",
                instrument,
                (*_ON_PASSED, *(Attribute(label, "A label of the engine's own") for label in labels)),
                Stability.VERBATIM,
                Aggregation.MAX if instrument is Instrument.GAUGE else Aggregation.SUM,
                "As the engine itself has it.",
                name,
            )
        return known
