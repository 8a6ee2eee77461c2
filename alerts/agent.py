# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with the agent itself: the alerts that say that other alerts are blind."""

from alerts.rule import LIMIT, Alert, Group, Limit, Severity, quoted
from alerts.site import DAY, HOUR, MINUTE, Site

DOWN = "InferometerAgentDown"
STALE = "InferometerSourceStale"
IDENTITY = "InferometerIdentityLost"

STALE_AFTER = 5 * MINUTE

_OTHERS = '{inferometer_source_name!="engine"}'  # an engine that is down has an alert of its own


def group(site: Site) -> Group:
    """Make the rules on the agent."""
    return Group(
        "agent",
        (_scrape_fails(site), _push_ended(site), _nobody(), _stale(site), _never_good(site), _identity_lost(site)),
    )


def _scrape_fails(site: Site) -> Alert:
    return Alert(
        DOWN,
        Severity.TICKET,
        f"up{{job=~{quoted(site.jobs)}}} == 0",
        5 * MINUTE,
        "The agent at {{ $labels.instance }} cannot be scraped",
        """
        Prometheus does not reach the agent at {{ $labels.instance }} (job {{ $labels.job }}): its node's GPUs, holders and engines
        are not seen, and alerts on them do not fire. See whether its pod runs, and what it logs.
        """,
        {"cause": "scrape_fails"},
        rule="scrapeFails",
    )


def _push_ended(site: Site) -> Alert:
    hour = site.span(HOUR)
    return Alert(
        DOWN,
        Severity.TICKET,
        # Pushed series have no `up`; a scraped target that is gone has left service discovery, and is meant to be gone.
        f"""
        group by (job, instance) (last_over_time(inferometer_info[{hour}]))
        unless on (job, instance) inferometer_info
        unless on (job, instance) last_over_time(up[{hour}])
        """,
        5 * MINUTE,
        "The agent {{ $labels.instance }} pushes no more",
        """
        The agent {{ $labels.instance }} (service {{ $labels.job }}) has pushed metrics by OTLP within the last hour and does not
        any more. Its node is gone, the agent is, or the way from it to here is broken: see whether others still push.
        """,
        {"cause": "push_ended"},
        rule="pushEnded",
    )


def _nobody() -> Alert:
    return Alert(
        DOWN,
        Severity.PAGE,
        "absent(inferometer_info)",
        10 * MINUTE,
        "No agent reports at all",
        """
        There is no inferometer_info from anywhere: every alert of these files is blind. The scrape job or the Collector has
        lost its configuration, or every agent is down.
        """,
        {"cause": "nobody_reports"},
        rule="nobodyReports",
    )


def _stale(site: Site) -> Alert:
    return Alert(
        STALE,
        Severity.TICKET,
        f"inferometer_source_age_seconds{_OTHERS} > {LIMIT}",
        5 * MINUTE,
        "{{ $labels.inferometer_source_name }} of {{ $labels.instance }} reads nothing",
        """
        The newest good reading of {{ $labels.inferometer_source_name }} on {{ $labels.instance }} is
        {{ $value | humanizeDuration }} old. What it told is absent now, not repeated. inferometer check on the node says what
        is missing and what to do; inferometer_source_errors_total has the reasons.
        """,
        {"cause": "no_reading"},
        rule="noReading",
        limit=Limit(STALE_AFTER / site.haste, "Age in seconds above which a source's newest good reading is stale."),
    )


def _never_good(site: Site) -> Alert:
    up = f"inferometer_source_up{_OTHERS}"
    return Alert(
        STALE,
        Severity.TICKET,
        # The age begins anew with the agent; what worked before it was restarted and has not since is as stale.
        f"""
        {up} == 0
        and ignoring (pod)
        max_over_time({up}[{site.span(DAY)}]) == 1
        unless
        inferometer_source_age_seconds
        """,
        10 * MINUTE,
        "{{ $labels.inferometer_source_name }} of {{ $labels.instance }} reads nothing since a restart",
        """
        {{ $labels.inferometer_source_name }} on {{ $labels.instance }} has worked within the last day and has not succeeded once
        since the agent was restarted. inferometer check on the node says what is missing and what to do;
        inferometer_source_errors_total has the reasons.
        """,
        {"cause": "restarted"},
        rule="restarted",
    )


def _identity_lost(site: Site) -> Alert:
    known = 'inferometer_identity_level{inferometer_identity_level=~"partial|uid"}'
    any_of = "max without (inferometer_identity_level)"
    return Alert(
        IDENTITY,
        Severity.TICKET,
        f"{any_of} ({known}) == 0 and ignoring (pod) {any_of} (max_over_time({known}[{site.span(DAY)}])) == 1",
        10 * MINUTE,
        "{{ $labels.instance }} does not know who holds its GPUs",
        """
        The agent of {{ $labels.instance }} knew the pods that hold its GPUs by UID and label, and does not any more (level now:
        {{- range query (printf `inferometer_identity_level{instance=%q} == 1` $labels.instance) }}
        {{ .Labels.inferometer_identity_level }}{{ end }}): use and idle time are nobody's, or have no team. Without names the
        kubelet's socket is gone or not mounted; with names only, the API server refuses or is not reached.
        """,
    )
