# SPDX-License-Identifier: Apache-2.0
"""One HTTP/1.1 connection under a total deadline, and its answers read within bounds; what the client is built on."""

import base64
import contextlib
import http.client
import io
import select
import socket
import ssl
import time
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from inferometer.model import Reason, Trouble

CHUNK = 64 << 10  # bytes read, or inflated, at once
REDIRECTS = frozenset({301, 302, 303, 307, 308})
OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A peer that vanished without a word, under a stream that may be silent, is found within a minute.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class Origin(NamedTuple):
    """Whom a connection is to."""

    scheme: str
    host: str
    port: int


class Request(NamedTuple):
    """One question. `url` is as configured and only for messages; `target` is what goes on the request line."""

    method: str
    url: str
    origin: Origin
    target: str
    body: bytes | None
    headers: Mapping[str, str]


def request(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Request:
    """Take a URL apart; its user information becomes an Authorization header (RFC 7617).

    Raises:
        Trouble: MALFORMED, if it is no http or https URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urllib.parse.SplitResult("", "", "", "", ""), 0
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Trouble(Reason.MALFORMED, f"{shown(url)}: not an http:// or https:// URL", "write http://host:port/path")
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode(), **headers}
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(method, url, Origin(parts.scheme, parts.hostname, port), target, body, headers)


def shown(url: str) -> str:
    """Give a URL as messages may show it: without user, password and the values of its query."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "a URL that cannot be parsed"
    place = parts.netloc.rpartition("@")[2]
    query = "&".join(f"{pair.partition('=')[0]}=..." for pair in parts.query.split("&") if pair)
    return urllib.parse.urlunsplit((parts.scheme, place, parts.path, query, ""))


class Wire:
    """One connection with one moment, `until` (monotonic), by which whatever happens on it has to be over."""

    def __init__(self, origin: Origin, trust: ssl.SSLContext | None, until: float) -> None:
        self.origin = origin
        self.until = until
        self.answered = False  # whether the newest request has brought any byte
        self.ended = False  # whether we hung up
        self._received = 0  # bytes, since somebody asked
        self._cut = False  # whether the peer has hung up
        self._socket = self._connect(trust if origin.scheme == "https" else None)
        self._http = http.client.HTTPConnection(origin.host, origin.port)
        self._http.auto_open = 0
        self._http.default_port = 443 if origin.scheme == "https" else 80  # the Host header leaves the default out

    def _connect(self, trust: ssl.SSLContext | None) -> socket.socket:
        found = socket.getaddrinfo(self.origin.host, self.origin.port, type=socket.SOCK_STREAM)
        for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
            plain = socket.socket(family, kind, protocol)
            try:
                plain.settimeout(self._left() / left)  # a black hole must not eat the next address's time
                plain.connect(address)
                for level, option, value in OPTIONS:
                    plain.setsockopt(level, option, value)
                plain.settimeout(self._left())
                return trust.wrap_socket(plain, server_hostname=self.origin.host) if trust else plain
            except BaseException as error:
                plain.close()
                if left == 1 or not isinstance(error, OSError):
                    raise
        raise socket.gaierror(socket.EAI_NONAME, "no address")

    def ask(self, asked: Request) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer. Refuses a redirect: a token must not travel on."""
        self.answered = self._cut = False
        self._http.sock = self  # http.client needs no more of a socket than makefile, sendall and close
        self._http.request(asked.method, asked.target, asked.body, dict(asked.headers))
        response = self._http.getresponse()
        if self._cut:  # http.client takes an end inside the head for the end of the head
            raise Trouble(Reason.MALFORMED, "the answer was cut off in its head")
        if response.status in REDIRECTS:
            there = shown(response.headers.get("Location", ""))
            raise Trouble(Reason.REJECTED, f"redirects to {there!r}, which is not followed", "configure that URL")
        return response

    def received(self) -> int:
        """Give how many bytes came since this was asked before, heads and all, TLS aside."""
        count, self._received = self._received, 0
        return count

    def is_quiet(self) -> bool:
        """Whether an idle connection is still open: between questions, anything to read is a hang-up."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def interrupt(self) -> None:
        """End a read that blocks in another thread; that thread then closes the descriptor, which must not be reused."""
        self.ended = True
        with contextlib.suppress(OSError):  # it may be closed already
            # SSLSocket.shutdown would drop its TLS state under the reading thread; the plain one does not.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def hang_up(self) -> None:
        """Close for good, from the thread that reads."""
        self.ended = True
        self._socket.close()

    def _left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    # What http.client asks of a socket:

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give the reader of one answer."""
        return io.BufferedReader(_Reader(self), CHUNK)

    def sendall(self, data: bytes) -> None:
        """Send all of `data` before `until`."""
        view = memoryview(data)
        while view:
            self._socket.settimeout(self._left())
            view = view[self._socket.send(view) :]

    def receive(self, buffer: memoryview) -> int:
        """Read what is there into `buffer` before `until`."""
        self._socket.settimeout(self._left())
        count = self._socket.recv_into(buffer)
        self.answered, self._cut = self.answered or count > 0, count == 0
        self._received += count
        return count

    def close(self) -> None:
        """Do nothing: http.client calls this as soon as it knows that the body is the last, before it is read."""


class _Reader(io.RawIOBase):
    """The raw side of one answer's reader."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io passes nothing but memoryviews
        return self._wire.receive(buffer)


def fields(response: http.client.HTTPResponse) -> Mapping[str, str]:
    """Give the header fields, names in lower case, repeated ones joined (RFC 9110 section 5.2)."""
    found: dict[str, str] = {}
    for key, value in response.headers.items():
        name = key.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def read_body(response: http.client.HTTPResponse, limit: int) -> bytes:
    """Read the whole body, decompressed. Neither side of the decompression may exceed `limit` bytes."""
    if response.length is not None and response.length > limit:
        raise _too_large(limit)
    body, size = [], 0
    for piece in _inflated(response, limit) if is_compressed(response) else _plain(response):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        body.append(piece)
    return b"".join(body)


def is_compressed(response: http.client.HTTPResponse) -> bool:
    """Whether the body has to be inflated. Raises Trouble MALFORMED for an encoding that nobody asked for."""
    encoding = str(response.headers.get("Content-Encoding", "identity")).strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise Trouble(Reason.MALFORMED, f"answers in the content encoding {encoding[:40]!r}, which was not asked for")
    return encoding not in {"identity", ""}


def refuse_cut(response: http.client.HTTPResponse) -> None:
    """Raise Trouble MALFORMED if the peer hung up before what its Content-Length promised."""
    if response.length:
        raise Trouble(Reason.MALFORMED, f"the answer was cut off {response.length} bytes early")


def _plain(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(CHUNK):
        yield piece
    refuse_cut(response)


def _inflated(response: http.client.HTTPResponse, limit: int) -> Iterator[bytes]:
    """Inflate gzip (members may follow one another, RFC 1952 section 2.2) or zlib, a bounded piece at a time."""
    either = zlib.MAX_WBITS | 32  # the header says which of the two
    inflater, begun, taken = zlib.decompressobj(either), False, 0
    for packed in _plain(response):
        taken += len(packed)
        if taken > limit:
            raise _too_large(limit)
        rest = packed
        while rest:
            try:
                piece = inflater.decompress(rest, CHUNK)
            except zlib.error:
                raise Trouble(Reason.MALFORMED, "the compressed answer is damaged") from None
            begun = True
            if piece:
                yield piece
            rest = inflater.unconsumed_tail
            if inflater.eof:
                rest, inflater, begun = inflater.unused_data, zlib.decompressobj(either), False
    while begun and (piece := inflater.decompress(b"", CHUNK)):  # output held back when its input was used up
        yield piece
    if begun and not inflater.eof:
        raise Trouble(Reason.MALFORMED, "the compressed answer was cut off")


def _too_large(limit: int) -> Trouble:
    return Trouble(Reason.TOO_LARGE, f"the answer is larger than {limit} bytes", "raise the limit if the page is right")


class Troubles:
    """Turns what can go wrong in a `with` block into a Trouble that names the URL and shows no secret."""

    def __init__(self, url: str, deadline: float) -> None:
        self._url = url
        self._deadline = deadline

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            return
        reason, text, remedy = _explain(error, self._deadline)
        # Not chained: http.client's own messages quote header values, and a header may be a token.
        raise Trouble(reason, f"{shown(self._url)}: {text}", remedy) from None


def _explain(error: Exception, deadline: float) -> tuple[Reason, str, str]:
    """Name what happened: reason, text, remedy."""
    match error:
        case Trouble():
            return error.reason, error.message, error.remedy
        case TimeoutError():
            return Reason.TIMEOUT, f"no complete answer within {round(deadline, 2):g} s", "see whether the server hangs"
        case socket.gaierror():
            return Reason.MISSING, "the host's name does not resolve", "correct the name"
        case ssl.SSLCertVerificationError():
            return Reason.REFUSED, f"its certificate is not trusted: {error.verify_message}", "name its CA file"
        case ssl.SSLError() if not isinstance(error, ssl.SSLEOFError):
            return Reason.MALFORMED, "does not speak TLS as it should", "see whether the port speaks https"
        case ConnectionRefusedError():
            return Reason.REFUSED, "nobody listens there", "start the server, or correct the address"
        case ConnectionError() | ssl.SSLEOFError():  # with http.client's RemoteDisconnected
            return Reason.REFUSED, "closed the connection", "see the server's log"
        case OSError():
            return Reason.REFUSED, f"no connection: {error.strerror or type(error).__name__}", "check the network"
        case http.client.IncompleteRead():
            return Reason.MALFORMED, "the answer was cut off", "see the server's log"
        case http.client.LineTooLong():
            return Reason.TOO_LARGE, "its headers are too large", ""
        case http.client.HTTPException() if "headers" in str(error):  # "got more than 100 headers"
            return Reason.TOO_LARGE, "it sends too many headers", ""
        case http.client.HTTPException():
            return Reason.MALFORMED, "does not answer in HTTP", "see whether the port speaks HTTP"
        case ValueError():
            return Reason.MALFORMED, "the URL, a header to send or the answer is not valid HTTP", ""
        case _:
            return Reason.INTERNAL, f"{type(error).__name__} in the client", "report it"
