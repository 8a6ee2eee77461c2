# SPDX-License-Identifier: Apache-2.0
"""An engine's page from peers that drip, cut, flood, redirect or are not there: each is a Trouble with place and remedy."""

import gzip
import socket
import struct
import time
from contextlib import closing
from typing import Any

import pytest

from inferometer import config
from inferometer.model import Reason, Target
from inferometer.sources.engines.access import accesses
from inferometer.sources.engines.scrape import Engine
from peer import HEAD, Behaviour, Peer, answer, endless, in_turn, peer_with, silent
from scraping import trouble

PAGE = b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 1\n'


def engine(url: str, credentials: config.Credentials | None = None, **settings: Any) -> closing[Engine]:
    name = credentials.name if credentials else ""
    access = accesses((credentials,)).get(name) if credentials else None
    return closing(
        Engine(
            Target("ns/pod:8000", url, credentials=name),
            config.Engines(**{"deadline": config.Seconds(30), **settings}),
            0.01,
            access,
        )
    )


def dripping(peer: Peer, connection: socket.socket) -> None:
    """Send a byte now and then: each wait is short, and the whole is endless."""
    peer.question(connection)
    connection.sendall(HEAD % 10_000)
    while True:
        connection.sendall(b"a")
        time.sleep(0.02)


def resetting(peer: Peer, connection: socket.socket) -> None:
    """Reset the connection in the middle of the page."""
    peer.question(connection)
    connection.sendall(HEAD % 10_000 + PAGE)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    ("behaviour", "reason", "says"),
    [
        (silent, Reason.TIMEOUT, "no complete answer within 0.3 s"),
        (dripping, Reason.TIMEOUT, "no complete answer within 0.3 s"),
        (resetting, Reason.REFUSED, "closed the connection"),
        (in_turn(HEAD % 10_000 + PAGE), Reason.MALFORMED, "cut off"),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"a 1\n" * 4096), Reason.TOO_LARGE, "larger than"),
        (endless(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 4096), Reason.TOO_LARGE, "headers"),
        (
            in_turn(answer(gzip.compress(b"\0" * (64 << 20)), b"Content-Encoding: gzip")),
            Reason.TOO_LARGE,
            "larger than",
        ),
        (in_turn(answer(b"x", b"Content-Encoding: gzip")), Reason.MALFORMED, "compressed"),
        (in_turn(b"SSH-2.0-OpenSSH_9.9\r\n"), Reason.MALFORMED, "HTTP"),
        (in_turn(answer(b"<html>", b"Content-Type: text/html")), Reason.MALFORMED, "HTML"),
        (in_turn(answer(b"[{}]", b"Content-Type: application/json")), Reason.MALFORMED, "JSON"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_peer_that_misbehaves_is_trouble_in_time(behaviour: Behaviour, reason: Reason, says: str) -> None:
    """Within the deadline and the limits; the address or the target is named, and the next page is read."""
    deadline = config.Seconds(0.3 if reason is Reason.TIMEOUT else 30)
    with (
        peer_with(behaviour, in_turn(answer(PAGE))) as peer,
        engine(peer.url(), deadline=deadline, max_page=config.Size(1 << 20)) as source,
    ):
        found = trouble(source)
        source._client.deadline = 30.0
        assert (found.reason, says in found.message) == (reason, True), found.message
        assert f"127.0.0.1:{peer.port}" in found.message or "ns/pod:8000" in found.message
        assert source.read().engine == "vllm"


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
def test_a_redirect_is_not_followed_and_no_token_travels_on(status: bytes, tmp_path: Any) -> None:
    """Neither to another host nor on the same one; the message says where to, without what is secret in it."""
    token = tmp_path / "token"
    token.write_text("hunter2")
    with peer_with(in_turn(answer(PAGE))) as elsewhere:
        there = f"Location: http://user:hunter2@127.0.0.1:{elsewhere.port}/m?token=hunter2".encode()
        with (
            peer_with(in_turn(answer(b"", there, status=status))) as peer,
            engine(peer.url(), config.Credentials(name="c", token_file=str(token))) as source,
        ):
            found = trouble(source)
        assert (found.reason, elsewhere.asked) == (Reason.REJECTED, [])
    assert "redirects" in found.message
    assert "hunter2" not in found.told()


def test_nobody_listens() -> None:
    """Refused, with the address."""
    with peer_with() as gone:
        url = gone.url()
    with engine(url) as source:
        found = trouble(source)
    assert (found.reason, "nobody listens" in found.message) == (Reason.REFUSED, True)


def test_a_name_that_does_not_resolve() -> None:
    """`.invalid` never does (RFC 6761 section 6.4)."""
    with engine("http://engine.invalid:8000/metrics") as source:
        found = trouble(source)
    assert (found.reason, "engine.invalid" in found.message) == (Reason.MISSING, True)
