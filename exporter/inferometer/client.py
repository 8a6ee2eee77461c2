# SPDX-License-Identifier: Apache-2.0
"""All outgoing HTTP: total deadlines, bounded bodies, trust, tokens, one kept connection, no secret in any message."""

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from inferometer.model import EMPTY, Reason, Trouble
from inferometer.wire import (
    CHUNK,
    Request,
    Troubles,
    Wire,
    fields,
    is_compressed,
    read_body,
    refuse_cut,
    request,
    shown,
)

Tell = Callable[[str, int, int], None]  # URL, requests, bytes received

TOKEN_AGE = 60.0  # seconds; a bound token lives ten minutes at least and is renewed at 80 % of its life (KEP-1205)


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
        headers: sent with every request.
        tell: is told of every request and of every byte that it brings; of a stream's bytes as they come.
    """

    def __init__(
        self,
        *,
        deadline: float,
        max_body: int,
        trust: ssl.SSLContext | None = None,
        token_file: str = "",
        headers: Mapping[str, str] = EMPTY,
        tell: Tell | None = None,
    ) -> None:
        self.deadline = deadline
        self.max_body = max_body
        self._trust = trust
        self._token = _Token(token_file) if token_file else None
        self._headers = dict(headers)
        self._tell = tell
        self._kept: Wire | None = None
        self._wires: set[Wire] = set()
        self._lock = threading.Lock()
        self._closed = False

    def get(self, url: str, *, accept: str = "*/*", headers: Mapping[str, str] = EMPTY) -> Response:
        """GET a page. Any status but a redirect's is the caller's to judge.

        Raises:
            Trouble: TIMEOUT, REFUSED, TOO_LARGE, MALFORMED, MISSING (no such host or file), REJECTED (a redirect).
        """
        sent = {**self._headers, "Accept": accept, "Accept-Encoding": "gzip", **headers}
        return self._whole(request("GET", url, sent))

    def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str] = EMPTY) -> Response:
        """POST `body`; it is never sent again on a doubt. Raises as `get` does."""
        sent = {**self._headers, "Content-Type": content_type, "Accept-Encoding": "gzip", **headers}
        return self._whole(request("POST", url, sent, body))

    def lines(self, url: str, *, idle: float) -> "Lines":
        """GET a stream of lines on a connection of its own; `idle` is the longest wait for a whole line, in seconds.

        The head of the answer has to come within the client's deadline. Raises as `get` does; the iterator too.
        """
        asked = request("GET", url, {**self._headers, "Accept": "*/*", "Accept-Encoding": "identity"})
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
            for wire in self._wires:
                wire.interrupt()
        if kept is not None:
            self._hang_up(kept)

    def _whole(self, asked: Request) -> Response:
        until = time.monotonic() + self.deadline
        response = self._retrying(self._authorized(asked), until)
        if response.status == http.HTTPStatus.UNAUTHORIZED and self._has_new_token():
            response = self._retrying(self._authorized(asked), until)
        return response

    def _retrying(self, asked: Request, until: float) -> Response:
        wire = self._reuse(asked, until)
        if wire is not None:
            try:
                return self._exchange(asked, wire)
            except Trouble as trouble:
                # The peer may have hung up between our look and our question. A POST may have been acted upon.
                if trouble.reason is not Reason.REFUSED or wire.answered or asked.method != "GET":
                    raise
        return self._exchange(asked, self._open(asked, until))

    def _exchange(self, asked: Request, wire: Wire) -> Response:
        keep = False
        try:
            with Troubles(asked.url, self.deadline):
                response = wire.ask(asked)
                body = read_body(response, self.max_body)
            keep = not response.will_close
            return Response(response.status, fields(response), body)
        finally:
            self._count(asked.url, 1, wire)
            with self._lock:
                keep = keep and not self._closed
                self._kept = wire if keep else None
            if not keep:
                self._hang_up(wire)

    def _stream(self, asked: Request, idle: float) -> "Lines":
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
        return Lines(self, asked.url, wire, response, idle)

    def _reuse(self, asked: Request, until: float) -> Wire | None:
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept.origin == asked.origin and kept.is_quiet():
            kept.until = until
            return kept
        self._hang_up(kept)
        return None

    def _open(self, asked: Request, until: float) -> Wire:
        if asked.origin.scheme == "https" and self._trust is None:
            self._trust = ssl.create_default_context()
        with Troubles(asked.url, self.deadline):
            wire = Wire(asked.origin, self._trust, until)
        with self._lock:
            if not self._closed:
                self._wires.add(wire)
                return wire
        wire.hang_up()
        raise Trouble(Reason.REFUSED, f"{shown(asked.url)}: the client is closed")

    def _count(self, url: str, requests: int, wire: Wire) -> None:
        if self._tell is not None:
            self._tell(url, requests, wire.received())

    def _hang_up(self, wire: Wire) -> None:
        with self._lock:
            self._wires.discard(wire)
        wire.hang_up()

    def _authorized(self, asked: Request) -> Request:
        if self._token is None:
            return asked
        return asked._replace(headers={**asked.headers, "Authorization": f"Bearer {self._token.current()}"})

    def _has_new_token(self) -> bool:
        return self._token is not None and self._token.renew()


class Lines(Iterator[bytes]):
    """A stream read line by line, without line ends; blank lines are skipped. Look at `status` first.

    For one thread, which also closes it; `Client.close` ends it from another.
    """

    def __init__(self, client: Client, url: str, wire: Wire, response: http.client.HTTPResponse, idle: float) -> None:
        self.status = response.status
        self.headers = fields(response)
        self._client, self._url, self._wire, self._idle = client, url, wire, idle
        self._lines = self._split(response, client.max_body)

    def __next__(self) -> bytes:
        try:
            with Troubles(self._url, self._idle):
                self._wire.until = time.monotonic() + self._idle
                return next(self._lines)
        except StopIteration:
            self.close()
            raise
        except Trouble:
            interrupted = self._wire.ended
            self.close()
            if interrupted:  # our own hanging up is an end, not a trouble
                raise StopIteration from None
            raise
        finally:
            self._client._count(self._url, 0, self._wire)  # noqa: SLF001  # as below

    def close(self) -> None:
        """Hang up."""
        self._client._hang_up(self._wire)  # noqa: SLF001  # one idea in two classes: the client owns every connection

    @staticmethod
    def _split(response: http.client.HTTPResponse, limit: int) -> Iterator[bytes]:
        pending = bytearray()
        while piece := response.read1(CHUNK):
            searched = len(pending)
            pending += piece
            while (end := pending.find(b"\n", searched)) >= 0:
                line = bytes(pending[:end]).rstrip(b"\r")
                del pending[: end + 1]
                searched = 0
                if line:
                    yield line
            if len(pending) > limit:
                raise Trouble(Reason.TOO_LARGE, f"a line of the stream is longer than {limit} bytes")
        refuse_cut(response)
        if pending:
            yield bytes(pending)


class _Token:
    """A bearer token in a file that somebody else renews."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._value = ""
        self._read_at = float("-inf")

    def current(self) -> str:
        """Give the token, at most a minute old. Raises Trouble MISSING, PERMISSION or MALFORMED, never with its text."""
        if time.monotonic() - self._read_at >= TOKEN_AGE:
            self.renew()
        return self._value

    def renew(self) -> bool:
        """Read the file now and say whether the token is another one."""
        remedy = "mount the service account's token, or name another file"
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123  # Path.read_bytes has no bound
                value = file.read(CHUNK).decode("ascii", "replace").strip()
        except PermissionError:
            raise Trouble(Reason.PERMISSION, f"{self._path}: not readable", remedy) from None
        except OSError:
            raise Trouble(Reason.MISSING, f"{self._path}: no token there", remedy) from None
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise Trouble(Reason.MALFORMED, f"{self._path}: does not hold one token", remedy)
        changed, self._value, self._read_at = value != self._value, value, time.monotonic()
        return changed


def trust_file(ca_file: str) -> ssl.SSLContext:
    """Trust the PEM certificates in `ca_file` and no others. Raises Trouble MISSING, PERMISSION or MALFORMED."""
    remedy = "name a readable file of PEM certificates"
    try:
        return ssl.create_default_context(cafile=ca_file)
    except FileNotFoundError:
        raise Trouble(Reason.MISSING, f"{ca_file}: no such file", remedy) from None
    except PermissionError:
        raise Trouble(Reason.PERMISSION, f"{ca_file}: not readable", remedy) from None
    except OSError:  # with ssl.SSLError
        raise Trouble(Reason.MALFORMED, f"{ca_file}: not a file of PEM certificates", remedy) from None
