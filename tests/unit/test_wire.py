# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange, with peers that are absent, slow, endless, broken or dishonest."""

import gzip
import itertools
import socket
import threading
import time
import zlib
from contextlib import closing

import pytest

from inferometer.model import Reason, Trouble
from inferometer.wire import shown
from peer import (
    HEAD,
    Behaviour,
    Peer,
    answer,
    chunked,
    client,
    endless,
    get,
    peer_of,
    peer_with,
    silent,
    trouble,
)


def test_whole_answer() -> None:
    """A page comes with its status, its header fields in lower case and its body."""
    with peer_of(answer(b"a 1\n", b"Content-Type: text/plain", b"X-A: 1", b"x-a: 2")) as peer:
        response = get(peer.url())
    assert response == (200, {"content-length": "4", "content-type": "text/plain", "x-a": "1, 2"}, b"a 1\n")


def test_status_is_the_callers() -> None:
    """An error status is an answer like any other."""
    with peer_of(answer(b"no", status=b"503 Service Unavailable")) as peer:
        assert get(peer.url())[::2] == (503, b"no")


def test_question() -> None:
    """The request carries target, host, own and common headers, and user information as Basic credentials."""
    with peer_of(answer(b"")) as peer, client(headers={"X-Common": "c"}) as asking:
        url = peer.url("/m?a=b%20c#frag").replace("//", "//user:p%40ss@")
        asking.get(url, accept="text/plain", headers={"X-Own": "o", "Accept-Encoding": "identity"})
        head = peer.asked[0].split(b"\r\n")
    assert head[0] == b"GET /m?a=b%20c HTTP/1.1"
    assert {b"Host: 127.0.0.1:%d" % peer.port, b"X-Common: c", b"X-Own: o", b"Accept: text/plain"} <= set(head)
    assert b"Accept-Encoding: identity" in head
    assert b"Authorization: Basic dXNlcjpwQHNz" in head


def test_post() -> None:
    """A POST carries its body, its length and its type."""
    with peer_of(answer(b"ok")) as peer, client() as asking:
        assert asking.post(peer.url("/v1/metrics"), b"\x00body", content_type="application/x-protobuf").body == b"ok"
    assert peer.asked[0].endswith(b"\r\n\r\n\x00body")
    assert b"Content-Type: application/x-protobuf" in peer.asked[0]


def test_chunked() -> None:
    """A chunked body is put together."""
    with peer_of(chunked(b"abc", b"def" * 9999)) as peer:
        assert get(peer.url()).body == b"abc" + b"def" * 9999


def test_until_close() -> None:
    """A body without a length ends when the peer hangs up."""
    with peer_of(b"HTTP/1.0 200 OK\r\n\r\nrest") as peer:
        assert get(peer.url()).body == b"rest"


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        (b"gzip", gzip.compress(b"x" * 300_000)),
        (b"x-gzip", gzip.compress(b"x" * 300_000)),
        (b"deflate", zlib.compress(b"x" * 300_000)),
        (b"gzip", gzip.compress(b"x" * 100_000) + gzip.compress(b"x" * 200_000)),
        (b"identity", b"x" * 300_000),
    ],
    ids=["gzip", "x-gzip", "deflate", "two-members", "identity"],
)
def test_inflates(name: bytes, packed: bytes) -> None:
    """Compressed bodies are inflated, several gzip members one after the other."""
    with peer_of(answer(packed, b"Content-Encoding: " + name)) as peer:
        assert get(peer.url()).body == b"x" * 300_000


def test_empty_compressed() -> None:
    """An empty body stays empty whatever its encoding says."""
    with peer_of(answer(b"", b"Content-Encoding: gzip")) as peer:
        assert get(peer.url()).body == b""


def zeros() -> bytes:
    """A gzip of one GiB of zeros, about one MiB: the same MiB again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.flush(zlib.Z_FULL_FLUSH)
    return head + (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 1024


def test_gzip_bomb() -> None:
    """A page that inflates beyond the limit is refused when the limit is reached."""
    with peer_of(answer(zeros(), b"Content-Encoding: gzip")) as peer:
        assert trouble(peer.url(), max_body=2 << 20).reason is Reason.TOO_LARGE


def test_just_within_limit() -> None:
    """A body of exactly the limit passes; one byte more does not, plain or compressed."""
    body, longer = b"y" * 1000, b"y" * 1001
    fields = b"Content-Encoding: gzip"
    with peer_of(answer(body), answer(gzip.compress(body), fields), answer(gzip.compress(longer), fields)) as peer:
        assert get(peer.url(), max_body=1000).body == body
        assert get(peer.url(), max_body=1000).body == body
        assert trouble(peer.url(), max_body=1000).reason is Reason.TOO_LARGE


def test_announced_too_large() -> None:
    """A Content-Length beyond the limit is refused before the body is read."""
    with peer_of(HEAD % (1 << 40)) as peer:
        assert trouble(peer.url()).reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "script",
    [
        endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
        endless(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\0\0\0\xff\xff" * 9999
        ),
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: x\r\n" * 1000),
        endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536),
    ],
    ids=["body", "chunks", "empty-deflate-blocks", "headers", "header-line"],
)
def test_endless(script: Behaviour) -> None:
    """A peer that never stops is cut off at the limit."""
    with peer_with(script) as peer:
        assert trouble(peer.url(), max_body=1 << 20).reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (HEAD % 10 + b"12345", Reason.MALFORMED),
        (chunked(b"12345", end=b""), Reason.MALFORMED),
        (chunked(b"12345", end=b"ff\r\nhalf"), Reason.MALFORMED),
        (chunked(b"12345", end=b"zz\r\n"), Reason.MALFORMED),
        (answer(gzip.compress(b"x" * 9999)[:-10], b"Content-Encoding: gzip"), Reason.MALFORMED),
        (answer(b"this is no gzip", b"Content-Encoding: gzip"), Reason.MALFORMED),
        (answer(b"?", b"Content-Encoding: br"), Reason.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Reason.MALFORMED),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.MALFORMED),
        (b"\x16\x03\x01\x00\xff\xfe" * 100, Reason.MALFORMED),
        (b"", Reason.REFUSED),
    ],
    ids=[
        "length",
        "chunk-missing",
        "chunk-half",
        "chunk-size",
        "gzip-cut",
        "no-gzip",
        "brotli",
        "head-cut",
        "ssh",
        "noise",
        "nothing",
    ],
)
def test_broken(sent: bytes, reason: Reason) -> None:
    """An answer that is cut off, damaged or of another protocol is named as such, never returned."""
    with peer_of(sent) as peer:
        found = trouble(peer.url())
    assert found.reason is reason
    assert f"127.0.0.1:{peer.port}/metrics" in found.message


def drip(start: bytes, drop: bytes = b"x") -> Behaviour:
    def run(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        for byte in itertools.chain(start, itertools.cycle(drop)):
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    return run


@pytest.mark.parametrize(
    "script",
    [
        silent,
        drip(b"HTTP/1.1 200 OK\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "head", "body", "continue"],
)
def test_deadline_is_total(script: Behaviour) -> None:
    """A peer that says nothing, or a byte at a time, is given up at the deadline, not a byte later."""
    with peer_with(script) as peer:
        began = time.monotonic()
        found = trouble(peer.url(), deadline=0.3)
        took = time.monotonic() - began
    assert found.reason is Reason.TIMEOUT
    assert took >= 0.3  # bounded above by the deadline plus one scheduling delay; speed itself is the bench's matter


def test_deaf_peer() -> None:
    """A peer that never reads a large request ends at the deadline too."""
    over = threading.Event()

    def deaf(_peer: Peer, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        over.wait(60)

    with peer_with(deaf) as peer, client(deadline=0.3) as asking, pytest.raises(Trouble) as caught:
        asking.post(peer.url(), bytes(32 << 20), content_type="x/y")
    over.set()
    assert caught.value.reason is Reason.TIMEOUT


def test_nobody_listens() -> None:
    """A closed port is refused, with the address and what to do."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    found = trouble(f"http://127.0.0.1:{port}/metrics")
    assert (found.reason, found.message) == (Reason.REFUSED, f"http://127.0.0.1:{port}/metrics: nobody listens there")
    assert found.remedy


@pytest.mark.parametrize(
    "url", ["", "metrics", "ftp://h/x", "http://", "http://h:port/", "http://[::1", "file:///etc/passwd"]
)
def test_bad_url(url: str) -> None:
    """What is no http or https URL is said to be none."""
    assert trouble(url).reason is Reason.MALFORMED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(status: int) -> None:
    """A redirect is refused and named, without the secrets of its target; it is not followed."""
    location = b"Location: https://user:secret@there.example/x?key=secret"
    with peer_of(answer(b"", location, status=b"%d Moved" % status)) as peer:
        found = trouble(peer.url())
    assert found.reason is Reason.REJECTED
    assert "https://there.example/x?key=..." in found.message
    assert "secret" not in found.message


def test_no_secret_in_messages() -> None:
    """Users, passwords, query values, tokens and header values stay out of messages and their causes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    found = trouble(f"http://me:secret@127.0.0.1:{port}/x?token=secret&b", headers={"Authorization": "secret"})
    bad = trouble(f"http://127.0.0.1:{port}/", headers={"Authorization": "secret\r\nX: y"})
    for each in (found, bad):
        assert "secret" not in f"{each.message} {each.remedy} {each.__cause__!r}"
        assert each.__suppress_context__
    assert shown("http://a:b@h:1/p?k=v&n#f") == "http://h:1/p?k=...&n=..."
