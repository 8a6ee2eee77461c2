# SPDX-License-Identifier: Apache-2.0
"""The families that engines are passed on, of the whole node: each has one type, and no two have a name in common.

Two engines may mean different things by one name, and a new version may give a name another type. A page that says both is no
page to Prometheus, and a sum over both is no sum. First come stays, until no engine has had it for the linger.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep_departed
from inferometer.model import EngineReport, Frames, Instrument, Metric

Family = tuple[str, Instrument]  # name and type


class Claim(NamedTuple):
    """Whose a name is; `ended` is monotonic seconds: since when no engine has that family."""

    family: Family
    ended: float | None = None


Claims = Mapping[str, Claim]  # by each name that a family has on a page

_COUNT = catalog.WITHHELD[0]


def admit(before: Claims, frames: Frames, rules: Rules) -> tuple[Claims, Frames, int]:
    """Withhold the families that contradict others; give also how many names that are gone the limit made us forget."""
    reports = [(i, frame.value) for i, frame in enumerate(frames.good) if isinstance(frame.value, EngineReport)]
    asked = {i: _families(report) for i, report in reports if report.passed}
    if not asked and not before:
        return before, frames, 0
    there = {family for families in asked.values() for family in families}
    lasting = {name: Claim(claim.family) for name, claim in before.items() if claim.family in there}
    gone, excess = keep_departed(before, lasting, frames.steady, rules)
    claims = {**gone, **lasting}
    good = list(frames.good)
    for i, report in reports:
        refused = frozenset(family for family in asked.get(i, ()) if not _claim(claims, family))
        if refused:
            passed = tuple([reading for reading in report.passed if _family(reading.metric) not in refused])
            counts = {**report.withheld, _COUNT: report.withheld.get(_COUNT, 0) + len(refused)}
            good[i] = replace(good[i], value=replace(report, passed=passed, withheld=MappingProxyType(counts)))
    return claims, replace(frames, good=tuple(good)), excess


def _claim(claims: dict[str, Claim], family: Family) -> bool:
    """Claim a family's names unless another has one of them; tell whether it has them."""
    names = catalog.spoken(*family)
    if any(name in claims and claims[name].family != family for name in names):
        return False
    claims.update(dict.fromkeys(names, Claim(family)))
    return True


def _families(report: EngineReport) -> Iterable[Family]:
    return dict.fromkeys(_family(metric) for metric in dict.fromkeys(reading.metric for reading in report.passed))


def _family(metric: Metric) -> Family:
    return metric.name, metric.instrument
