# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with an inference engine."""

from alerts.rule import LIMIT, Alert, Group, Limit, Severity
from alerts.site import DAY, MINUTE, Site

DOWN = "InferenceEngineDown"
BLIND = "InferenceEngineBlind"
SATURATED = "InferenceKvCacheSaturated"

FULL_ABOVE = 0.9

_UP = 'inferometer_source_up{inferometer_source_name="engine"}'


def group(site: Site) -> Group:
    """Make the rules on engines."""
    return Group("engine", (_down(site), _never_up(site), _blind(), _saturated(site)))


def _down(site: Site) -> Alert:
    return Alert(
        DOWN,
        Severity.PAGE,
        # One that has never answered is still loading its model: that is the ticket's affair.
        f"{_UP} == 0 and ignoring (pod) max_over_time({_UP}[{site.span(DAY)}]) == 1",
        2 * MINUTE,
        "{{ $labels.inferometer_source_instance }} does not answer",
        f"""
        The engine {{{{ $labels.inferometer_source_instance }}}}, seen from {{{{ $labels.instance }}}}, has answered before and does
        not any more. Why: {_why(site)}

        Its pod is still there. Read its log (kubectl logs --previous), and look for GpuLost and GpuXid on the same node.
        """,
        {"cause": "stopped"},
        rule="stopped",
    )


def _never_up(site: Site) -> Alert:
    return Alert(
        DOWN,
        Severity.TICKET,
        f"{_UP} == 0",
        30 * MINUTE,
        "{{ $labels.inferometer_source_instance }} does not get ready",
        f"""
        {{{{ $labels.inferometer_source_instance }}}}, seen from {{{{ $labels.instance }}}}, was found to be an engine and has not
        answered for long. Why: {_why(site)}

        Either it does not get ready, or it is found at the wrong port or path: inferometer check says which page is asked.
        """,
        {"cause": "never_ready"},
        rule="neverReady",
    )


def _why(site: Site) -> str:
    """Ask in a template for the reasons that its page could not be read."""
    errors = (
        'inferometer_source_errors_total{inferometer_source_name="engine",inferometer_source_instance=%q,instance=%q}'
    )
    return (
        f"{{{{ range $place, $error := query (printf `increase({errors}[{site.span(10 * MINUTE)}]) > 0`"
        " $labels.inferometer_source_instance $labels.instance) }}{{ if $place }}, {{ end }}"
        "{{ $error.Labels.inferometer_reason }}{{ else }}unknown{{ end }}."
    )


def _blind() -> Alert:
    return Alert(
        BLIND,
        Severity.TICKET,
        "inference_engine_blind == 1",
        10 * MINUTE,
        "{{ with $labels.k8s_pod_name }}{{ . }}{{ else }}{{ $labels.server_address }}{{ end }} answers and tells nothing",
        """
        The page of {{ with $labels.k8s_pod_name }}{{ $labels.k8s_namespace_name }}/{{ . }}{{ else }}{{ $labels.server_address }}
        {{- end }} (port {{ $labels.server_port }}), seen from {{ $labels.instance }}, answers and tells nothing of an inference
        engine{{ with $labels.inference_engine_blind_reason }} ({{ . }}){{ end }}: no latency, no token and no queue of it is
        known, and no alert on them can fire. vLLM does so with --disable-log-stats. inferometer check engine URL says what is on
        the page and what is missing.
        """,
    )


def _saturated(site: Site) -> Alert:
    window = site.span(10 * MINUTE)
    return Alert(
        SATURATED,
        Severity.TICKET,
        # A full cache alone is what a cache is for; it hurts where running requests lose their place in it.
        f"""
        avg_over_time(inference_kv_cache_utilization_ratio[{window}]) > {LIMIT}
        and
        increase(inference_preemptions_total[{window}]) > 0
        """,
        5 * MINUTE,
        "The KV cache of {{ $labels.gen_ai_request_model }} is full and requests are preempted",
        """
        On {{ with $labels.k8s_pod_name }}{{ $labels.k8s_namespace_name }}/{{ . }}{{ else }}{{ $labels.server_address }}{{ end }}
        the KV cache of {{ $labels.gen_ai_request_model }} was {{ $value | humanizePercentage }} full on average for ten minutes,
        and running requests were preempted: their work is done twice and their users wait. Add a replica, or give each
        less to do: fewer sequences at once (--max-num-seqs), a shorter context (--max-model-len), more memory for the cache.
        """,
        limit=Limit(FULL_ABOVE, "Share of the KV cache, 0 to 1, above which it is full.", 1),
    )
