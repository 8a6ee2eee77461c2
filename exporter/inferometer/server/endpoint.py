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
from inferometer.server.certificates import Certificate, Identity, watch_certificates
from inferometer.server.channel import Channel
from inferometer.server.gate import Gate
from inferometer.server.pages import Alive, Answer, Pages, turn_away
from inferometer.server.published import Published
from inferometer.server.request import Refusal, Request, take_request
from inferometer.server.reviews import Reviews
from inferometer.server.tally import BUSY, HANDSHAKE, Tally

log = logging.getLogger(__name__)

_IDLE = 180.0  # seconds a connection may wait between requests: longer than the scrape intervals in use


class _Connection:
    """One client's channel, and since when it waits for a whole request (monotonic; None while one is served)."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.buffer = bytearray()
        self.waits_since: float | None = time.monotonic()


class Server:
    """The endpoint of `config.Server`: GET and HEAD of /metrics, /healthz, /readyz and /, by HTTP/1.1 with keep-alive.

    At most `max_connections` are served at once. One more takes the place of the connection that has waited longest
    for a request, or for the rest of one, and is answered 503 where all are busy. A client that takes longer than `timeout`
    for its TLS handshake, to send a request, or to take its answer, is cut off. No request starts any reading of hardware or
    waits for one.

    Args:
        config: where it listens, its TLS, and whom it lets in.
        published: the newest snapshot's pages.
        alive: whether the process does its work, and a sentence about it.
        tally: counts whoever is turned away.
        reviews: the API server's opinion of tokens; None where it is not asked.

    Raises Trouble (MALFORMED, MISSING) for a configuration that makes no sense.
    """

    def __init__(
        self,
        config: config.Server,
        published: Published,
        alive: Alive,
        tally: Tally | None = None,
        reviews: Reviews | None = None,
    ) -> None:
        self._config = config
        self._tally = tally or Tally()
        self._certificates = watch_certificates(config.tls, lambda: self._tally.count_file("certificate"))
        self._gate = Gate(config, self._tally.count_file, reviews)
        self._pages = Pages(published, alive, self._gate, self._tally)
        self._connections: dict[_Connection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        self._acceptor = threading.Thread(target=self._accept, name="http", daemon=True)

    def prepare(self) -> None:
        """Read its files and make what asks the API server, without listening yet. Raises Trouble where that cannot be."""
        if self._certificates:
            self._certificates.newest()
        self._gate.open()

    def start(self) -> None:
        """Listen, and serve from threads of its own. Raises Trouble, as `prepare` and `listen_on` do."""
        self.prepare()
        if self._config.auth != config.ServerAuth() and not self._certificates:
            log.warning("server.auth without server.tls: whoever listens on the network can read the credentials")
        self._listener = listen_on(self._config.listen)
        self._acceptor.start()

    @property
    def url(self) -> str:
        """The address that a client on this machine can use, with the real port. Only after `start`."""
        if self._listener is None:
            raise RuntimeError("the server has not been started")
        host, port = self._listener.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)
        scheme = "https" if self._certificates else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def close(self) -> None:
        """Stop listening, end every connection and wait for the threads, for a second at most."""
        self._closing.set()
        until = time.monotonic() + 1.0
        self._gate.close()
        if self._listener is None:
            return
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which closing alone does not
        self._acceptor.join(max(0.0, until - time.monotonic()))
        self._listener.close()
        with self._lock:
            open_now = dict(self._connections)
        for connection in open_now:
            connection.channel.end()
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
            try:
                connection = _Connection(Channel(client, peer))
            except OSError:  # it is gone already
                client.close()
                continue
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
        """Say whether one more may be served; the one that has waited longest ends for it, as keep-alive allows."""
        with self._lock:
            if len(self._connections) < self._config.max_connections:
                return True
            waiting = [(c.waits_since, c) for c in self._connections if c.waits_since is not None]
            if not waiting:
                return False
            oldest = min(waiting, key=lambda pair: pair[0])[1]
            del self._connections[oldest]
        oldest.channel.end()
        return True

    def _turn_away(self, connection: _Connection) -> None:
        """Refuse a connection, from the accepting thread: never wait for the client."""
        self._tally.count_refusal(BUSY)
        answer = turn_away(Refusal(503, f"More than {self._config.max_connections} connections are busy."))
        # To say it by TLS takes a handshake.
        connection.channel.turn_away(*(_frame(answer, body=True, keep=False) if not self._certificates else (b"", b"")))

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.pop(connection, None)
        connection.channel.close()

    def _serve(self, connection: _Connection) -> None:
        try:
            if self._certificates and not self._shake_hands(connection, self._certificates.newest()):
                return
            while not self._closing.is_set() and self._serve_one(connection):
                pass
        except OSError as error:  # it hung up, or was slower than allowed
            log.debug("The connection from %s ended: %s", connection.channel.peer, error)
        finally:
            self._forget(connection)

    def _shake_hands(self, connection: _Connection, identity: Identity) -> bool:
        try:
            connection.channel.shake_hands(identity, self._config.timeout)
        except OSError as error:
            self._tally.count_refusal(HANDSHAKE)
            log.debug("No TLS with %s: %s", connection.channel.peer, error)
            return False
        return True

    def _serve_one(self, connection: _Connection) -> bool:
        """Serve one request and say whether another may follow. Raises OSError when the client is gone or too slow."""
        try:
            request = self._read(connection)
        except Refusal as refusal:
            self._send(connection, self._pages.refuse(refusal), body=True, keep=False)
            return False
        if request is None:
            return False
        answer = self._pages.answer(request, self._certificate(connection))
        keep = request.keep and self._is_current(connection)
        self._send(connection, answer, body=request.method != "HEAD", keep=keep)
        return keep

    def _is_current(self, connection: _Connection) -> bool:
        """Tell whether a new connection would be made alike."""
        return self._certificates is None or connection.channel.identity is self._certificates.newest()

    def _certificate(self, connection: _Connection) -> Certificate | None:
        """Give the client's certificate, as long as its authority is trusted: a kept connection may be older than that."""
        identity = connection.channel.identity
        if self._certificates is None or identity is None:
            return None
        return (
            connection.channel.certificate if identity.authorities == self._certificates.newest().authorities else None
        )

    def _read(self, connection: _Connection) -> Request | None:
        """Read one request; None when the client has nothing more to ask. Raises Refusal and OSError."""
        seconds, until = _IDLE, None
        connection.waits_since = time.monotonic()
        while True:
            if connection.buffer:
                until = until or time.monotonic() + self._config.timeout
                request = take_request(connection.buffer)
                if request is not None:
                    connection.waits_since = None
                    return request
                seconds = until - time.monotonic()
                if seconds <= 0:
                    raise Refusal(408, "The request took too long.")
            try:
                piece = connection.channel.receive(seconds)
            except TimeoutError:
                if not connection.buffer:
                    return None
                continue
            if not piece:
                return None
            connection.buffer += piece

    def _send(self, connection: _Connection, answer: Answer, *, body: bool, keep: bool) -> None:
        connection.channel.send(*_frame(answer, body=body, keep=keep), self._config.timeout)
        if not keep:
            connection.channel.linger()


def _frame(answer: Answer, *, body: bool, keep: bool) -> tuple[bytes, bytes]:
    """Write an answer's head, and give its body apart: a large page is never copied."""
    status = HTTPStatus(answer.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Server: inferometer/{__version__}",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    if status is not HTTPStatus.NOT_MODIFIED:  # it has no content of which these could tell
        lines += [f"Content-Type: {answer.content_type}", f"Content-Length: {len(answer.body)}"]
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), answer.body if body else b""
