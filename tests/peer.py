# SPDX-License-Identifier: Apache-2.0
"""Peers for HTTP clients: real sockets that behave as told, and short ways to ask them."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from inferometer.client import Client, Response
from inferometer.model import Trouble

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Peer:
    """A server that gives each connection to the next behaviour, and keeps what it was asked."""

    def __init__(self, *behaviours: "Behaviour", tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[bytes] = []
        self._behaviours = iter(behaviours)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str = "/metrics", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def _accept(self) -> None:
        for behaviour in self._behaviours:
            try:
                peer, _ = self._listener.accept()
                self._open.append(peer)
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer, behaviour), daemon=True).start()

    def _serve(self, peer: socket.socket, behaviour: "Behaviour") -> None:
        with suppress(OSError):
            if self._tls is not None:
                peer = self._tls.wrap_socket(peer, server_side=True)
            with peer:
                behaviour(self, peer)

    def question(self, peer: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = peer.recv(65536)
            if not piece:
                raise ConnectionError
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line[15:]):
                    body += peer.recv(65536)
        self.asked.append(head + b"\r\n\r\n" + body)
        return head

    def close(self) -> None:
        self._listener.close()
        for peer in self._open:
            with suppress(OSError):
                socket.socket.shutdown(peer, socket.SHUT_RDWR)


Behaviour = Callable[[Peer, socket.socket], None]


@contextmanager
def peer_with(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A peer that treats each new connection by the next behaviour."""
    with closing(Peer(*behaviours, tls=tls)) as peer:
        yield peer


@contextmanager
def peer_of(*answers: bytes, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A peer that answers each new connection with the next bytes, and then hangs up."""
    with peer_with(*map(in_turn, answers), tls=tls) as peer:
        yield peer


def in_turn(*answers: bytes) -> Behaviour:
    """Answer several requests on one connection, then hang up."""

    def run(peer: Peer, connection: socket.socket) -> None:
        for sent in answers:
            peer.question(connection)
            connection.sendall(sent)

    return run


def endless(start: bytes, block: bytes) -> Behaviour:
    def run(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(start)
        while True:
            connection.sendall(block)

    return run


def silent(peer: Peer, connection: socket.socket) -> None:
    peer.question(connection)
    connection.recv(1)


def client(deadline: float = 30.0, max_body: int = 1 << 20, **more: object) -> "closing[Client]":
    return closing(Client(deadline=deadline, max_body=max_body, **more))  # type: ignore[arg-type]  # the tests pass the right ones


def answer(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def get(url: str, **options: object) -> Response:
    with client(**options) as asking:  # type: ignore[arg-type]  # the tests pass the right ones
        return asking.get(url)


def trouble(url: str, **options: object) -> Trouble:
    with pytest.raises(Trouble) as caught:
        get(url, **options)
    return caught.value


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
        + end
    )
