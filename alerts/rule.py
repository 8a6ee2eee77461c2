# SPDX-License-Identifier: Apache-2.0
"""What a rule is, and how it stands in a rule file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import dedent
from typing import Any

from alerts.site import Site


class Severity(StrEnum):
    """What is asked of people."""

    PAGE = "page"  # somebody is to get up: users suffer now, or hardware does its work no more
    TICKET = "ticket"  # somebody is to look at it in working hours


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule. Several may share a name, if their labels differ: one kind of trouble, one runbook.

    Args:
        name: CamelCase, with the part that it is about in front.
        severity: what is asked of people.
        expr: PromQL; what it gives is wrong.
        wait: seconds that it must be wrong without a break before it fires.
        summary: one line, for a list.
        description: what is known, what it means and what to do first; a template, as Prometheus fills it.
        labels: more labels of the alert.
    """

    name: str
    severity: Severity
    expr: str
    wait: float
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def entry(self, site: Site) -> dict[str, Any]:
        """Write it as an entry of a rule file."""
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
