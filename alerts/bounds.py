# SPDX-License-Identifier: Apache-2.0
"""Where a latency can be measured at all: the bucket bounds of engines, and what an engine needs for another one.

A classic histogram counts what stayed below each of its bounds. Between two bounds nothing is known, so an objective's
threshold has to be one of them.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from inferometer import catalog
from inferometer.model import Metric

_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_PER_TOKEN = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0),
    *(30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)


class Buckets(NamedTuple):
    """The bounds of one histogram of one engine, in seconds, as it starts without options.

    `option` is the one that replaces them, with `{}` for the new list; `between` separates its numbers. Empty: they are
    fixed in the engine's code.
    """

    bounds: tuple[float, ...]
    option: str = ""
    between: str = ","


def _vllm(family: str) -> str:
    """Name vLLM's option, 0.32 and newer; it replaces the whole list of a family."""
    return f"--custom-histogram-buckets '{{{{\"{family}\": [{{}}]}}}}'"


# By the engine's name in `gen_ai.provider.name`. Read from pages of vLLM 0.32, SGLang 0.5.23 and TensorRT-LLM's collector.
DEFAULTS: Mapping[str, Mapping[Metric, Buckets]] = MappingProxyType(
    {
        "vllm": {
            catalog.TIME_TO_FIRST_TOKEN: Buckets(_FIRST_TOKEN, _vllm("time_to_first_token")),
            catalog.TIME_PER_OUTPUT_TOKEN: Buckets(_PER_TOKEN, _vllm("inter_token_latency")),
            catalog.REQUEST_DURATION: Buckets(_REQUEST, _vllm("request_latency")),
        },
        "sglang": {
            catalog.TIME_TO_FIRST_TOKEN: Buckets(
                (*(0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400),),
                "--bucket-time-to-first-token {}",
                " ",
            ),
            catalog.REQUEST_DURATION: Buckets(
                (
                    *(0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400),
                    *(600, 1200, 1800, 2400),
                ),
                "--bucket-e2e-request-latency {}",
                " ",
            ),
        },
        "trtllm": {
            catalog.TIME_TO_FIRST_TOKEN: Buckets(_FIRST_TOKEN),
            catalog.TIME_PER_OUTPUT_TOKEN: Buckets(_PER_TOKEN),
            catalog.REQUEST_DURATION: Buckets(_REQUEST),
        },
    }
)


def refuse(threshold: float, bounds: Sequence[float], whose: str, *, engine: str, metric: Metric) -> str:
    """Say why a threshold cannot be measured, and what would do; empty if it can.

    Args:
        threshold: seconds.
        bounds: the finite bounds, ascending, in seconds.
        whose: whose bounds these are, for the sentence.
        engine: its name, as in `DEFAULTS`, or empty.
        metric: the histogram.
    """
    if threshold in bounds:
        return ""
    place = bisect_left(bounds, threshold)
    below, above = bounds[max(0, place - 1) : place], bounds[place : place + 1]
    if not bounds:
        where = f"{whose} has no finite bound at all"
    elif not above:
        where = f"it lies above the highest bound of {whose}, {below[0]:.12g}s"
    elif not below:
        where = f"it lies below the lowest bound of {whose}, {above[0]:.12g}s"
    else:
        where = f"it lies between {below[0]:.12g}s and {above[0]:.12g}s of {whose}"
    return (
        f"{threshold:.12g}s is no bucket bound of {metric.name}: {where}. {_remedy(threshold, bounds, engine, metric)}"
    )


def _remedy(threshold: float, bounds: Sequence[float], engine: str, metric: Metric) -> str:
    known = DEFAULTS.get(engine, {}).get(metric)
    if known is None:
        return "Take a bound, or start the engine with one at the threshold."
    if not known.option:
        return f"Take a bound: {engine} has no option for others."
    wanted = known.between.join(f"{bound:.12g}" for bound in sorted({*bounds, threshold}))
    return f"Take a bound, or start {engine} with {known.option.format(wanted)}"


_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)_bucket\{(?P<labels>.*)\} \S+")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def read_page(page: str, metric: Metric, match: Mapping[str, str]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Find the bounds that engines really have on an agent's page: (what tells the engine, its finite bounds) for each.

    `match` has a regular expression for each label that selects, anchored as in PromQL.
    """
    found: dict[tuple[tuple[str, str], ...], set[float]] = {}
    for line in page.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None or sample["name"] != metric.prometheus:
            continue
        labels = dict(_LABEL.findall(sample["labels"]))
        bound = float(labels.pop("le", "inf"))
        if all(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in match.items()):
            found.setdefault(tuple(labels.items()), set()).update([bound] if bound < float("inf") else [])
    for series, bounds in found.items():
        yield _tell(dict(series)), tuple(sorted(bounds))


def _tell(labels: Mapping[str, str]) -> str:
    """Name an engine as briefly as its labels allow."""
    names = (catalog.NAMESPACE, catalog.POD, catalog.SERVER_ADDRESS, catalog.SERVER_PORT, catalog.MODEL)
    parts: Iterable[str] = (labels.get(name.label, "") for name in names)
    return "/".join(part for part in parts if part)
