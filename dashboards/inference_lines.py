# SPDX-License-Identifier: Apache-2.0
"""Inference over time: rate, latency and saturation, by model."""

from dashboards.engines import (
    BY_MODEL,
    FINISHED,
    FIRST,
    INPUT,
    MODEL_LEGEND,
    OUTPUT,
    PER_TOKEN,
    TOKENS,
    WHOLE,
    now,
    quantile,
    rate,
)
from dashboards.model import (
    COUNT,
    PREEMPTIONS_PER_SECOND,
    RATIO,
    REQUESTS_PER_SECOND,
    SECONDS,
    TOKENS_PER_SECOND,
    Heatmap,
    Lines,
    Panel,
    Query,
    Row,
)

TRAFFIC = Row(
    "Rate",
    (
        Lines(
            title="Requests finished per second, by model",
            description="Requests that finished, whatever the reason (`inference_requests_finished_total`).",
            queries=(Query(f"sum {BY_MODEL} ({rate(FINISHED)})", MODEL_LEGEND),),
            unit=REQUESTS_PER_SECOND,
        ),
        Lines(
            title="Requests finished per second, by reason",
            description=(
                "Why they finished, as the engines say it (`inference_requests_finished_total`). Many that end at their "
                "length limit are cut off answers."
            ),
            queries=(Query(f"sum by (inference_finish_reason) ({rate(FINISHED)})", "{{inference_finish_reason}}"),),
            unit=REQUESTS_PER_SECOND,
            stacked=True,
        ),
        Lines(
            title="Requests given up per second, by model",
            description=(
                "Requests whose client hung up (`inference_requests_aborted_total`). Of vLLM it is derived, and at least so "
                "many: vLLM does not count them."
            ),
            queries=(Query(f"sum {BY_MODEL} ({rate('inference_requests_aborted_total')})", MODEL_LEGEND),),
            unit=REQUESTS_PER_SECOND,
        ),
        Lines(
            title="Tokens generated per second, by model",
            description="Output tokens (`inference_tokens_total`).",
            queries=(Query(f"sum {BY_MODEL} ({rate(TOKENS, OUTPUT)})", MODEL_LEGEND),),
            unit=TOKENS_PER_SECOND,
        ),
        Lines(
            title="Prompt tokens processed per second, by model",
            description="Input tokens (`inference_tokens_total`). Prompts compete with generation for the same GPU.",
            queries=(Query(f"sum {BY_MODEL} ({rate(TOKENS, INPUT)})", MODEL_LEGEND),),
            unit=TOKENS_PER_SECOND,
        ),
    ),
)


def _latency(metric: str, what: str, meaning: str) -> tuple[Panel, ...]:
    """Give the three views of one histogram: all of it, its quantiles, and one quantile by model."""
    return (
        Heatmap(
            title=f"{what}: how all requests fared",
            description=(
                f"{meaning} (`{metric}`), with the engine's own bucket bounds: the darker, the more requests. "
                "Two bands are two kinds of requests, or two kinds of replicas."
            ),
            expr=f"sum by (le) ({rate(f'{metric}_bucket')})",
            unit=SECONDS,
            width=8,
        ),
        Lines(
            title=f"{what}: p50, p95, p99",
            description=(
                f"{meaning} (`{metric}`): half, 19 of 20 and 99 of 100 requests were at least this fast. "
                "Between two bounds of a bucket it is a guess; above the last bound it is that bound."
            ),
            queries=tuple(Query(quantile(q, metric), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)),
            unit=SECONDS,
            width=8,
        ),
        Lines(
            title=f"{what}: p95 by model",
            description=f"{meaning} (`{metric}`): 19 of 20 requests of each model were at least this fast.",
            queries=(Query(quantile(0.95, metric, "gen_ai_request_model"), MODEL_LEGEND),),
            unit=SECONDS,
            width=8,
        ),
    )


LATENCY = Row(
    "Latency",
    (
        *_latency(FIRST, "Time to first token", "Time from a request's arrival to its first token: queue and prompt"),
        *_latency(PER_TOKEN, "Time per output token", "Mean time per token after the first, one value per request"),
        *_latency(WHOLE, "Request duration", "Time from a request's arrival to its last token"),
    ),
)

SATURATION = Row(
    "Saturation",
    (
        Lines(
            title="Requests running, by model",
            description="Requests in the running batches (`inference_requests_running`). A flat top is a full batch.",
            queries=(Query(f"sum {BY_MODEL} ({now('inference_requests_running')})", MODEL_LEGEND),),
            unit=COUNT,
        ),
        Lines(
            title="Requests waiting, by model",
            description=(
                "Requests that wait to be scheduled (`inference_requests_waiting`). "
                "A queue that grows while the batch is full: the model needs replicas."
            ),
            queries=(Query(f"sum {BY_MODEL} ({now('inference_requests_waiting')})", MODEL_LEGEND),),
            unit=COUNT,
        ),
        Lines(
            title="KV cache in use, by model: the fullest engine",
            description=(
                "Share of the KV cache in use (`inference_kv_cache_utilization_ratio`). "
                "Near 1 with preemptions: shorter contexts, fewer concurrent requests, or more memory."
            ),
            queries=(Query(f"max {BY_MODEL} ({now('inference_kv_cache_utilization_ratio')})", MODEL_LEGEND),),
            unit=RATIO,
            top=1.0,
        ),
        Lines(
            title="Preemptions per second, by model",
            description=(
                "Running requests thrown out of the KV cache (`inference_preemptions_total`): "
                "their prompts are computed again, and their users wait twice."
            ),
            queries=(Query(f"sum {BY_MODEL} ({rate('inference_preemptions_total')})", MODEL_LEGEND),),
            unit=PREEMPTIONS_PER_SECOND,
        ),
    ),
)
