# SPDX-License-Identifier: Apache-2.0
"""Objectives become rules: multi-window, multi-burn-rate alerts, and a guard for the day when they could see nothing.

The method is the SRE workbook's (chapter 5, "Alerting on SLOs", 6): a burn rate of 1 spends the error budget exactly over
the objective's window. An alert needs it in a long window, which says that it matters, and in a short one, which says that
it still goes on.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from alerts.bounds import DEFAULTS
from alerts.objective import Objective
from alerts.rule import LIMIT, Alert, Group, Limit, Recording, Severity, quoted
from alerts.site import DAY, HOUR, MINUTE, Site
from inferometer import catalog
from inferometer.config.quantities import format_seconds
from inferometer.model import Metric

BURN = "InferenceLatencyBudgetBurn"
BLIND = "InferenceLatencyUnmeasurable"

_BOUNDS = "slo:inference_blind_bound:seconds"


class Pace(NamedTuple):
    """How fast a budget is spent before somebody hears of it: `share` of it within `long` seconds."""

    severity: Severity
    long: float
    short: float
    share: Decimal
    wait: float

    def factor(self, hours: int) -> Decimal:
        """Give the burn rate that spends the share in time, for a window of so many hours: 14.4, 6, 3 and 1 for 30 days."""
        return round(self.share * hours * 3600 / Decimal(self.long), 4).normalize()


# The SRE workbook's table 5-8, with the waits of kubernetes-mixin, which outlast one evaluation's accident.
PACES = (
    Pace(Severity.PAGE, HOUR, 5 * MINUTE, Decimal("0.02"), 2 * MINUTE),
    Pace(Severity.PAGE, 6 * HOUR, 30 * MINUTE, Decimal("0.05"), 15 * MINUTE),
    Pace(Severity.TICKET, DAY, 2 * HOUR, Decimal("0.1"), HOUR),
    Pace(Severity.TICKET, 3 * DAY, 6 * HOUR, Decimal("0.1"), 3 * HOUR),
)


def unreachable(objective: Objective) -> tuple[Pace, ...]:
    """Give the paces that an objective cannot be missed at: even if every request is slow."""
    return tuple(pace for pace in PACES if pace.factor(objective.hours) * objective.budget >= 1)


def groups(objective: Objective, site: Site) -> Iterator[Group]:
    """Make the rules of one objective. Windows are named as they are meant, whatever the site's haste."""
    paces = [pace for pace in PACES if pace not in unreachable(objective)]
    windows = sorted({window for pace in paces for window in (pace.short, pace.long)})
    counted = sorted({pace.long for pace in paces})
    recordings = [(w, Recording(_slow(w), _slow_ratio(objective, site.span(w)), _labels(objective))) for w in windows]
    recordings += [
        (w, Recording(_requests(w), _request_count(objective, site.span(w)), _labels(objective))) for w in counted
    ]
    # A sum over days costs a thousand times one over minutes and changes as much less.
    days = tuple(recording for window, recording in recordings if window >= DAY)
    hours = tuple(recording for window, recording in recordings if window < DAY)
    alerts = tuple(_alert(objective, pace) for pace in paces)
    yield Group(f"slo/{objective.name}/days", days, interval=2 * MINUTE)
    yield Group(f"slo/{objective.name}", (*hours, *alerts, _blind_bounds(objective), _guard(objective)))


# --- what is recorded ---------------------------------------------------------------------------------------------


def _labels(objective: Objective) -> dict[str, str]:
    return {"slo": objective.name}


def _slow(window: float) -> str:
    return f"slo:inference_slow:ratio_rate{format_seconds(window)}"


def _requests(window: float) -> str:
    return f"slo:inference_requests:increase{format_seconds(window)}"


def _slow_ratio(objective: Objective, window: str) -> str:
    """The share of requests that were slow.

    Only engines that have the bound count: one without it would make every one of its requests look slow.
    """
    count, bucket = _count(objective), _bucket(objective)
    by = ", ".join(objective.kept)
    return (
        "1 - (\n"
        f"  sum by ({by}) (rate({bucket}[{window}]))\n"
        "/\n"
        f"  (sum by ({by}) (rate({count}[{window}]) and ignoring (le) rate({bucket}[{window}])) > 0)\n"
        ")"
    )


def _request_count(objective: Objective, window: str) -> str:
    return f"sum by ({', '.join(objective.kept)}) (increase({_count(objective)}[{window}]))"


def _count(objective: Objective) -> str:
    return _select("_count", objective)


def _bucket(objective: Objective) -> str:
    """Select what stayed within the threshold."""
    return _select("_bucket", objective, _le(objective.threshold))


def _select(suffix: str, objective: Objective, *more: str) -> str:
    matchers = ",".join([*(f"{label}=~{quoted(pattern)}" for label, pattern in objective.selector.items()), *more])
    return objective.entry.prometheus + suffix + (f"{{{matchers}}}" if matchers else "")


def _le(threshold: float) -> str:
    """Select one bound, however it is written: `1` by OTLP into some backends, `1.0` on pages and in Prometheus 3."""
    if threshold == int(threshold):
        return f'le=~"{int(threshold)}(\\\\.0)?"'
    return f'le="{float(threshold)!r}"'


# --- what alerts --------------------------------------------------------------------------------------------------


def _alert(objective: Objective, pace: Pace) -> Alert:
    factor, budget = pace.factor(objective.hours), objective.budget.normalize()
    long, short = format_seconds(pace.long), format_seconds(pace.short)
    mine = f'{{slo="{objective.name}"}}'
    limit = f"({LIMIT} * {budget:f})"
    return Alert(
        BURN,
        pace.severity,
        f"""
        {_slow(pace.long)}{mine} > {limit}
        and
        {_slow(pace.short)}{mine} > {limit}
        and
        {_requests(pace.long)}{mine} >= {objective.min_requests}
        """,
        pace.wait,
        f"The error budget of {objective.name} burns{_whose(objective)}",
        f"""
        {{{{ $value | humanizePercentage }}}} of the requests{_whose(objective)} were slower than
        {objective.threshold:g} s ({objective.metric}) in the last {long}, and it still goes on
        ({short}). Allowed are {(budget * 100).normalize():f} % over {objective.window}, and this is more than {LIMIT} times as
        much. Promised: {objective.description}

        Look at inference_requests_waiting and inference_kv_cache_utilization_ratio first: a queue says that capacity
        is missing, none says that the engine or its GPU is slow.
        """,
        {**_labels(objective), "long": long, "short": short},
        rule=f"within{long}",
        limit=Limit(
            float(factor), f"Burn rate of the error budget over {long}: at 1 it lasts for the objective's window."
        ),
    )


def _blind_bounds(objective: Objective) -> Recording:
    """The bounds, as numbers, of engines that have none at the threshold: a template can then name its neighbours.

    PromQL cannot read a number from a label, but the quantile 1 of a histogram with one full bucket is that bucket's bound.
    """
    by = ", ".join([*objective.kept, catalog.PROVIDER.label])
    buckets = _select("_bucket", objective, 'le!="+Inf"')
    one = f'label_replace(sum by ({by}, le) ({buckets} unless ignoring (le) {_bucket(objective)}) * 0 + 1, "bound", "$1", "le", "(.+)")'
    expr = f"""
    histogram_quantile(
      1,
      {one}
      or
      label_replace({one}, "le", "+Inf", "le", ".+")
    )
    """
    return Recording(_BOUNDS, expr, _labels(objective))


def _guard(objective: Objective) -> Alert:
    """The alert for engines that the objective cannot see, since they have no bucket at its threshold."""
    by = ", ".join([*objective.kept, catalog.PROVIDER.label])
    return Alert(
        BLIND,
        Severity.TICKET,
        f"""
        count by ({by}) (
          {_count(objective)} unless ignoring (le) {_bucket(objective)}
        )
        """,
        15 * MINUTE,
        f"The objective {objective.name} cannot be measured{_whose(objective)}",
        f"""
        {{{{ $value }}}} engine(s){_whose(objective)} have no bucket bound at {objective.threshold:g} s, so {objective.name} says
        nothing of their {objective.metric}, and no alert of it can fire for them. The next bounds there are
        {_neighbour(objective, "max", "<")} and {_neighbour(objective, "min", ">")}.

        {_start_with(objective.entry)}, or move the threshold in slo.yaml to a bound.
        """,
        _labels(objective),
    )


def _neighbour(objective: Objective, pick: str, side: str) -> str:
    """Ask in a template for the bound next to the threshold."""
    labels = [*objective.kept, catalog.PROVIDER.label]
    mine = ",".join([f'slo="{objective.name}"', *(f"{label}=%q" for label in labels)])
    values = " ".join(f"$labels.{label}" for label in labels)
    query = f"printf `{pick}({_BOUNDS}{{{mine}}} {side} {objective.threshold:g})` {values}"
    return f"{{{{ range query ({query}) }}}}{{{{ .Value }}}} s{{{{ else }}}}none{{{{ end }}}}"


def _start_with(metric: Metric) -> str:
    """Name each engine's option for other bounds, in a template that picks the engine's."""
    cases = ""
    for engine, histograms in DEFAULTS.items():
        option = histograms[metric].option.format("...") if metric in histograms else ""
        if option:
            word = "else if" if cases else "if"
            cases += f'{{{{ {word} eq $labels.{catalog.PROVIDER.label} "{engine}" }}}}Start {engine} with {option}'
    otherwise = "Start the engine with a bound there"
    return f"{cases}{{{{ else }}}}{otherwise}{{{{ end }}}}" if cases else otherwise


def _whose(objective: Objective) -> str:
    """Name the budget's owner in a text: the values of its labels."""
    named = ", ".join(f"{{{{ $labels.{label} }}}}" for label in objective.kept)
    return f" for {named}" if named else ""
