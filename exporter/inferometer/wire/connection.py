# SPDX-License-Identifier: Apache-2.0
"""One HTTP/1.1 connection under a total deadline."""

import contextlib
import http.client
import io
import select
import socket
import ssl
import sys
import time
from collections.abc import Mapping

from inferometer.model import Reason, Trouble
from inferometer.wire.body import CHUNK
from inferometer.wire.familiar import Coming, Familiar, learn
from inferometer.wire.requests import Origin, Request, shown

REDIRECTS = frozenset({301, 302, 303, 307, 308})
OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A peer that vanished without a word, under a stream that may be silent, is found within a minute.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_SPARE = 2 << 10  # bytes for the head, and by which a page may have grown since the one before
_MOST_AT_ONCE = 4 * CHUNK
_LAST_SENT, _LAST_RECEIVED = 44, 52  # of struct tcp_info, linux/tcp.h: milliseconds since data went, and came
_INFO = 56


class Wire:
    """One connection with one moment, `until` (monotonic), by which whatever happens on it has to be over.

    `server_name` is whom the certificate has to be for, where that is not the host of the URL.
    """

    def __init__(self, origin: Origin, trust: ssl.SSLContext | None, until: float, server_name: str = "") -> None:
        self.origin = origin
        self._server_name = server_name or origin.host
        self.until = until
        self.answered = False  # whether the newest request has brought any byte
        self.ended = False  # whether we hung up
        self._received = 0  # bytes, since somebody asked
        self._cut = False  # whether the peer has hung up
        self._socket = self._connect(trust if origin.scheme == "https" else None)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._asked: Request | None = None  # the newest request that has no body
        self._sent = b""  # and its bytes
        self._pieces: list[bytes] = []  # of the request that http.client sends
        self._first: bytes | None = None  # what came first of the newest answer, if http.client reads it
        self._known: Familiar | None = None  # the head of the answers to that request
        self._ahead = b""  # received, and not yet read by http.client
        self._coming: Coming | None = None
        self._usual = CHUNK  # bytes of an answer
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
                return trust.wrap_socket(plain, server_hostname=self._server_name) if trust else plain
            except BaseException as error:
                plain.close()
                if left == 1 or not isinstance(error, OSError):
                    raise
        raise socket.gaierror(socket.EAI_NONAME, "no address")

    def ask(self, asked: Request) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer. Raises as `answer` does."""
        self.send(asked)
        return self.answer(asked)

    def send(self, asked: Request, limit: int = 0) -> None:
        """Send a request. One without a body that was sent before is not put together again.

        Its answer may then be like the one before, of at most `limit` bytes.
        """
        self.answered = self._cut = False
        self._first = self._coming = None
        if asked == self._asked:
            self._coming = Coming(self._known, limit) if self._known is not None and limit else None
            self._transmit(self._sent)
            return
        self._asked, self._known, self._pieces = None, None, []
        self._http.sock = self  # http.client needs no more of a socket than makefile, sendall and close
        self._http.request(asked.method, asked.target, asked.body, dict(asked.headers))
        self._http.close()  # it forgets the request, whose answer is read below
        pieces, self._pieces = self._pieces, []
        if asked.body is None:
            self._asked, self._sent = asked, b"".join(pieces)

    def answer(self, asked: Request) -> http.client.HTTPResponse:
        """Read the head of the answer. Refuses a redirect: a token must not travel on."""
        response = http.client.HTTPResponse(self, method=asked.method)  # type: ignore[arg-type]  # as above
        response.begin()
        if self._cut:  # http.client takes an end inside the head for the end of the head
            raise Trouble(Reason.MALFORMED, "the answer was cut off in its head")
        if response.status in REDIRECTS:
            there = shown(response.headers.get("Location", ""))
            raise Trouble(Reason.REJECTED, f"redirects to {there!r}, which is not followed", "configure that URL")
        self._known = learn(self._first or b"", response) if asked == self._asked else None
        self._first = b""
        return response

    def familiar(self) -> tuple[Mapping[str, str], bytes] | None:
        """Read an answer that is like the one before; None leaves it to `answer`."""
        while self._coming is not None:
            found = self.take(self._left())
            if found is not None:
                return found
        return None

    def take(self, patience: float) -> tuple[Mapping[str, str], bytes] | None:
        """Read once; give the answer if it is whole. Where it is another than expected `is_expecting` ends."""
        if self._coming is None:
            return None
        self._socket.settimeout(patience)
        piece = self._socket.recv(self._usual)
        self._note(len(piece))
        found = self._coming.add(piece)
        if self._coming.odd:
            self._ahead, self._coming = self._coming.so_far(), None
        elif found is not None:
            self._usual, self._coming = min(max(len(found[1]) + _SPARE, CHUNK), _MOST_AT_ONCE), None
        return found

    def take_there(self) -> tuple[Mapping[str, str], bytes] | None:
        """Do as `take` does, without waiting and without raising: what is wrong is met again by `answer`."""
        try:
            return self.take(0.0)
        except BlockingIOError:
            return None
        except OSError:
            if self._coming is not None:
                self._ahead, self._coming = self._coming.so_far(), None
            return None

    def is_used_to(self, asked: Request) -> bool:
        """Tell whether this was asked here before, in the clear, and answered briefly and as usual."""
        usual = self._known is not None and self._usual < _MOST_AT_ONCE
        return usual and asked == self._asked and self.origin.scheme == "http"

    @property
    def descriptor(self) -> int:
        """The connection's descriptor."""
        return self._socket.fileno()

    @property
    def is_expecting(self) -> bool:
        """Whether an answer like the one before is on its way, as far as is known."""
        return self._coming is not None

    def took(self) -> float:
        """Give the seconds from the newest question to what came last of its answer, wherever that lay since."""
        told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO)
        if len(told) < _INFO:
            return 0.0
        sent, received = (int.from_bytes(told[at : at + 4], sys.byteorder) for at in (_LAST_SENT, _LAST_RECEIVED))
        return max(0.0, (sent - received) / 1000.0)

    def received(self) -> int:
        """Give how many bytes came since this was asked before, heads and all, TLS aside."""
        count, self._received = self._received, 0
        return count

    def is_quiet(self) -> bool:
        """Whether an idle connection is still open: between questions, anything to read is a hang-up."""
        return not self._ahead and not self._poll.poll(0)

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
        self._pieces.append(data)
        self._transmit(data)

    def _transmit(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(self._left())
            view = view[self._socket.send(view) :]

    def receive(self, buffer: memoryview) -> int:
        """Read what is there into `buffer` before `until`."""
        if self._ahead:
            piece, self._ahead = self._ahead[: len(buffer)], self._ahead[len(buffer) :]
            buffer[: len(piece)] = piece
            count = len(piece)
            self._cut = False
        else:
            self._socket.settimeout(self._left())
            count = self._socket.recv_into(buffer)
            self._note(count)
        if self._first is None:
            self._first = bytes(buffer[:count])
        return count

    def _note(self, count: int) -> None:
        self.answered, self._cut = self.answered or count > 0, count == 0
        self._received += count

    def close(self) -> None:
        """Do nothing: http.client calls this as soon as it is told to forget a request, before the answer is read."""


class _Reader(io.RawIOBase):
    """The raw side of one answer's reader."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io passes nothing but memoryviews
        return self._wire.receive(buffer)
