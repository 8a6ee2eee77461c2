# SPDX-License-Identifier: Apache-2.0
"""What stands at which path: one function from a request to its answer, without a socket in sight."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from inferometer.server.negotiation import accepts_gzip, choose_form
from inferometer.server.published import Published
from inferometer.server.request import Refusal, Request

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


class Answer(NamedTuple):
    """An HTTP answer without its framing: the body is sent to GET only."""

    status: HTTPStatus
    body: bytes
    content_type: str = _PLAIN
    headers: Headers = ()


class Pages:
    """The paths of the endpoint.

    Args:
        published: the newest snapshot's pages, `text`, `openmetrics` and `html`.
        alive: whether the process does its work, and a sentence about it; never a question about the hardware.
    """

    def __init__(self, published: Published, alive: Alive) -> None:
        self._published = published
        self._alive = alive
        self._broken: set[str] = set()
        self._at = {"/": self._status, "/metrics": self._metrics, "/healthz": self._health, "/readyz": self._readiness}

    def answer(self, request: Request) -> Answer:
        """Answer a request. Never raises: a defect of ours is a 500 for this one page."""
        page = self._at.get(request.path)
        if page is None:
            return _say(HTTPStatus.NOT_FOUND, f"Not found. There is {', '.join(self._at)}.\n")
        if request.method not in {"GET", "HEAD"}:
            answer = _say(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.\n")
            return answer._replace(headers=(("Allow", "GET, HEAD"),))
        try:
            answer = page(request)
        except Exception:
            if request.path not in self._broken:  # once, not at every scrape
                log.exception("The page %s cannot be made.", request.path)
            self._broken.add(request.path)
            return _say(HTTPStatus.INTERNAL_SERVER_ERROR, "This page cannot be made; the log says why.\n")
        self._broken.discard(request.path)
        return answer

    def _metrics(self, request: Request) -> Answer:
        form = choose_form(request.headers.get("accept", ""))
        return self._page(request, form.page, form.content_type, _NEGOTIATED)

    def _status(self, request: Request) -> Answer:
        return self._page(request, "html", _HTML, (*_PACKED, *_SAFE))

    def _page(self, request: Request, form: str, content_type: str, headers: Headers) -> Answer:
        gzipped = accepts_gzip(request.headers.get("accept-encoding", ""))
        body = self._published.page(form, gzipped=gzipped)
        if body is None:
            return _say(HTTPStatus.SERVICE_UNAVAILABLE, _WAITING)
        return Answer(HTTPStatus.OK, body, content_type, headers + _GZIPPED if gzipped else headers)

    def _health(self, _: Request) -> Answer:
        alive, text = self._alive()
        return _say(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n")

    def _readiness(self, _: Request) -> Answer:
        if self._published.newest is None:
            return _say(HTTPStatus.SERVICE_UNAVAILABLE, _WAITING)
        return _say(HTTPStatus.OK, "ready\n")


def refuse(refusal: Refusal) -> Answer:
    """Answer what cannot be served."""
    return _say(HTTPStatus(refusal.status), f"{refusal.text}\n")


def _say(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, text.encode())
