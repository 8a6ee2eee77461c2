# SPDX-License-Identifier: Apache-2.0
"""What stands at which path: one function from a request to its answer, without a socket in sight."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from inferometer.server.certificates import Certificate
from inferometer.server.gate import Gate
from inferometer.server.negotiation import OPENMETRICS, TEXT, TEXT_1, accepts_gzip, choose_form, has_already
from inferometer.server.published import Published
from inferometer.server.request import Refusal, Request
from inferometer.server.tally import DEFECT, MALFORMED, SLOW, UNREADY, Tally

log = logging.getLogger(__name__)

Alive = Callable[[], tuple[bool, str]]
Headers = tuple[tuple[str, str], ...]

_PLAIN = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_WAITING = "The first snapshot is not complete yet: not every source has answered or failed once.\n"

_NEGOTIATED: Headers = (("Vary", "Accept, Accept-Encoding"),)
_PACKED: Headers = (("Vary", "Accept-Encoding"),)
_GZIPPED: Headers = (("Content-Encoding", "gzip"),)
_SAFE: Headers = (  # the status page shows names that others chose: nothing on it may run, load or be framed
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)

# What an entity tag says of the form: each Content-Type has its own, and so has each encoding (RFC 9110 section 8.8.3.3).
_MARKS = {TEXT.content_type: "t", TEXT_1.content_type: "u", OPENMETRICS.content_type: "o", _HTML: "h"}


class Answer(NamedTuple):
    """An HTTP answer without its framing: the body is sent to GET only."""

    status: HTTPStatus
    body: bytes
    content_type: str = _PLAIN
    headers: Headers = ()


class Pages:
    """The paths of the endpoint. /metrics and the status page are behind the gate; /healthz and /readyz are the kubelet's.

    Args:
        published: the newest snapshot's pages, `text`, `openmetrics` and `html`, and `dcgm` where it is wanted.
        alive: whether the process does its work, and a sentence about it; never a question about the hardware. While it does
            not, the newest snapshot is no news, and not shown.
        gate: who may see them.
        tally: counts whoever is turned away.
    """

    def __init__(self, published: Published, alive: Alive, gate: Gate, tally: Tally) -> None:
        self._published = published
        self._alive = alive
        self._gate = gate
        self._tally = tally
        self._broken: set[str] = set()
        self._at = {"/": self._status, "/metrics": self._metrics, "/healthz": self._health, "/readyz": self._readiness}
        if published.has("dcgm"):
            self._at["/metrics/dcgm"] = self._dcgm
        self._guarded = {"/", "/metrics", "/metrics/dcgm"}

    def answer(self, request: Request, certificate: Certificate | None = None) -> Answer:
        """Answer a request. Never raises: a defect of ours is a 500 for this one page."""
        page = self._at.get(request.path)
        if page is None:
            return _say(HTTPStatus.NOT_FOUND, f"Not found. There is {', '.join(self._at)}.\n")
        if request.method not in {"GET", "HEAD"}:
            answer = _say(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.\n")
            return answer._replace(headers=(("Allow", "GET, HEAD"),))
        try:
            denial = self._gate.deny(request, certificate) if request.path in self._guarded else None
            if denial is not None:
                self._tally.count_refusal(denial.reason)
                return _say(HTTPStatus(denial.status), f"{denial.text}\n")._replace(headers=denial.headers)
            answer = page(request)
        except Exception:
            self._tally.count_refusal(DEFECT)
            if request.path not in self._broken:  # once, not at every scrape
                log.exception("The page %s cannot be made.", request.path)
            self._broken.add(request.path)
            # Not the page before: what is old would be taken for new. A scrape that fails ends the series instead.
            return _say(HTTPStatus.INTERNAL_SERVER_ERROR, "This page cannot be made; the log says why.\n")
        self._broken.discard(request.path)
        return answer

    def refuse(self, refusal: Refusal) -> Answer:
        """Answer what is no request, or took too long to become one."""
        self._tally.count_refusal(SLOW if refusal.status == HTTPStatus.REQUEST_TIMEOUT else MALFORMED)
        return turn_away(refusal)

    def _metrics(self, request: Request) -> Answer:
        form = choose_form(request.headers.get("accept", ""))
        return self._page(request, form.page, form.content_type, _NEGOTIATED)

    def _dcgm(self, request: Request) -> Answer:
        return self._page(request, "dcgm", TEXT.content_type, _PACKED)

    def _status(self, request: Request) -> Answer:
        return self._page(request, "html", _HTML, (*_PACKED, *_SAFE))

    def _page(self, request: Request, form: str, content_type: str, headers: Headers) -> Answer:
        alive, text = self._alive()
        if not alive:
            return self._not_yet(text)
        gzipped = accepts_gzip(request.headers.get("accept-encoding", ""))

        def tag(number: str) -> str:
            return f'"{number}-{_MARKS[content_type]}{"z" if gzipped else ""}"'

        known = request.headers.get("if-none-match", "")
        newest = self._published.number
        if known and newest and has_already(known, tag(newest)):  # before anything is rendered
            return Answer(HTTPStatus.NOT_MODIFIED, b"", content_type, (*headers, ("ETag", tag(newest))))
        issue = self._published.issue(form, gzipped=gzipped)
        if issue is None:
            return self._not_yet(_WAITING)
        headers = (*headers, ("ETag", tag(issue.number)))
        return Answer(HTTPStatus.OK, issue.body, content_type, headers + _GZIPPED if gzipped else headers)

    def _not_yet(self, text: str) -> Answer:
        self._tally.count_refusal(UNREADY)
        return _say(HTTPStatus.SERVICE_UNAVAILABLE, f"{text.rstrip()}\n")

    def _health(self, _: Request) -> Answer:
        alive, text = self._alive()
        return _say(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n")

    def _readiness(self, _: Request) -> Answer:
        if self._published.newest is None:
            return _say(HTTPStatus.SERVICE_UNAVAILABLE, _WAITING)
        return _say(HTTPStatus.OK, "ready\n")


def turn_away(refusal: Refusal) -> Answer:
    """Answer what cannot be served."""
    return _say(HTTPStatus(refusal.status), f"{refusal.text}\n")


def _say(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, text.encode())
