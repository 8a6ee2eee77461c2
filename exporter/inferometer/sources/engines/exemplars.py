# SPDX-License-Identifier: Apache-2.0
"""The exemplars of a page: single requests that a counter or a histogram's bucket points to, by their trace."""

import re
from collections.abc import Mapping, Sequence
from itertools import count
from math import isfinite
from types import MappingProxyType

from inferometer.model import Exemplar, Instrument, Metric
from inferometer.sources.engines.combined import Merged, Total
from inferometer.sources.engines.values import Buckets, Number

Known = Mapping[int, Exemplar | None]  # by the slot of their sample; None is one that cannot be believed
Series = tuple[Metric, tuple[tuple[str, str], ...]]

NONE: Known = MappingProxyType({})

# What follows ` # `. Source: OpenMetrics 1.0.0, ABNF and "Exemplars". Possessive quantifiers: no input makes these backtrack.
_EXEMPLAR = re.compile(r'\{((?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+)\} (\S++)(?: (\S++))?\s*+', re.DOTALL)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*+)="((?:[^"\\]++|\\.)*+)"(?:,|$)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LONGEST = 128  # characters of all names and values together: OpenMetrics' own limit
_LAST_SECOND = 1 << 34  # no time of ours lies beyond


def read_exemplar(text: str) -> Exemplar | None:
    """Read what follows ` # ` in a sample's line; None where it is malformed, or longer than the format allows."""
    match = _EXEMPLAR.fullmatch(text)
    if match is None:
        return None
    inside, value, at = match.groups()
    labels = _labels(inside)
    numbers = [_number(word) for word in (value, at) if word is not None]
    if labels is None or None in numbers or sum(len(name) + len(said) for name, said in labels.items()) > _LONGEST:
        return None
    time = numbers[1] if at is not None else None
    if time is not None and not 0 < time < _LAST_SECOND:
        return None
    return Exemplar(tuple([pair for pair in labels.items() if pair[1]]), numbers[0] or 0.0, time)


def part(rests: Sequence[str], slots: Sequence[int], known: Known) -> tuple[list[str], Known]:
    """Part what follows the keys of some lines into values and exemplars; the exemplars of other lines stay as `known`."""
    now = dict(known)
    values: list[str] = []
    for rest, slot in zip(rests, slots, strict=True):
        value, mark, text = rest.partition(" # ")
        values.append(value)
        now.pop(slot, None)
        if mark:
            now[slot] = read_exemplar(text)
    return values, now or NONE


def of_outputs(
    outputs: Sequence[object], known: Known, samples: int
) -> tuple[Mapping[Series, tuple[Exemplar, ...]], int]:
    """Give the exemplars of what is read from a page of so many samples; also how many are not believed.

    A counter has the newest, a histogram one for each bucket at most; others have none. Values are in the metric's unit.
    """
    if not known:
        return _NOTHING, 0
    told: dict[Series, tuple[Exemplar, ...]] = {}
    doubtful = sum(1 for each in known.values() if each is None)
    spread: list[Exemplar | None] = [None] * samples
    for slot, each in known.items():
        spread[slot] = each
    for output in outputs:
        chosen: list[Exemplar] = []
        match output:
            case Number() if output.identity.metric.instrument is Instrument.COUNTER:
                chosen = _newest([spread[output.slot]])
            case Total() if output.identity.metric.instrument is Instrument.COUNTER:
                chosen = _newest([_scaled(spread[slot], output.per) for slot in output.parts])
            case Buckets():
                chosen, beyond = _of_buckets([output], spread)
                doubtful += beyond
            case Merged():
                chosen, beyond = _of_buckets(output.parts, spread)
                doubtful += beyond
            case _:
                continue
        if chosen:
            told[output.identity.metric, output.identity.attributes] = tuple(chosen)
    return told, doubtful


_NOTHING: Mapping[Series, tuple[Exemplar, ...]] = MappingProxyType({})


def _of_buckets(parts: Sequence[Buckets], spread: Sequence[Exemplar | None]) -> tuple[list[Exemplar], int]:
    """Give the newest exemplar of each bucket, of histograms that are added up; one above its bucket's bound is none."""
    of_bucket: dict[int, list[Exemplar | None]] = {}
    beyond = 0
    for histogram in parts:
        # The same picker that finds the buckets' values finds their exemplars.
        picked: Sequence[Exemplar | None] = histogram.cumulative(spread)  # type: ignore[arg-type,assignment]  # any sequence
        bounds = (*histogram.bounds, float("inf"))
        for bucket, each, bound in zip(count(), picked, bounds, strict=False):
            scaled = _scaled(each, histogram.per)
            if scaled is None:
                continue
            if scaled.value > bound:
                beyond += 1
            else:
                of_bucket.setdefault(bucket, []).append(scaled)
    return [newest for _, several in sorted(of_bucket.items()) for newest in _newest(several)], beyond


def _newest(several: Sequence[Exemplar | None]) -> list[Exemplar]:
    there = [each for each in several if each is not None]
    return [max(there, key=lambda each: each.at or 0.0)] if there else []


def _scaled(each: Exemplar | None, per: float) -> Exemplar | None:
    return each if each is None or per == 1 else each._replace(value=each.value / per)


def _labels(inside: str) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    at = 0
    while at < len(inside):
        label = _LABEL.match(inside, at)
        if label is None or label[1] in labels:
            return None
        labels[label[1]] = _ESCAPE.sub(_unescape, label[2])
        at = label.end()
    return labels


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if isfinite(value) and "_" not in word else None
