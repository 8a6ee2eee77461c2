# SPDX-License-Identifier: Apache-2.0
"""One client's connection, in the clear or by TLS: whatever is done on it ends in bounded time."""

import socket
import ssl
import time
from contextlib import suppress

from inferometer.server.certificates import Certificate, Identity

_LINGER = 1.0  # seconds for a refused client to take its answer; a reset would destroy it on the way
_PIECE = 16 * 1024  # bytes; also the most that one record of TLS holds
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 28\r\n"
    b"Connection: close\r\n\r\nThis port speaks https only\n"
)


class Channel:
    """A client's socket. One thread uses it; any other may `end` it. Times are monotonic seconds."""

    def __init__(self, client: socket.socket, peer: object) -> None:
        self.peer = peer
        self.identity: Identity | None = None  # that it was made with; None in the clear
        self.certificate: Certificate | None = None  # the client's, verified
        self._socket = client
        self._ended = False
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def shake_hands(self, identity: Identity, seconds: float) -> None:
        """Speak TLS from now on. Raises OSError, with ssl.SSLError, for a client that does not, or not in time."""
        secured = identity.context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = secured  # the plain one is an empty shell now,
        if self._ended:  # and may have been ended in vain meanwhile
            raise ConnectionAbortedError("ended before the handshake")
        secured.settimeout(seconds)  # for the whole handshake, however slowly it drips
        try:
            secured.do_handshake()
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                with suppress(OSError):
                    socket.socket.sendall(secured, _PLAIN_ANSWER)
            raise
        self.identity = identity
        self.certificate = secured.getpeercert() or None

    def receive(self, seconds: float) -> bytes:
        """Read what has come; nothing where the client has hung up. Raises OSError, of it TimeoutError."""
        self._socket.settimeout(seconds)
        return self._socket.recv(_PIECE)

    def send(self, head: bytes, body: bytes, seconds: float) -> None:
        """Send both within `seconds` for the whole, however slowly the client drinks. Raises OSError."""
        if self.identity is not None:
            self._send_records(head, body, time.monotonic() + seconds)
            return
        self._socket.settimeout(seconds)
        sent = self._socket.sendmsg((head, body))  # a large page is never copied
        if sent < len(head):
            self._socket.sendall(head[sent:])
            sent = len(head)
        rest = memoryview(body)[sent - len(head) :]
        if rest:
            self._socket.sendall(rest)  # its timeout is for the whole

    def _send_records(self, head: bytes, body: bytes, until: float) -> None:
        """Send record by record: the standard library's `sendall` grants each of them the whole time anew."""
        if len(head) + len(body) <= _PIECE:
            head, body = head + body, b""
        for part in (memoryview(head), memoryview(body)):
            rest = part
            while rest:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the answer was not taken in time")
                self._socket.settimeout(left)
                rest = rest[self._socket.send(rest[:_PIECE]) :]

    def turn_away(self, head: bytes, body: bytes) -> None:
        """Send a short answer in the clear, without ever waiting, and close."""
        self._socket.settimeout(0)
        with suppress(OSError):
            self._socket.sendmsg((head, body))
        self._socket.close()

    def linger(self) -> None:
        """Close our side and read on a little: closing over unread bytes would reset the answer away (RFC 9112 section 9.6)."""
        until = time.monotonic() + _LINGER
        self._say_goodbye()
        socket.socket.shutdown(self._socket, socket.SHUT_WR)
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            if not socket.socket.recv(self._socket, _PIECE):  # what it still says is of no interest, encrypted or not
                return

    def end(self) -> None:
        """Make the thread that uses it see the end of the connection, wherever it waits."""
        self._ended = True
        with suppress(OSError):  # the client was faster
            # SSLSocket.shutdown would drop its TLS state under the thread that reads; the plain one does not.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close for good, from the thread that uses it."""
        self._say_goodbye()
        self._socket.close()

    def _say_goodbye(self) -> None:
        """Send TLS' close_notify, without waiting for the client's: then it knows that nothing was cut off."""
        if self.identity is not None and isinstance(self._socket, ssl.SSLSocket):
            self._socket.settimeout(0)
            with suppress(OSError, ValueError):  # it hung up, or its answer would have to be waited for
                self._socket.unwrap()
