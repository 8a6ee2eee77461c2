# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: one thread per connection, all of them counted and bounded, on the standard library's sockets."""

import logging
import socket
import threading
import time
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus

from inferometer import __version__, config
from inferometer.server.address import listen_on
from inferometer.server.pages import Alive, Answer, Pages, refuse
from inferometer.server.published import Published
from inferometer.server.request import Refusal, Request, take_request

log = logging.getLogger(__name__)

_IDLE = 180.0  # seconds a connection may wait between requests: longer than the scrape intervals in use
_LINGER = 1.0  # seconds for a refused client to take its answer; a reset would destroy it on the way
_PIECE = 16 * 1024


class _Connection:
    """One client's socket, and since when it waits for a request (monotonic; None while one is served)."""

    def __init__(self, client: socket.socket, peer: object) -> None:
        self.socket = client
        self.peer = peer
        self.buffer = bytearray()
        self.idle_since: float | None = time.monotonic()

    def end(self) -> None:
        """Make its thread see the end of the connection, wherever it waits."""
        with suppress(OSError):  # the client was faster
            self.socket.shutdown(socket.SHUT_RDWR)


class Server:
    """The endpoint of `config.Server`: GET and HEAD of /metrics, /healthz, /readyz and /, by HTTP/1.1 with keep-alive.

    At most `max_connections` are served at once. One more takes the place of the connection that has waited longest
    for a request, and is answered 503 where all are busy. A client that takes longer than `timeout` to send a request,
    or to take its answer, is cut off. No request starts any reading of hardware or waits for one.
    """

    def __init__(self, config: config.Server, published: Published, alive: Alive) -> None:
        self._config = config
        self._pages = Pages(published, alive)
        self._connections: dict[_Connection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        self._acceptor = threading.Thread(target=self._accept, name="http", daemon=True)

    def start(self) -> None:
        """Listen, and serve from threads of its own. Raises Trouble, as `listen_on` does, where it cannot."""
        self._listener = listen_on(self._config.listen)
        self._acceptor.start()

    @property
    def url(self) -> str:
        """The address that a client on this machine can use, with the real port. Only after `start`."""
        if self._listener is None:
            raise RuntimeError("the server has not been started")
        host, port = self._listener.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Stop listening, end every connection and wait for the threads, for a second at most."""
        self._closing.set()
        until = time.monotonic() + 1.0
        if self._listener is None:
            return
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which closing alone does not
        self._acceptor.join(max(0.0, until - time.monotonic()))
        self._listener.close()
        with self._lock:
            open_now = dict(self._connections)
        for connection in open_now:
            connection.end()
        for thread in open_now.values():
            thread.join(max(0.0, until - time.monotonic()))

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and not self._closing.is_set():
            try:
                client, peer = listener.accept()
            except OSError as error:
                log.debug("Cannot accept a connection: %s", error)
                self._closing.wait(0.05)  # out of file descriptors, most likely: others have to end first
                continue
            connection = _Connection(client, peer)
            if not self._make_room():
                self._turn_away(connection)
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="http connection", daemon=True)
            with self._lock:
                self._connections[connection] = thread
            try:
                thread.start()
            except RuntimeError as error:  # no more threads to be had
                log.debug("Cannot start a thread: %s", error)
                self._forget(connection)

    def _make_room(self) -> bool:
        """Say whether one more may be served; the one that has been idle longest ends for it, as keep-alive allows."""
        with self._lock:
            if len(self._connections) < self._config.max_connections:
                return True
            idle = [(c.idle_since, c) for c in self._connections if c.idle_since is not None]
            if not idle:
                return False
            oldest = min(idle, key=lambda pair: pair[0])[1]
            del self._connections[oldest]
        oldest.end()
        return True

    def _turn_away(self, connection: _Connection) -> None:
        connection.socket.settimeout(0)  # it is the accepting thread: never wait for the client
        answer = refuse(Refusal(503, f"More than {self._config.max_connections} connections are busy."))
        with suppress(OSError):
            connection.socket.sendmsg(_frame(answer, body=True, keep=False))
        connection.socket.close()

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.pop(connection, None)
        connection.socket.close()

    def _serve(self, connection: _Connection) -> None:
        try:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._closing.is_set() and self._serve_one(connection):
                pass
        except OSError as error:  # it hung up, or was slower than allowed
            log.debug("The connection from %s ended: %s", connection.peer, error)
        finally:
            self._forget(connection)

    def _serve_one(self, connection: _Connection) -> bool:
        """Serve one request and say whether another may follow. Raises OSError when the client is gone or too slow."""
        try:
            request = self._read(connection)
        except Refusal as refusal:
            self._send(connection, _frame(refuse(refusal), body=True, keep=False))
            _linger(connection.socket)
            return False
        if request is None:
            return False
        frame = _frame(self._pages.answer(request), body=request.method != "HEAD", keep=request.keep)
        self._send(connection, frame)
        if not request.keep:
            _linger(connection.socket)
        return request.keep

    def _read(self, connection: _Connection) -> Request | None:
        """Read one request; None when the client has nothing more to ask. Raises Refusal and OSError."""
        connection.socket.settimeout(_IDLE)
        until = None
        while True:
            if connection.buffer:
                connection.idle_since = None
                until = until or time.monotonic() + self._config.timeout
                request = take_request(connection.buffer)
                if request is not None:
                    return request
                left = until - time.monotonic()
                if left <= 0:
                    raise Refusal(408, "The request took too long.")
                connection.socket.settimeout(left)
            else:
                connection.idle_since = time.monotonic()
            try:
                piece = connection.socket.recv(_PIECE)
            except TimeoutError:
                if not connection.buffer:
                    return None
                continue
            if not piece:
                return None
            connection.buffer += piece

    def _send(self, connection: _Connection, parts: tuple[bytes, bytes]) -> None:
        connection.socket.settimeout(self._config.timeout)
        sent = connection.socket.sendmsg(parts)
        if sent < len(parts[0]):
            connection.socket.sendall(parts[0][sent:])
            sent = len(parts[0])
        rest = memoryview(parts[1])[sent - len(parts[0]) :]
        if rest:
            connection.socket.sendall(rest)  # its timeout is for the whole, however slowly the client drinks


def _frame(answer: Answer, *, body: bool, keep: bool) -> tuple[bytes, bytes]:
    """Write an answer's head, and give its body apart: a large page is never copied."""
    status = HTTPStatus(answer.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Server: inferometer/{__version__}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), answer.body if body else b""


def _linger(client: socket.socket) -> None:
    """Close our side and read on a little: closing over unread bytes would reset the answer away (RFC 9112 section 9.6)."""
    client.shutdown(socket.SHUT_WR)
    until = time.monotonic() + _LINGER
    while (left := until - time.monotonic()) > 0:
        client.settimeout(left)
        if not client.recv(_PIECE):
            return
