# SPDX-License-Identifier: Apache-2.0
"""Inference: how much is served, how long it takes, how full the engines are, by model."""

from dashboards import uids
from dashboards.engines import (
    BY_MODEL,
    ENGINES,
    FINISHED,
    FIRST,
    INPUT,
    OUTPUT,
    OWNER,
    PER_TOKEN,
    TOKENS,
    WHOLE,
    now,
    quantile,
    rate,
)
from dashboards.inference_lines import LATENCY, SATURATION, TRAFFIC
from dashboards.inference_silicon import SILICON
from dashboards.model import (
    COUNT,
    PREEMPTIONS_PER_SECOND,
    RATIO,
    REQUESTS_PER_SECOND,
    SECONDS,
    TOKENS_PER_SECOND,
    Dashboard,
    Key,
    Labels,
    Link,
    Row,
    Stat,
    Step,
    Table,
    Unit,
    Value,
)
from dashboards.queries import CLUSTER

_NAMESPACE = Labels("namespace", "Namespace", "inference_engine_info", "k8s_namespace_name", "Namespaces with engines.")
_TEAM = Labels(
    "team",
    "Team",
    'inference_engine_info{k8s_namespace_name=~"$namespace"}',
    "inferometer_team",
    "Teams, from the pods' labels that the agent's identity.team_keys name.",
)
_MODEL = Labels(
    "model",
    "Model",
    'inference_requests_running{k8s_namespace_name=~"$namespace",inferometer_team=~"$team"}',
    "gen_ai_request_model",
    "Models, as the engines name what they serve.",
)

_IDLE = "No traffic"


def _tile(
    title: str, description: str, expr: str, unit: Unit, steps: tuple[Step, ...] = (), empty: str = "No data"
) -> Stat:
    return Stat(title=title, description=description, expr=expr, unit=unit, steps=steps, empty=empty, width=4)


_NOW = Row(
    "Serving now",
    (
        _tile(
            "Requests finished",
            "Requests that finished per second, whatever the reason (`inference_requests_finished_total`).",
            f"sum({rate(FINISHED)})",
            REQUESTS_PER_SECOND,
        ),
        _tile(
            "Prompt tokens in",
            "Prompt tokens processed per second (`inference_tokens_total`, input).",
            f"sum({rate(TOKENS, INPUT)})",
            TOKENS_PER_SECOND,
        ),
        _tile(
            "Tokens out",
            "Tokens generated per second (`inference_tokens_total`, output).",
            f"sum({rate(TOKENS, OUTPUT)})",
            TOKENS_PER_SECOND,
        ),
        _tile(
            "Time to first token, p95",
            "19 of 20 requests saw their first token within this time (`gen_ai_server_time_to_first_token_seconds`).",
            quantile(0.95, FIRST),
            SECONDS,
            empty=_IDLE,
        ),
        _tile(
            "Time per output token, p95",
            "19 of 20 requests got their further tokens at least this fast, on the mean of each "
            "(`gen_ai_server_time_per_output_token_seconds`).",
            quantile(0.95, PER_TOKEN),
            SECONDS,
            empty=_IDLE,
        ),
        _tile(
            "Request duration, p95",
            "19 of 20 requests had their last token within this time (`gen_ai_server_request_duration_seconds`).",
            quantile(0.95, WHOLE),
            SECONDS,
            empty=_IDLE,
        ),
        _tile(
            "Running",
            "Requests in the engines' running batches now (`inference_requests_running`).",
            f"sum({now('inference_requests_running')})",
            COUNT,
        ),
        _tile(
            "Waiting",
            "Requests that wait to be scheduled now (`inference_requests_waiting`). "
            "A queue that stays is time to first token that users feel: add replicas, or admit less.",
            f"sum({now('inference_requests_waiting')})",
            COUNT,
        ),
        _tile(
            "Fullest KV cache",
            "The fullest engine's share of KV cache in use (`inference_kv_cache_utilization_ratio`). "
            "Full alone is normal; full with a queue or with preemptions is saturation.",
            f"max({now('inference_kv_cache_utilization_ratio')})",
            RATIO,
        ),
        _tile(
            "Preemptions",
            "Running requests thrown out of the KV cache per second, to be computed again (`inference_preemptions_total`).",
            f"sum({rate('inference_preemptions_total')})",
            PREEMPTIONS_PER_SECOND,
            steps=(Step(0.1, "orange"),),
        ),
        _tile(
            "Engines",
            "Engines whose page was read (`inference_engine_info`), of the chosen namespaces and teams.",
            f"count({ENGINES})",
            COUNT,
        ),
        _tile(
            "Engines that say nothing",
            "Engines that answer and tell nothing of their requests (`inference_engine_blind`, with the reason): they may "
            "serve, and nobody would see how. Ask `inferometer check engine URL`.",
            f"sum({now('inference_engine_blind', OWNER)})",
            COUNT,
            steps=(Step(1, "orange"),),
        ),
    ),
)

_MODELS = Row(
    "By model",
    (
        Table(
            title="Models: traffic, latency, saturation",
            description=(
                "One row per model, over all its engines: requests in the batch and in the queue "
                "(`inference_requests_running`, `inference_requests_waiting`), finished requests, generated tokens, p95 "
                "latencies from the sum of the engines' histograms, and the fullest KV cache. Click a model to see it alone."
            ),
            keys=(Key("gen_ai_request_model", "Model", Link(uids.INFERENCE, "model", "This model alone")),),
            values=(
                Value("Running", f"sum {BY_MODEL} ({now('inference_requests_running')})"),
                Value("Waiting", f"sum {BY_MODEL} ({now('inference_requests_waiting')})"),
                Value("Requests", f"sum {BY_MODEL} ({rate(FINISHED)})", REQUESTS_PER_SECOND),
                Value("Tokens out", f"sum {BY_MODEL} ({rate(TOKENS, OUTPUT)})", TOKENS_PER_SECOND),
                Value("First token p95", quantile(0.95, FIRST, "gen_ai_request_model"), SECONDS),
                Value("Per token p95", quantile(0.95, PER_TOKEN, "gen_ai_request_model"), SECONDS),
                Value("Request p95", quantile(0.95, WHOLE, "gen_ai_request_model"), SECONDS),
                Value("Fullest KV cache", f"max {BY_MODEL} ({now('inference_kv_cache_utilization_ratio')})", RATIO),
                Value(
                    "Preemptions",
                    f"sum {BY_MODEL} ({rate('inference_preemptions_total')})",
                    PREEMPTIONS_PER_SECOND,
                ),
            ),
            height=8,
            sort="Tokens out",
            descending=True,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid=uids.INFERENCE,
    title="Inferometer / Inference: rate, latency, saturation by model",
    description="What the engines serve, how long users wait, how full the engines are, and which GPUs are behind them.",
    variables=(CLUSTER, _NAMESPACE, _TEAM, _MODEL),
    rows=(_NOW, _MODELS, TRAFFIC, LATENCY, SATURATION, SILICON),
)
