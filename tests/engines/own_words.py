# SPDX-License-Identifier: Apache-2.0
"""Where what the exporter says of a vLLM at rest is not, number for number, what that vLLM's own page says.

The client's books give bounds, and wide ones where an engine may go on without its client; here there are none.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle reads the engine's page

from whole.pages import Page


class _Alike(NamedTuple):
    """A series of ours and of the engine's that have one value in each rank. `labels` pairs those that tell them apart.

    `narrowed` is a label of ours and the value that counts. What then still is told apart on ours is added up.
    """

    ours: str
    theirs: str
    labels: tuple[tuple[str, str], ...] = ()
    narrowed: tuple[str, str] | None = None


_LATENCIES = {
    "gen_ai_server_request_duration_seconds": "vllm:e2e_request_latency_seconds",
    "gen_ai_server_time_to_first_token_seconds": "vllm:time_to_first_token_seconds",
    "inference_inter_token_latency_seconds": "vllm:inter_token_latency_seconds",
}
_ALIKE = (
    _Alike(
        "inference_requests_finished_total",
        "vllm:request_success_total",
        (("inference_finish_reason", "finished_reason"),),
    ),
    _Alike("inference_requests_running", "vllm:num_requests_running"),
    _Alike("inference_requests_waiting", "vllm:num_requests_waiting"),
    _Alike("inference_preemptions_total", "vllm:num_preemptions_total"),
    _Alike("inference_tokens_total", "vllm:prompt_tokens_total", narrowed=("gen_ai_token_type", "input")),
    _Alike("inference_tokens_total", "vllm:generation_tokens_total", narrowed=("gen_ai_token_type", "output")),
    *(_Alike(f"{ours}_sum", f"{theirs}_sum") for ours, theirs in _LATENCIES.items()),
    *(_Alike(f"{ours}_count", f"{theirs}_count") for ours, theirs in _LATENCIES.items()),
    *(_Alike(f"{ours}_bucket", f"{theirs}_bucket", (("le", "le"),)) for ours, theirs in _LATENCIES.items()),
)
_BEGUN_AND_ELSEWHERE = (
    "vllm:time_to_first_token_seconds_count",
    "vllm:request_success_total",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
)

_Series = Iterable[tuple[str, Mapping[str, str], float]]
_Sums = Mapping[tuple[str, ...], float]


def disagreements(page: Page, own: bytes) -> list[str]:
    """Say where an agent's page differs from `own`, the engine's, by rank and label; nothing: they agree."""
    ours, theirs = _ours(page), _theirs(own)
    found: list[str] = []
    for alike in _ALIKE:
        said = _sums(ours, alike.ours, ["inference_engine_rank", *(label for label, _ in alike.labels)], alike.narrowed)
        known = _sums(theirs, alike.theirs, ["engine", *(label for _, label in alike.labels)])
        found += _differing(alike, said, known)
    return found


def misjudged(page: Page, own: bytes) -> list[str]:
    """Say where who hung up, by the agent, is not who had a first token and is nowhere else on the engine's page.

    At rest they are one number of each rank, if the agent saw the engine before its first request.
    """
    first, *elsewhere = (_sums(_theirs(own), name, ["engine"]) for name in _BEGUN_AND_ELSEWHERE)
    gone = {rank: begun - sum(each[rank] for each in elsewhere) for rank, begun in first.items()}
    told = _sums(_ours(page), "inference_requests_aborted_total", ["inference_engine_rank"])
    return [] if told == gone else [f"inference_requests_aborted_total: {told}, and by the engine's counts {gone}"]


def _ours(page: Page) -> _Series:
    return [(name, dict(labels), value) for (name, labels), value in page.items()]


def _theirs(own: bytes) -> _Series:
    parse: Any = text_string_to_metric_families  # the library has no types
    return [(sample.name, sample.labels, sample.value) for family in parse(own.decode()) for sample in family.samples]


def _differing(alike: _Alike, said: _Sums, known: _Sums) -> list[str]:
    if not known:
        return [f"{alike.theirs}: the engine has it not"]
    return [
        f"{alike.ours} {key}: {said.get(key)}, and {alike.theirs} is {known.get(key)}"
        for key in sorted(said.keys() | known.keys())
        if said.get(key) != known.get(key)
    ]


def _sums(series: _Series, name: str, keys: Iterable[str], only: tuple[str, str] | None = None) -> _Sums:
    """Add up a metric's series by labels; a bound is written in one way."""
    sums: dict[tuple[str, ...], float] = {}
    for other, labels, value in series:
        if other == name and (only is None or labels.get(only[0]) == only[1]):
            key = tuple(repr(float(labels[key])) if key == "le" else labels.get(key, "") for key in keys)
            sums[key] = sums.get(key, 0.0) + value
    return sums
