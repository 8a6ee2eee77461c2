# SPDX-License-Identifier: Apache-2.0
"""HTTP on loopback for the simulated API server and engines: one thread accepts for all ports, each connection has its own."""

import json
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_IDLE = 60.0  # seconds that a connection may say nothing


class Exchange(BaseHTTPRequestHandler):
    """One connection's requests; `site` answers them. The base class reads them in its constructor."""

    protocol_version = "HTTP/1.1"
    server_version = "Simulated"
    sys_version = ""
    timeout = _IDLE
    disable_nagle_algorithm = True

    def __init__(self, connection: socket.socket, peer: Any, web: "Web", site: "Site") -> None:
        self._site = site
        self.stopped = web.stopped
        super().__init__(connection, peer, web)  # type: ignore[arg-type]  # the "server" is only handed through

    @property
    def route(self) -> str:
        """The path without its query."""
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(urlsplit(self.path).query))

    def do_GET(self) -> None:  # the base class's name
        """Answer a GET."""
        try:
            self._site(self)
        except ValueError as error:  # a parameter that is no number
            self.reply_json(400, {"message": str(error)})

    def reply(self, status: int, body: bytes, content_type: str) -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reply_json(self, status: int, value: Mapping[str, Any]) -> None:
        """Send JSON."""
        self.reply(status, json.dumps(value).encode() + b"\n", "application/json")

    def begin_stream(self, content_type: str) -> None:
        """Start a chunked answer."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        """Send a piece of a chunked answer; an empty one ends it."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Log nothing."""


Site = Callable[[Exchange], None]


class Web:
    """Ports on 127.0.0.1 that come and go while it runs; `stop` ends every connection and thread."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._sites: dict[int, Site] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._connections: dict[socket.socket, tuple[int, threading.Thread]] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._accept_for_ever, name="simulated http", daemon=True)
        self._thread.start()

    def open(self, site: Site, port: int = 0) -> int:
        """Serve a site on a port; 0 lets the system choose one. Returns the port."""
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        listener.setblocking(False)
        port = int(listener.getsockname()[1])
        with self._lock:
            self._sites[port] = site
            self._listeners[port] = listener
            self._selector.register(listener, selectors.EVENT_READ, port)
        return port

    def close(self, port: int) -> None:
        """Refuse the port from now on, and cut its connections."""
        with self._lock:
            listener = self._listeners.pop(port)
            self._selector.unregister(listener)
            listener.close()
            for connection, (served, _) in self._connections.items():
                if served == port:
                    with suppress(OSError):  # it may just have ended by itself
                        connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Close all ports and connections and wait for their threads."""
        self.stopped.set()
        self._waker.send(b"x")
        self._thread.join(5)
        threads = [thread for _, thread in list(self._connections.values())]
        for port in list(self._listeners):
            self.close(port)
        for thread in threads:
            thread.join(5)
        self._selector.close()
        self._wake.close()
        self._waker.close()

    def _accept_for_ever(self) -> None:
        while not self.stopped.is_set():
            for key, _ in self._selector.select():
                if key.fileobj is self._wake:
                    return
                with suppress(OSError), self._lock:  # the port may just have closed
                    if listener := self._listeners.get(key.data):
                        self._take(key.data, *listener.accept())

    def _take(self, port: int, connection: socket.socket, peer: Any) -> None:
        connection.setblocking(True)  # the standard library's own signature
        thread = threading.Thread(target=self._serve, args=(port, connection, peer), name="simulated http", daemon=True)
        self._connections[connection] = (port, thread)
        thread.start()

    def _serve(self, port: int, connection: socket.socket, peer: Any) -> None:
        try:
            with suppress(OSError):  # the client, or `close`, hung up
                Exchange(connection, peer, self, self._sites[port])
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()
