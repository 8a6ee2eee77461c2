# SPDX-License-Identifier: Apache-2.0
"""Alertmanager's configuration: pages at once, tickets in bundles, and nothing twice."""

from typing import Any

from alerts import agent, burn, engine, hardware, health, xids
from alerts.site import DAY, HOUR, MINUTE, Site

# One notification tells of one kind of trouble, of one model's users where it has some: a rack of lost GPUs is one page.
GROUP_BY = ("alertname", "severity", "k8s_namespace_name", "gen_ai_request_model")


def configuration(site: Site) -> dict[str, Any]:
    """Make the configuration. The webhooks' URLs stay in files of their own: they are often secrets."""
    return {
        "route": {
            "receiver": "ticket",
            "group_by": list(GROUP_BY),
            "group_wait": site.span(5 * MINUTE),
            "group_interval": site.span(30 * MINUTE),
            "repeat_interval": site.span(3 * DAY),
            "routes": [
                {
                    "receiver": "page",
                    "matchers": [f"severity = {_quoted(site.page_severity)}"],
                    "group_wait": site.span(0.5 * MINUTE),
                    "group_interval": site.span(5 * MINUTE),
                    "repeat_interval": site.span(4 * HOUR),
                }
            ],
        },
        "inhibit_rules": _inhibitions(site),
        "receivers": [_receiver("page", site.page_url_file), _receiver("ticket", site.ticket_url_file)],
    }


def _receiver(name: str, url_file: str) -> dict[str, Any]:
    return {"name": name, "webhook_configs": [{"url_file": url_file, "send_resolved": True}]}


def _inhibitions(site: Site) -> list[dict[str, Any]]:
    """Name what need not be told while its cause is: (cause, consequence, labels that must be equal).

    A label that neither has counts as equal; so each rule's labels stand on all of its alerts.
    """
    ticket, page = f"severity = {_quoted(site.ticket_severity)}", f"severity = {_quoted(site.page_severity)}"
    budget = ["slo", "k8s_namespace_name", "gen_ai_request_model"]
    rules = (
        # In a real outage every window fires; the page says it.
        ([_is(burn.BURN), page], [_is(burn.BURN), ticket], budget),
        ([_is(engine.DOWN), page], [_is(engine.DOWN), ticket], ["inferometer_source_instance"]),
        # A GPU that is gone, or must not be used, has reported why.
        ([_is(hardware.LOST)], [_is(xids.XID)], ["hw_id"]),
        ([_is(health.UNHEALTHY), page], [_is(xids.XID)], ["hw_id"]),
        ([_is(health.UNHEALTHY), page], [_is(health.UNHEALTHY), ticket], ["hw_id"]),
        ([_is(xids.XID), page], [_is(xids.XID), ticket], ["hw_id"]),
        # What an agent cannot see because it is down, or one of its sources is.
        ([_is(agent.DOWN)], [_is(agent.STALE, agent.IDENTITY, engine.DOWN, engine.BLIND)], ["instance"]),
        ([_is(agent.STALE), 'inferometer_source_name =~ "pods|podresources"'], [_is(agent.IDENTITY)], ["instance"]),
    )
    return [{"source_matchers": cause, "target_matchers": then, "equal": equal} for cause, then, equal in rules]


def _is(*names: str) -> str:
    return f"alertname = {_quoted(names[0])}" if len(names) == 1 else f"alertname =~ {_quoted('|'.join(names))}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
