# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a GPU that still answers: its health by the agent's rules, and clocks that heat or power holds down."""

from alerts.hardware import HOLDERS
from alerts.rule import LIMIT, Alert, Group, Limit, Severity
from alerts.site import HOUR, MINUTE, Site

UNHEALTHY = "GpuUnhealthy"
THROTTLED = "GpuThrottled"

# A silent GPU and an XID have alerts of their own; so has being slowed down, which comes and goes.
_ELSEWHERE = ("unresponsive", "xid")
_SLOWED = ("hw_power_brake", "hw_slowdown", "hw_thermal")

# `thermal` is what older drivers say of heat in all. What a set power limit does is wanted.
_UNWANTED = ("hw_power_brake", "hw_thermal", "sw_thermal", "thermal")
THROTTLED_ABOVE = 0.1  # of the time


def group(site: Site) -> Group:
    """Make the rules on GPUs' health."""
    return Group(
        "health",
        (
            _state(
                "failed",
                Severity.PAGE,
                2 * MINUTE,
                _ELSEWHERE,
                "must not be used",
                """
                Nothing new should start there, and what runs there may be wrong or stuck. Cordon the node, move the holders, and
                do what the runbook says of the cause.
                """,
            ),
            _state(
                "degraded",
                Severity.TICKET,
                HOUR,
                _SLOWED,
                "is degraded",
                "It works, with less than it has. Most causes end with a reset while nobody holds it.",
            ),
            _state(
                "predicted_failure",
                Severity.TICKET,
                15 * MINUTE,
                (),
                "is going to fail",
                "It works, and will not for long. Plan its replacement: run the vendor's field diagnostic and open a case.",
            ),
            _throttled(site),
        ),
    )


def _state(state: str, severity: Severity, wait: float, without: tuple[str, ...], verdict: str, then: str) -> Alert:
    others = f',gpu_health_cause!~"{"|".join(without)}"' if without else ""
    return Alert(
        UNHEALTHY,
        severity,
        f'gpu_health_reason{{hw_state="{state}"{others}}} == 1',
        wait,
        f"GPU {{{{ $labels.gpu_index }}}} of {{{{ $labels.instance }}}} {verdict}: {{{{ $labels.gpu_health_cause }}}}",
        f"""
        GPU {{{{ $labels.gpu_index }}}} ({{{{ $labels.hw_id }}}}) of {{{{ $labels.instance }}}} is not well:
        {{{{ $labels.gpu_health_cause }}}}. Held by: {HOLDERS}

        {then}
        """,
        {"hw_state": state},  # as the series says; rules of one name have to differ by their labels
        rule={"predicted_failure": "predictedFailure"}.get(state, state),
    )


def _throttled(site: Site) -> Alert:
    reasons = "|".join(_UNWANTED)
    return Alert(
        THROTTLED,
        Severity.TICKET,
        f'rate(gpu_throttle_time_seconds_total{{gpu_throttle_reason=~"{reasons}"}}[{site.span(HOUR)}]) > {LIMIT}',
        10 * MINUTE,
        "GPU {{ $labels.gpu_index }} of {{ $labels.instance }} is slowed down: {{ $labels.gpu_throttle_reason }}",
        f"""
        In the last hour, the clocks of GPU {{{{ $labels.gpu_index }}}} ({{{{ $labels.hw_id }}}}) of {{{{ $labels.instance }}}}
        were held down for {{{{ $value | humanizePercentage }}}} of the time: {{{{ $labels.gpu_throttle_reason }}}}. Its holders get
        less than they have: {HOLDERS}

        Heat: look at fans, air or coolant, and its neighbours. Power brake: look at the node's power supplies and the
        rack's power budget.
        """,
        limit=Limit(THROTTLED_ABOVE, "Share of the last hour, 0 to 1, that clocks may be held down.", 1),
    )
