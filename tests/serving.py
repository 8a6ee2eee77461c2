# SPDX-License-Identifier: Apache-2.0
"""The endpoint on a port of its own, and how tests ask it."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inferometer import config
from inferometer.model import Resource, Snapshot
from inferometer.server import Published, Reviews, Server, Tally
from inferometer.server.pages import Alive
from inferometer.server.published import Render

PAGE = b"".join(b'up{n="%d"} 1\n' % n for n in range(5000))
OPENMETRICS = PAGE + b"# EOF\n"
SNAPSHOT = Snapshot(at=1.0, steady=1.0, node=Resource(()))
PATIENCE = 30.0  # seconds; only a hang takes so long

Start = Callable[..., tuple[Server, int]]


def published(*, ready: bool = True) -> Published:
    """Pages of a fixed text."""
    forms: dict[str, Render] = {
        "text": lambda _: PAGE,
        "openmetrics": lambda _: OPENMETRICS,
        "html": lambda _: b"<p>hello",
        "dcgm": lambda _: PAGE,
    }
    pages = Published(forms)
    if ready:
        pages.publish(SNAPSHOT)
    return pages


@contextmanager
def starting() -> Iterator[Start]:
    """Give what starts servers; they end with the block."""
    servers: list[Server] = []

    def start_one(
        pages: Published | None = None,
        alive: Alive = lambda: (True, "ok"),
        max_connections: int = 64,
        timeout: float = 10.0,
        tls: config.ServerTls | None = None,
        auth: config.ServerAuth | None = None,
        tally: Tally | None = None,
        reviews: Reviews | None = None,
    ) -> tuple[Server, int]:
        settings = config.Server(
            listen="127.0.0.1:0",
            max_connections=max_connections,
            timeout=config.Seconds(timeout),
            tls=tls or config.ServerTls(),
            auth=auth or config.ServerAuth(),
        )
        server = Server(settings, pages or published(), alive, tally, reviews)
        server.start()
        servers.append(server)
        return server, int(server.url.rpartition(":")[2])

    try:
        yield start_one
    finally:
        for server in servers:
            server.close()


def ask(
    port: int, path: str = "/metrics", method: str = "GET", trust: ssl.SSLContext | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """Ask once; by TLS where it is said whom to trust."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=trust)
        if trust
        else http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    )
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def say(port: int, data: bytes) -> bytes:
    """Send raw bytes and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65536), b""))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "the condition never came true"
        time.sleep(0.005)
