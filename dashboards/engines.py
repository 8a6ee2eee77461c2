# SPDX-License-Identifier: Apache-2.0
"""The PromQL of engines: what is chosen, its gauges, its rates and the quantiles of its histograms."""

from dashboards.queries import RATE

OWNER = 'k8s_namespace_name=~"$namespace",inferometer_team=~"$team"'
CHOSEN = f'{OWNER},gen_ai_request_model=~"$model"'
_CLUSTER = 'and on (job, instance) target_info{k8s_cluster_name=~"$cluster"}'
BY_MODEL = "by (gen_ai_request_model)"
MODEL_LEGEND = "{{gen_ai_request_model}}"


def now(metric: str, matchers: str = CHOSEN) -> str:
    """Give a gauge of the chosen engines."""
    return f"{metric}{{{matchers}}} {_CLUSTER}"


def rate(metric: str, matchers: str = "") -> str:
    """Give a counter's rate, of the chosen engines."""
    more = f",{matchers}" if matchers else ""
    return f"rate({metric}{{{CHOSEN}{more}}}[{RATE}]) {_CLUSTER}"


def quantile(quantile: float, metric: str, by: str = "") -> str:
    """Give a quantile of a histogram over all chosen engines, or by a label: never a mean of quantiles."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({quantile}, sum by ({labels}) ({rate(f'{metric}_bucket')}))"


ENGINES = now("inference_engine_info", OWNER)
FINISHED = "inference_requests_finished_total"
TOKENS = "inference_tokens_total"
INPUT, OUTPUT = 'gen_ai_token_type="input"', 'gen_ai_token_type="output"'
FIRST, PER_TOKEN, WHOLE = (
    f"gen_ai_server_{name}_seconds" for name in ("time_to_first_token", "time_per_output_token", "request_duration")
)
