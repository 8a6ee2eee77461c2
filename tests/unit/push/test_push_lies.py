# SPDX-License-Identifier: Apache-2.0
"""Receivers whose answers are not what the protocol promises: too long, cut off, compressed by name only."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # noqa: TID251  # a receiver that answers with other bytes than the protocol's
import pytest

from inferometer import config
from inferometer.model import Reason
from inferometer.push.answer import Verdict
from inferometer.push.opening import open_sender
from inferometer.push.settings import resolve
from otlp_receiver import METHOD, Answer, HttpReceiver

OK = b"HTTP/1.1 200 OK\r\n"


def send(url: str, protocol: str = "http/protobuf") -> Verdict:
    settings, _ = resolve(config.Otlp(endpoint=url, protocol=protocol, compression="none"), {})  # type: ignore[arg-type]  # it is one
    assert settings is not None
    sender = open_sender(settings)
    try:
        return sender.send(sender.pack(b""), 10)
    finally:
        sender.close()


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """Answer each connection with these bytes, and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(10)
                    connection.recv(65_536)
                    connection.sendall(raw)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.REFUSED),
        (b"HTTP/1.1 2", Reason.MALFORMED),
        (OK + b"Content-Le", Reason.MALFORMED),
        (OK + b"Content-Length: 10\r\n\r\n\x0a", Reason.MALFORMED),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno", Reason.MALFORMED),
        (OK + b"Content-Encoding: br\r\nContent-Length: 0\r\n\r\n", Reason.MALFORMED),
        (b"220 smtp.example.com ESMTP\r\n", Reason.MALFORMED),
    ],
)
def test_an_answer_that_does_not_arrive_is_none(raw: bytes, reason: Reason) -> None:
    """Whether the receiver has taken the request is not known, so the same may be sent again."""
    with answering(raw) as url:
        verdict = send(url)
    assert (verdict.reason, verdict.retry, verdict.wait) == (reason, True, None)


def test_a_long_answer_does_not_mean_that_the_request_is_too_large() -> None:
    """A page in the place of an answer is not read to its end, makes no request smaller, and is not asked for again."""
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(body=b"x" * 2_000_000))
        verdict = send(receiver.url)
    assert (verdict.reason, verdict.retry) == (Reason.MALFORMED, False)


def test_a_long_answer_by_grpc_does_not_either() -> None:
    """The core of gRPC calls it RESOURCE_EXHAUSTED, as receivers call a request that is too large."""

    def export(_request: bytes, _context: Any) -> bytes:
        return b"\x0a" * 2_000_000

    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(export)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD, {"Export": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            verdict = send(f"http://127.0.0.1:{port}", "grpc")
        finally:
            server.stop(None).wait(10)
    assert (verdict.reason, verdict.retry) == (Reason.MALFORMED, False)


def test_a_redirect_is_not_followed_with_the_headers() -> None:
    """A token must not travel on; the receiver's address has to be corrected by a person."""
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(307, headers=(("Location", "http://127.0.0.1:9/"),)))
        verdict = send(receiver.url)
    assert (verdict.reason, verdict.retry) == (Reason.REJECTED, False)
    assert "127.0.0.1:9" in verdict.message
