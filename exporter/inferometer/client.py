# SPDX-License-Identifier: Apache-2.0
"""All outgoing HTTP: total deadlines, bounded bodies, trust, credentials, one kept connection, no secret in any message."""

import contextlib
import http.client
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from inferometer.credentials import Authorization, Bearer, Tls
from inferometer.model import EMPTY, Reason, Trouble
from inferometer.wire import (
    CHUNK,
    Lines,
    Request,
    Troubles,
    Wire,
    fields,
    is_compressed,
    read_body,
    request,
    shown,
)

_LONGEST_AHEAD = 8 * CHUNK  # bytes of a body that is read ahead; to read much more takes long

Tell = Callable[[str, int, int], None]  # URL, requests, bytes received


class Response(NamedTuple):
    """A whole answer: header names in lower case, the body decompressed and never larger than the client's limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """HTTP/1.1 for one caller at a time; `close` may come from another thread and ends a blocked call.

    The connection of the newest call is kept for the next one to the same origin. Redirects are not followed.

    Args:
        deadline: seconds from connect to the last byte, however slowly the peer drips. Resolving a name comes on top.
        max_body: bytes of a body after decompression, and of one line of a stream.
        trust: certificates for https; None takes the system's.
        token_file: a bearer token, read again each minute and after a 401.
        authorization: the same with anything else that goes into the Authorization header.
        headers: sent with every request.
        tell: is told of every request and of every byte that it brings; of a stream's bytes as they come.
    """

    def __init__(
        self,
        *,
        deadline: float,
        max_body: int,
        trust: ssl.SSLContext | Tls | None = None,
        token_file: str = "",
        authorization: Authorization | None = None,
        headers: Mapping[str, str] = EMPTY,
        tell: Tell | None = None,
    ) -> None:
        self.deadline = deadline
        self.max_body = max_body
        self._trust = trust
        self._authorization = Bearer(token_file) if token_file else authorization
        self._trusted: ssl.SSLContext | None = None  # by the kept connection
        self._headers = dict(headers)
        self._tell = tell
        self._page: tuple[tuple[str, str, Mapping[str, str]], Request] | None = None  # what was asked for last
        self._kept: Wire | None = None
        self._ahead: tuple[Request, Wire] | None = None  # what is asked, and nobody reads yet
        self._wires: set[Wire] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.took = 0.0  # seconds, of what `come` gave last

    def get(self, url: str, *, accept: str = "*/*", headers: Mapping[str, str] = EMPTY) -> Response:
        """GET a page. Any status but a redirect's is the caller's to judge.

        Raises:
            Trouble: TIMEOUT, REFUSED, TOO_LARGE, MALFORMED, MISSING (no such host or file), REJECTED (a redirect).
        """
        return self._whole(self._page_at(url, accept, headers))

    @property
    def is_prompt(self) -> bool:
        """Whether `ask_ahead` may go well; after it, whether `come` may yet."""
        ahead = self._ahead
        return self._kept is not None if ahead is None else ahead[1].is_expecting

    def ask_ahead(self, url: str, *, accept: str = "*/*", headers: Mapping[str, str] = EMPTY) -> int | None:
        """Ask for a page on the kept connection, without waiting for anything, and without raising.

        Only where the same was asked there before, in the clear and without credentials that may change, and the answer
        was neither long nor unusual. Gives the connection's descriptor, for `come`; else None. `get` of the same page
        goes on with what is asked.
        """
        asked = self._page_at(url, accept, headers)
        kept = self._kept
        if kept is None or self._authorization is not None or not kept.is_used_to(asked):
            return None
        wire = self._reuse(asked, time.monotonic() + self.deadline)
        if wire is None:
            return None
        try:
            wire.send(asked, min(self.max_body, _LONGEST_AHEAD))
        except OSError:
            self._hang_up(wire)
            return None
        return wire.descriptor if self._put_ahead(asked, wire) else None

    def come(self) -> Response | None:
        """Read what has come of a page that was asked for ahead; None while it is not all there, or `get` has to read it."""
        with self._lock:
            ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        found = ahead[1].take_there()
        if found is None:
            self._put_ahead(*ahead)
            return None
        with contextlib.suppress(OSError):  # it may be closed meanwhile
            self.took = ahead[1].took()
        self._settle(*ahead, keep=True)
        return Response(http.HTTPStatus.OK, *found)

    def _put_ahead(self, asked: Request, wire: Wire) -> bool:
        """Remember what is asked; hang up where the client was closed meanwhile."""
        with self._lock:
            if not self._closed:
                self._ahead = asked, wire
                return True
        self._hang_up(wire)
        return False

    def _page_at(self, url: str, accept: str, headers: Mapping[str, str]) -> Request:
        """Put the question together, or give it again: most clients ask for one thing again and again."""
        key = url, accept, dict(headers)
        if self._page is None or self._page[0] != key:
            sent = {**self._headers, "Accept": accept, "Accept-Encoding": "gzip", **headers}
            self._page = key, request("GET", url, sent)
        return self._page[1]

    def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str] = EMPTY) -> Response:
        """POST `body`; it is never sent again on a doubt. Raises as `get` does."""
        sent = {**self._headers, "Content-Type": content_type, "Accept-Encoding": "gzip", **headers}
        return self._whole(request("POST", url, sent, body))

    def lines(self, url: str, *, idle: float, accept: str = "*/*") -> Lines:
        """GET a stream of lines on a connection of its own; `idle` is the longest wait for a whole line, in seconds.

        The head of the answer has to come within the client's deadline. Raises as `get` does; the iterator too.
        """
        asked = request("GET", url, {**self._headers, "Accept": accept, "Accept-Encoding": "identity"})
        stream = self._stream(asked, idle)
        if stream.status == http.HTTPStatus.UNAUTHORIZED:
            try:
                renewed = self._has_new_token()
            except Trouble:  # the token's file is gone
                stream.close()
                raise
            if renewed:
                stream.close()
                stream = self._stream(asked, idle)
        return stream

    def close(self) -> None:
        """Hang up everything. A call that is under way in another thread raises REFUSED, a stream ends."""
        with self._lock:
            self._closed = True
            kept, self._kept = self._kept, None
            ahead, self._ahead = self._ahead, None
            for wire in self._wires:
                wire.interrupt()
        for idle in (kept, ahead[1] if ahead else None):
            if idle is not None:
                self._hang_up(idle)

    def _whole(self, asked: Request) -> Response:
        until = time.monotonic() + self.deadline
        response = self._retrying(self._authorized(asked), until)
        if response.status == http.HTTPStatus.UNAUTHORIZED and self._has_new_token():
            response = self._retrying(self._authorized(asked), until)
        return response

    def _retrying(self, asked: Request, until: float) -> Response:
        with self._lock:
            ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] != asked:
            self._hang_up(ahead[1])
            ahead = None
        wire = self._reuse(asked, until) if ahead is None else ahead[1]
        if wire is not None:
            try:
                return self._exchange(asked, wire, sent=ahead is not None)
            except Trouble as trouble:
                # The peer may have hung up between our look and our question. A POST may have been acted upon.
                if trouble.reason is not Reason.REFUSED or wire.answered or asked.method != "GET":
                    raise
            until = wire.until
        return self._exchange(asked, self._open(asked, until))

    def _exchange(self, asked: Request, wire: Wire, *, sent: bool = False) -> Response:
        keep = False
        try:
            with Troubles(asked.url, self.deadline):
                if not sent:
                    wire.send(asked, self.max_body)
                found = wire.familiar()
                if found is not None:
                    keep = True
                    return Response(http.HTTPStatus.OK, *found)
                response = wire.answer(asked)
                body = read_body(response, self.max_body)
            keep = not response.will_close
            return Response(response.status, fields(response), body)
        finally:
            self._settle(asked, wire, keep=keep)

    def _settle(self, asked: Request, wire: Wire, *, keep: bool) -> None:
        """Count what came, and keep the connection or hang up."""
        self._count(asked.url, 1, wire)
        with self._lock:
            keep = keep and not self._closed
            self._kept = wire if keep else None
        if not keep:
            self._hang_up(wire)

    def _stream(self, asked: Request, idle: float) -> Lines:
        asked = self._authorized(asked)
        wire = self._open(asked, time.monotonic() + self.deadline)
        try:
            with Troubles(asked.url, self.deadline):
                response = wire.ask(asked)
                if is_compressed(response):
                    raise Trouble(Reason.MALFORMED, "answers a stream with a compressed body")
        except Trouble:
            self._hang_up(wire)
            raise
        finally:
            self._count(asked.url, 1, wire)
        return Lines(asked.url, wire, response, self.max_body, idle, self._count, self._hang_up)

    def _reuse(self, asked: Request, until: float) -> Wire | None:
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept.origin == asked.origin and kept.is_quiet() and self._still_trusts(asked):
            kept.until = until
            return kept
        self._hang_up(kept)
        return None

    def _open(self, asked: Request, until: float) -> Wire:
        server_name = self._trust.server_name if isinstance(self._trust, Tls) else ""
        with Troubles(asked.url, self.deadline):
            context = self._context(asked)
            wire = Wire(asked.origin, context, until, server_name)
        self._trusted = context
        with self._lock:
            if not self._closed:
                self._wires.add(wire)
                return wire
        wire.hang_up()
        raise Trouble(Reason.REFUSED, f"{shown(asked.url)}: the client is closed")

    def _context(self, asked: Request) -> ssl.SSLContext | None:
        """Give what a connection is to be made with now; nothing where it is in the clear."""
        if asked.origin.scheme != "https":
            return None
        if isinstance(self._trust, Tls):
            return self._trust.context()
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust

    def _still_trusts(self, asked: Request) -> bool:
        """Tell whether the kept connection was made with what would be taken now."""
        try:
            return self._context(asked) is self._trusted
        except Trouble:  # `_open` will say it
            return False

    def _count(self, url: str, requests: int, wire: Wire) -> None:
        if self._tell is not None:
            self._tell(url, requests, wire.received())

    def _hang_up(self, wire: Wire) -> None:
        with self._lock:
            self._wires.discard(wire)
        wire.hang_up()

    def _authorized(self, asked: Request) -> Request:
        if self._authorization is None:
            return asked
        return asked._replace(headers={**asked.headers, "Authorization": self._authorization.current()})

    def _has_new_token(self) -> bool:
        return self._authorization is not None and self._authorization.renew()
