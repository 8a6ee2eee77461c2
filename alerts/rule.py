# SPDX-License-Identifier: Apache-2.0
"""What a rule is, and how it stands in a rule file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import dedent
from typing import Any, NamedTuple

from alerts.site import Site

LIMIT = "<limit>"  # where the number of an alert's limit stands in its expression and its description


class Severity(StrEnum):
    """What is asked of people."""

    PAGE = "page"  # somebody is to get up: users suffer now, or hardware does its work no more
    TICKET = "ticket"  # somebody is to look at it in working hours


class Limit(NamedTuple):
    """The number that an alert fires beyond, which a site may move."""

    value: float
    text: str  # what it is, for whoever moves it
    most: float | None = None  # what it cannot be above


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule. Several may share a name, if their labels differ: one kind of trouble, one runbook.

    Args:
        name: CamelCase, with the part that it is about in front.
        severity: what is asked of people.
        expr: PromQL; what it gives is wrong. `LIMIT` stands for the number of `limit`.
        wait: seconds that it must be wrong without a break before it fires.
        summary: one line, for a list.
        description: what is known, what it means and what to do first; a template, as Prometheus fills it.
        labels: more labels of the alert.
        rule: what tells it from other rules of its name, in the chart's values; empty where it is the only one.
        limit: the number that it fires beyond, where there is one to move.
    """

    name: str
    severity: Severity
    expr: str
    wait: float
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""
    limit: Limit | None = None

    def entry(self, site: Site) -> dict[str, Any]:
        """Write it as an entry of a rule file."""
        number = f"{self.limit.value:g}" if self.limit else LIMIT

        def told(content: Any) -> Any:
            if isinstance(content, dict):
                return {name: told(below) for name, below in content.items()}
            return content.replace(LIMIT, number)

        return {name: told(below) for name, below in self.form(site).items()}

    def form(self, site: Site) -> dict[str, Any]:
        """Write it as an entry in which `LIMIT` is still to be replaced."""
        severity = site.page_severity if self.severity is Severity.PAGE else site.ticket_severity
        return {
            "alert": self.name,
            "expr": lines(self.expr),
            **({"for": site.span(self.wait)} if self.wait else {}),
            "labels": {"severity": severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": flow(self.description),
                "runbook_url": site.runbook(self.name),
            },
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def entry(self, _: Site) -> dict[str, Any]:
        """Write it as an entry of a rule file."""
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.name, "expr": lines(self.expr), **labels}


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after another, so that a later one sees what an earlier one has recorded."""

    name: str
    rules: tuple[Alert | Recording, ...]
    interval: float = 30.0

    def entry(self, site: Site) -> dict[str, Any]:
        """Write it as a group of a rule file."""
        return {
            "name": self.name,
            "interval": site.span(self.interval),
            "rules": [rule.entry(site) for rule in self.rules],
        }


def quoted(text: str) -> str:
    """Write a text as PromQL does, in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def lines(indented: str) -> str:
    """Take the source's indentation from an expression."""
    return dedent(indented).strip()


def flow(wrapped: str) -> str:
    """Join the lines of a text; an empty line begins a paragraph."""
    return "\n".join(" ".join(paragraph.split()) for paragraph in dedent(wrapped).strip().split("\n\n"))
