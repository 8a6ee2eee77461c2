# SPDX-License-Identifier: Apache-2.0
"""The source of one engine: GET its page, read it."""

from http import HTTPStatus

from inferometer import config
from inferometer.client import Client
from inferometer.model import EngineReport, Reason, Target, Trouble
from inferometer.sources.engines.dialects import BINDINGS
from inferometer.sources.engines.reader import Reader

__all__ = ["BINDINGS", "Engine"]

# Text before OpenMetrics: both carry the same here, and some exporters round or rename only in OpenMetrics.
_ACCEPT = "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"

# The page comes from this node: packing it would only take CPU from the engine.
_UNCOMPRESSED = {"Accept-Encoding": "identity"}


class Engine:
    """Scrapes one target each period; `instance` is the target's. Its memory is one page."""

    name = "engine"

    def __init__(self, target: Target, settings: config.Engines, period: float) -> None:
        self.instance = target.instance
        self.period = period
        self.deadline = float(settings.deadline)
        self._target = target
        self._reader = Reader(target, max_samples=settings.max_samples)
        self._client = Client(deadline=self.deadline, max_body=settings.max_page, headers=target.headers)

    def read(self) -> EngineReport:
        """Scrape once.

        Raises:
            Trouble: what the client raises for connections and sizes; REJECTED for any status but 200; MALFORMED and
                TOO_LARGE for what is no metrics page.
        """
        try:
            response = self._client.get(self._target.url, accept=_ACCEPT, headers=_UNCOMPRESSED)
        except Trouble as trouble:
            if trouble.reason is not Reason.TOO_LARGE:
                raise
            remedy = "Raise engines.max_page if the page is right."  # the client knows the limit, not its key
            raise Trouble(trouble.reason, trouble.message, remedy) from None
        if response.status != HTTPStatus.OK:
            raise Trouble(
                Reason.REJECTED,
                f"{self.instance} answered {response.status} instead of metrics",
                _remedy(response.status),
            )
        content_type = response.headers.get("content-type", "")
        try:
            return self._reader.read(response.body, content_type)
        except Trouble as trouble:
            wrong = _not_metrics(content_type, response.body)
            raise Trouble(trouble.reason, f"{self.instance}: {wrong or trouble.message}", trouble.remedy) from None

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def _remedy(status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "Give the target its headers in engines.targets, or let the page be read without them."
    if status == HTTPStatus.NOT_FOUND:
        return "Check the path (inferometer/path on the pod): trtllm-serve has /prometheus/metrics, NIM /v1/metrics."
    return "Ask the engine: its log says why."


def _not_metrics(content_type: str, body: bytes) -> str:
    """Name the two things that are most often found where metrics were expected."""
    start = body[:64].lstrip()[:1]
    if "html" in content_type or start == b"<":
        return "the page is HTML, not metrics"
    if "json" in content_type or start == b"[":
        return "the page is JSON, not metrics"
    return ""
