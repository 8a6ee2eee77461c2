# SPDX-License-Identifier: Apache-2.0
"""What differs from one installation to the next, and nothing else."""

from dataclasses import dataclass

from inferometer.config.quantities import format_seconds

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Site:
    """The values that the generated files depend on.

    Args:
        runbooks: what the name of a runbook's file is appended to, for `runbook_url`.
        page_severity: the `severity` of what must wake somebody.
        ticket_severity: the `severity` of what can wait for working hours.
        jobs: regular expression of the scrape jobs of the agents; a PodMonitor's is `namespace/name`.
        page_url_file: file, on Alertmanager's machine, with the URL of the webhook for pages.
        ticket_url_file: the same for tickets.
        haste: every duration is divided by it; above 1 for a drill, where an incident of an hour takes a minute.
    """

    runbooks: str = "runbooks"
    page_severity: str = "page"
    ticket_severity: str = "ticket"
    jobs: str = "(.*/)?inferometer"
    page_url_file: str = "/etc/alertmanager/webhooks/page"
    ticket_url_file: str = "/etc/alertmanager/webhooks/ticket"
    haste: float = 1.0

    def span(self, seconds: float) -> str:
        """Write a duration as Prometheus and Alertmanager read it: `1h`, `90s`; whole milliseconds."""
        return format_seconds(max(1, round(seconds * 1000 / self.haste)) / 1000) if seconds else "0s"

    def runbook(self, alert: str) -> str:
        """Give the address of an alert's runbook."""
        return f"{self.runbooks.rstrip('/')}/{alert}.md"
