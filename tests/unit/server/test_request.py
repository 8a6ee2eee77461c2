# SPDX-License-Identifier: Apache-2.0
"""Reading requests: what is served, and what is refused with which status."""

import pytest

from inferometer.server.request import MAX_HEAD, MAX_LINE, Refusal, take_request

HOST = b"Host: node:9466\r\n"


def test_a_request_is_taken_off_the_front_of_the_buffer() -> None:
    """Method, path without query, and headers are read; the next request's bytes stay."""
    buffer = bytearray(b"GET /metrics?name=x HTTP/1.1\r\n" + HOST + b"ACCEPT: a\r\nAccept:  b \r\n\r\nGET / HT")
    request = take_request(buffer)
    assert request == ("GET", "/metrics", {"host": "node:9466", "accept": "a, b"}, True)
    assert buffer == b"GET / HT"


@pytest.mark.parametrize("cut", range(1, 40))
def test_an_incomplete_request_is_waited_for(cut: int) -> None:
    """A head that is cut anywhere is no request yet, and nothing is lost of it."""
    whole = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    buffer = bytearray(whole[: min(cut, len(whole) - 1)])
    before = bytes(buffer)
    assert take_request(buffer) is None
    assert bytes(buffer) == before


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST, True),
        (b"GET / HTTP/1.1\r\nConnection: Keep-Alive, Close\r\n" + HOST, False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n" + HOST, False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST, False),
        (b"GET / HTTP/1.1\r\nContent-Length: 0\r\n" + HOST, True),
    ],
)
def test_the_connection_stays_only_where_no_byte_can_be_mistaken(head: bytes, keep: bool) -> None:
    """HTTP/1.0, `close` and every request with a body end the connection after the answer."""
    request = take_request(bytearray(head + b"\r\n"))
    assert request is not None
    assert request.keep is keep


@pytest.mark.parametrize("target", [b"http://node:9466/metrics", b"/metrics?a=b", b"HTTP://node/metrics?x"])
def test_absolute_targets_and_queries_are_understood(target: bytes) -> None:
    """A proxy's absolute target and any query lead to the same path."""
    request = take_request(bytearray(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n"))
    assert request is not None
    assert request.path == "/metrics"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400),  # a TLS client hello
        (b"nonsense\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),  # HTTP/0.9
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nHost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET /" + b"a" * MAX_LINE, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_nonsense_is_refused_with_its_status(data: bytes, status: int) -> None:
    """What is malformed, too long or of another protocol is refused as soon as it shows."""
    with pytest.raises(Refusal) as refusal:
        take_request(bytearray(data))
    assert refusal.value.status == status
