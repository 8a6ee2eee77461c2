# SPDX-License-Identifier: Apache-2.0
"""The source of one engine: GET its page, read it, and leave an engine alone that has trouble."""

import threading
import zlib
from collections.abc import Callable
from http import HTTPStatus

from inferometer import config
from inferometer.client import Response
from inferometer.model import EngineReport, Reason, Target, Trouble
from inferometer.sources.engines.access import Access, open_client
from inferometer.sources.engines.dialects import BINDINGS
from inferometer.sources.engines.reader import Reader

__all__ = ["BINDINGS", "Engine"]

# The text format, and OpenMetrics only where exemplars are wanted, which nothing else has. prometheus_client gives
# OpenMetrics to whoever names it, whatever its q-value, and then, unless told that any name is allowed, writes `vllm_` and
# `sglang_` for `vllm:` and `sglang:` (0.26.0, exposition.choose_encoder).
_ACCEPT = "text/plain;version=0.0.4,*/*;q=0.1"
_ACCEPT_EXEMPLARS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

# The page comes from this node: packing it would only take CPU from the engine.
_UNCOMPRESSED = {"Accept-Encoding": "identity"}

_SPREAD = 0.1  # of a period, within which the engines of a node are asked
_WIDEST = 0.5  # seconds; so much later the snapshot is at most
_SLACK = 0.1  # seconds by which the poller waits longer: the client says better what it has waited for


class Engine:
    """Scrapes one target each period; `instance` is the target's. Its memory is one page.

    Each engine is asked at a moment of its own within the period, by the name that it has: one process that serves many
    pages, or the node that runs many engines, is not asked for all of them at once. The first page is asked for at once.

    One connection is kept, and one request is under way at most: past its deadline a request is hung up on. An engine
    that answers too late, or wrongly, is asked half as often with each such answer, until one is right. Where nobody
    listens asking costs nobody anything, and an engine that starts is to be seen in time.
    """

    name = "engine"

    def __init__(self, target: Target, settings: config.Engines, period: float, access: Access | None = None) -> None:
        self.instance = target.instance
        self._target = target
        self._own_period = max(period, target.period)
        self._longest = max(float(settings.backoff), self._own_period)
        self._failures = 0  # in a row
        self._spared = 0
        self._first = True
        self._waited = False  # whether its moment has come, and it is to be read at once
        self._phase = _phase(target.instance) * min(_SPREAD * period, _WIDEST)
        self._closed = threading.Event()
        patience = target.deadline or float(settings.deadline)
        self.deadline = patience + self._phase + _SLACK
        self._accept = _ACCEPT_EXEMPLARS if settings.exemplars else _ACCEPT
        self._reader = Reader(target, max_samples=settings.max_samples, passthrough=settings.passthrough)
        self._client = open_client(access, deadline=patience, max_body=settings.max_page, headers=target.headers)

    @property
    def period(self) -> float:
        """Seconds until it is asked again: more, the more often in a row it has failed."""
        return min(self._own_period * 2.0 ** min(self._failures, 20), self._longest)

    @property
    def spared(self) -> int:
        """How many scrapes were left out since the start for the engine's sake."""
        return self._spared

    def read(self) -> EngineReport:
        """Scrape once.

        Raises:
            Trouble: what the client raises for connections, certificates and sizes; PERMISSION for 401 and 403, REJECTED
                for any other status but 200; MALFORMED and TOO_LARGE for what is no metrics page.
        """
        if not self._first and not self._waited:
            self._closed.wait(self._phase)
        self._first = self._waited = False
        return self._judge(self._get)

    @property
    def moment(self) -> float:
        """Seconds after a tick at which it is asked."""
        return self._phase

    @property
    def is_prompt(self) -> bool:
        """Whether it can be asked without waiting, or has been and answers as before. One that fails is asked with patience."""
        return not self._failures and self._client.is_prompt

    @property
    def took(self) -> float:
        """Seconds that the page took to come that was taken last."""
        return self._client.took

    def ask(self) -> int | None:
        """Ask for the page on the kept connection, if it can be; give its descriptor."""
        self._waited = True
        return self._client.ask_ahead(self._target.url, accept=self._accept, headers=_UNCOMPRESSED)

    def take(self) -> EngineReport | None:
        """Read what has come of the page; None while it is not all there, or has to be read by `read`."""
        response = self._client.come()
        if response is None:
            return None
        self._waited = False
        return self._judge(lambda: response)

    def _judge(self, get: Callable[[], Response]) -> EngineReport:
        """Read the page that comes, and remember whether that went well."""
        try:
            report = self._read(get())
        except Trouble as trouble:
            # One that ran into its own hanging up has failed at nothing.
            if trouble.reason is not Reason.REFUSED and not self._closed.is_set():
                self._spared += round(self.period / self._own_period) - 1  # it is due by what was known before
                self._failures += 1
            raise
        self._failures = 0
        return report

    def hang_up(self) -> None:
        """End a scrape that is under way in another thread: nobody waits for it any more, and another may follow."""
        self._closed.set()
        self._client.close()

    def close(self) -> None:
        """Hang up."""
        self.hang_up()

    def _read(self, response: Response) -> EngineReport:
        if response.status != HTTPStatus.OK:
            raise self._refused(response.status)
        content_type = response.headers.get("content-type", "")
        try:
            return self._reader.read(response.body, content_type)
        except Trouble as trouble:
            wrong = _not_metrics(content_type, response.body)
            message = f"{self.instance}: {wrong or trouble.message}"
            answer = "not_metrics" if trouble.reason is Reason.MALFORMED else "too_large"
            raise Trouble(trouble.reason, message, trouble.remedy, answer) from None

    def _get(self) -> Response:
        try:
            return self._client.get(self._target.url, accept=self._accept, headers=_UNCOMPRESSED)
        except Trouble as trouble:
            if trouble.reason is not Reason.TOO_LARGE:
                raise
            remedy = "Raise engines.max_page if the page is right."  # the client knows the limit, not its key
            raise Trouble(trouble.reason, trouble.message, remedy, "too_large") from None

    def _refused(self, status: int) -> Trouble:
        """Say what a status means; what was sent to get it is named, and not shown."""
        message = f"{self.instance} answered {status} instead of metrics"
        if status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            answer = "not_found" if status == HTTPStatus.NOT_FOUND else "error"
            return Trouble(Reason.REJECTED, message, _remedy(status), answer)
        if shown := self._target.credentials:
            remedy = "See whether they are right."
            return Trouble(Reason.PERMISSION, f"{message} to the credentials {shown!r}", remedy, "refused")
        remedy = "Name an entry of engines.credentials in its target, or by the annotation inferometer/credentials."
        return Trouble(Reason.PERMISSION, message, remedy, "refused")


def _phase(instance: str) -> float:
    """Give a number from 0 to 1, the same for a name at every start."""
    return zlib.crc32(instance.encode("utf-8", "replace")) / 0xFFFF_FFFF


def _remedy(status: int) -> str:
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
