# SPDX-License-Identifier: Apache-2.0
"""The same rules for the Helm chart: what a site may set is left open, and declared as values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from alerts import agent, burn, engine, hardware, health, xids
from alerts.files import rule_groups, yaml_text
from alerts.objective import Objective
from alerts.rule import Alert, Limit
from alerts.site import Site
from inferometer.config.quantities import format_seconds

# What the chart puts its values in the place of; `alerts.rule.LIMIT` is one more.
OPEN = Site(runbooks="<runbooks>", page_severity="<page>", ticket_severity="<ticket>", jobs="<jobs>")

# What each is about, in the order in which the values stand.
MEANINGS = {
    burn.BURN: "An objective is missed fast enough to matter.",
    burn.BLIND: "An engine has no bucket bound at an objective's threshold.",
    hardware.LOST: "A GPU does not answer, or is not there any more.",
    xids.XID: "An XID, by how bad it is.",
    xids.SXID: "An NVSwitch reported a fatal SXID.",
    health.UNHEALTHY: "A GPU answers, and by its health it must not be used, is degraded, or is going to fail.",
    health.THROTTLED: "Heat or a power brake holds the clocks down.",
    hardware.IDLE: "A pod holds a GPU and does not use it.",
    engine.DOWN: "An engine stopped, or does not get ready.",
    engine.BLIND: "An engine answers and tells nothing of itself.",
    engine.SATURATED: "The KV cache is full and requests are preempted.",
    agent.DOWN: "An agent is not reached, or none is.",
    agent.STALE: "The driver, the kubelet or the API server cannot be read.",
    agent.IDENTITY: "It is not known any more who holds a node's GPUs.",
}


class Declared(NamedTuple):
    """What one rule leaves to a site: how long it waits (`1h`, as Prometheus writes it), and its limit where it has one."""

    alert: str
    rule: str  # empty where the alert has no other
    wait: str
    limit: Limit | None


def rules(objectives: Sequence[Objective]) -> str:
    """Write all groups as one rule file, in which each alert has the key `values` besides: its rule's name."""
    groups = [group for groups in rule_groups(objectives, OPEN).values() for group in groups]
    told = []
    for group in groups:
        entries = [
            {**rule.form(OPEN), "values": rule.rule} if isinstance(rule, Alert) else rule.entry(OPEN)
            for rule in group.rules
        ]
        told.append({**group.entry(OPEN), "rules": entries})
    return yaml_text({"groups": told}, by="python -m helm.generate")


def declared(objectives: Sequence[Objective]) -> Iterator[Declared]:
    """Give what the rules leave open, alert by alert; rules of several objectives are the same one."""
    seen: dict[tuple[str, str], Alert] = {}
    for groups in rule_groups(objectives, OPEN).values():
        for group in groups:
            for rule in group.rules:
                if isinstance(rule, Alert):
                    seen.setdefault((rule.name, rule.rule), rule)
    for name in MEANINGS:
        for (alert, key), rule in seen.items():
            if alert == name:
                yield Declared(alert, key, format_seconds(rule.wait) if rule.wait else "0s", rule.limit)


def values(objectives: Sequence[Objective]) -> str:
    """Write the chart's values `prometheusRule.alerts`, as a block of values.yaml: each alert with its switch and numbers."""
    lines = []
    for name, each in groupby(declared(objectives), lambda one: one.alert):
        told = {"enabled": True} | {
            key: value for one in each for key, value in _under(one.rule, _default(one)).items()
        }
        lines += [
            f"    # -- {MEANINGS[name]}",
            f"    # @schema {{$ref: {definition(name)}}}",
            f"    {name}: {_flow(told)}",
        ]
    return "\n".join(lines) + "\n"


def schemas(objectives: Sequence[Objective]) -> Mapping[str, Any]:
    """Give the JSON Schema of each alert's values, by the name of its definition."""
    found = {}
    for name, each in groupby(declared(objectives), lambda one: one.alert):
        switch = {"enabled": {"description": "Have this alert.", "type": "boolean"}}
        told = switch | {key: value for one in each for key, value in _under(one.rule, _types(one), _strict).items()}
        found[definition(name)] = _strict(told)
    return found


def definition(alert: str) -> str:
    """Name an alert's definition in the schema."""
    return f"alert.{alert}"


def _under(rule: str, told: dict[str, Any], wrap: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> dict[str, Any]:
    """Put what is told of a rule under its name, if it has one."""
    return {rule: wrap(told)} if rule else told


def _default(one: Declared) -> dict[str, Any]:
    return {"for": one.wait} | ({"threshold": f"{one.limit.value:g}"} if one.limit else {})


def _types(one: Declared) -> dict[str, Any]:
    wait = {"for": {"description": "How long it has to be so before this fires.", "$ref": "span"}}
    if one.limit is None:
        return wait
    most = {} if one.limit.most is None else {"maximum": one.limit.most}
    return wait | {"threshold": {"description": one.limit.text, "type": "number", "minimum": 0, **most}}


def _strict(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, "required": [*properties]}


def _flow(told: Any) -> str:
    """Write values on one line, as YAML."""
    if isinstance(told, dict):
        return "{" + ", ".join(f"{key}: {_flow(value)}" for key, value in told.items()) + "}"
    return "true" if told is True else str(told)
