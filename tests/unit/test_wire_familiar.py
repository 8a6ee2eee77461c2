# SPDX-License-Identifier: Apache-2.0
"""Answers like the one before on their connection, which are read without http.client: as it would read them."""

import gzip
import select
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.client import Client, Response
from inferometer.model import Reason, Trouble
from peer import Behaviour, Peer, answer, chunked, client, in_turn, peer_of, peer_with

_DATES = st.sampled_from([b"Date: Mon, 01 Jun 2026 10:00:%02d GMT" % i for i in range(3)])
_ODD = st.sampled_from(
    [
        answer(b"a 1\n", b"Server: other"),
        answer(b"a 1\n", b"Date: now\nX-B: 1"),
        answer(b"a 1\n", b"Date:", b"Date: then"),
        answer(b"a 1\n", b"Content-Length: 4"),
        answer(b"a 1\n", b"Content-Length: 5"),
        answer(b"a 1\n", b"Connection: close"),
        answer(b"a 1\n", b"X-Folded: 1\r\n  2"),
        answer(b"a 1\n", status=b"503 Service Unavailable"),
        answer(b"a 1\n", b"Location: /there", status=b"302 Found"),
        answer(gzip.compress(b"a 1\n"), b"Content-Encoding: gzip"),
        answer(b"a 1\n") + b"and more",
        answer(b"a 1\n").replace(b"1.1", b"1.0", 1),
        answer(b"a 1\n").replace(b"Content-Length: 4", b"Content-Length: +4"),
        answer(b"a 1\n").replace(b"Content-Length: 4", b"content-length:4"),
        answer(b"a 1\n").replace(b"Content-Length: 4", b"Content-Length: 9"),
        answer(b"a 1\n").replace(b"Content-Length: 4", b"Content-Length: 99999999"),
        answer(b"a 1\n").replace(b"Content-Length: 4\r\n", b""),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"a 1\n"),
        chunked(b"a 1\n"),
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ]
)
_CHUNKS = st.sampled_from(
    [
        chunked(b"a 1\n"),
        chunked(b"a 1\n", b"b 2\n"),
        chunked(b"a" * 300),
        chunked(),
        chunked(b"a 1\n", end=b"0\r\nX-Trailer: 1\r\n\r\n"),
        chunked(b"a 1\n").replace(b"4\r\n", b"4;x=y\r\n"),
        chunked(b"a 1\n").replace(b"4\r\n", b"0x4\r\n"),
        chunked(b"a 1\n").replace(b"4\r\n", b"-4\r\n"),
        chunked(b"a 1\n0\r\n\r\n"),
        chunked(b"a 1\n", end=b""),
        chunked(b"a 1\n", end=b"9\r\n0\r\n\r\n"),
        chunked(b"a" * (1 << 17)),
        chunked(b"a 1\n") + b"more",
    ]
)
_USUAL = st.builds(answer, st.sampled_from([b"", b"a 1\n", b"b" * 100]), _DATES)
_ANSWERS = st.lists(_USUAL | _USUAL | _ODD, min_size=1, max_size=6) | st.lists(_CHUNKS | _ODD, min_size=1, max_size=6)


def _from(answers: Iterator[bytes]) -> Behaviour:
    """Answer with what comes next; hang up after what is not a whole answer."""

    def run(peer: Peer, connection: socket.socket) -> None:
        while True:
            peer.question(connection)
            sent = next(answers)
            connection.sendall(sent)
            if not _is_whole(sent):
                return

    return run


def _is_whole(sent: bytes) -> bool:
    head, _, body = sent.partition(b"\r\n\r\n")
    if b"Transfer-Encoding" in head:
        return sent in (chunked(b"a 1\n"), chunked(b"a 1\n", b"b 2\n"), chunked(b"a" * 300), chunked())
    return head.lower().endswith(b"content-length: %d" % len(body)) or b"Content-Length: %d\r\n" % len(body) in head


def _outcome(asking: Client, peer: Peer, *, ahead: bool = False) -> Response | tuple[Reason, str]:
    try:
        return (_come(asking, peer) if ahead else None) or asking.get(peer.url())
    except Trouble as trouble:
        return trouble.reason, trouble.message.replace(str(peer.port), "PORT")


def _come(asking: Client, peer: Peer) -> Response | None:
    """Ask ahead, and take what comes as far as that goes."""
    descriptor = asking.ask_ahead(peer.url())
    if descriptor is None:
        return None
    while asking.is_prompt:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(30_000)
        if (response := asking.come()) is not None:
            return response
    return None


@settings(max_examples=60, deadline=None)
@given(_ANSWERS, st.booleans())
def test_what_is_remembered_never_changes_what_is_read(answers: list[bytes], ahead: bool) -> None:  # drawn
    """After any answers on a connection the next one is read as by a client that has heard none before; ahead, too."""
    expected = []
    for each in answers:
        with peer_with(_from(iter([each]))) as peer, client(max_body=1 << 16) as asking:
            expected.append(_outcome(asking, peer))
    turns = iter(answers)
    with peer_with(*[_from(turns)] * len(answers)) as peer, client(max_body=1 << 16) as asking:
        assert [_outcome(asking, peer, ahead=ahead) for _ in answers] == expected


_LONG = b"a 1\n" * 50_000


@pytest.mark.parametrize("whole", [answer(_LONG, b"Date: now"), chunked(_LONG), chunked(_LONG[:500], _LONG[500:])])
def test_a_page_that_comes_in_pieces_is_read_whole(whole: bytes) -> None:
    """Also where its head comes alone, or not even whole."""

    def run(peer: Peer, connection: socket.socket) -> None:
        for cut in (0, 10, 38, 60, 100_000):
            peer.question(connection)
            sent = whole
            connection.sendall(sent[:cut])
            time.sleep(0.02)
            connection.sendall(sent[cut:])

    with peer_with(run) as peer, client() as asking:
        assert [asking.get(peer.url()).body == _LONG for _ in range(5)] == [True] * 5


@pytest.mark.parametrize("cut", [20, -3])
def test_an_answer_that_never_ends_has_the_deadline_of_any(cut: int) -> None:
    """The peer answers, and the next time stops in the middle of the same."""

    def run(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(answer(b"a 1\n"))
        peer.question(connection)
        connection.sendall(answer(b"a 1\n")[:cut])
        connection.recv(1)

    with peer_with(run) as peer, client() as asking:
        asking.get(peer.url())
        asking.deadline = 0.3
        with pytest.raises(Trouble) as caught:
            asking.get(peer.url())
    assert caught.value.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    "odd",
    [
        chunked(b"a 1\n", end=b"0\r\nX-Trailer: 1\r\n\r\n"),
        chunked(b"a 1\n", end=b"0\r\n\n"),
        chunked(b"a 1\n", end=b"00;x=y\r\n\r\n"),
        chunked(b"a 1\n").replace(b"4\r\n", b"4 \r\n"),
    ],
)
def test_odd_chunks_are_waited_for_no_longer_than_any(odd: bytes) -> None:
    """Trailers, extensions and a bare line end are read as soon as they are there, on a connection that stays open."""

    def run(peer: Peer, connection: socket.socket) -> None:
        for sent in (chunked(b"b 2\n"), odd, odd):
            peer.question(connection)
            connection.sendall(sent)
        connection.recv(1)

    with peer_with(run) as peer, client() as asking:
        assert [asking.get(peer.url()).body for _ in range(3)] == [b"b 2\n", b"a 1\n", b"a 1\n"]


def test_an_answer_beyond_the_limit_is_refused_like_any() -> None:
    """A page that has grown too large is not read, however familiar its head."""
    with peer_with(in_turn(answer(b"a 1\n"), answer(b"a" * 99))) as peer, client(max_body=50) as asking:
        asking.get(peer.url())
        with pytest.raises(Trouble) as caught:
            asking.get(peer.url())
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_page_that_is_cut_off_is_no_page() -> None:
    """What the peer promised and did not send is counted, as of any answer."""
    usual = answer(b"a 1\n")
    with peer_with(in_turn(usual, usual[:-1])) as peer, client() as asking:
        asking.get(peer.url())
        with pytest.raises(Trouble, match="cut off 1 bytes early"):
            asking.get(peer.url())


def test_another_question_is_put_together_anew() -> None:
    """Another path, other headers: what is sent is what was asked for, also after the same was sent twice."""
    with peer_of(answer(b"")) as one, peer_with(in_turn(*[answer(b"a 1\n")] * 6)) as peer, client() as asking:
        headers = {"X-A": "1"}
        for path in ("/a", "/a", "/b", "/b"):
            asking.get(peer.url(path))
        asking.get(peer.url("/b"), headers=headers)
        headers["X-A"] = "2"
        asking.get(peer.url("/b"), headers=headers)
        asking.get(one.url("/c"))
    assert [asked.split()[1] for asked in peer.asked] == [b"/a", b"/a", b"/b", b"/b", b"/b", b"/b"]
    assert peer.asked[0] == peer.asked[1] != peer.asked[2] == peer.asked[3]
    assert b"X-A: 1\r\n" in peer.asked[4]
    assert b"X-A: 2\r\n" in peer.asked[5]
    assert one.asked[0].startswith(b"GET /c ")


def test_all_that_comes_is_told() -> None:
    """The bytes of familiar answers count, heads and all."""
    told: list[int] = []
    usual = answer(b"a 1\n", b"Date: now")
    with peer_with(in_turn(*[usual] * 3)) as peer, client(tell=lambda *what: told.append(what[2])) as asking:
        for _ in range(3):
            asking.get(peer.url())
    assert told == [len(usual)] * 3


def test_an_interim_answer_is_not_taken_for_the_answer() -> None:
    """Even one that says how long it is, which it must not: what stands behind it is the answer, each time."""
    sent = answer(b"a 1\n")
    both = b"HTTP/1.1 100 Continue\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent
    with peer_with(in_turn(both, both)) as peer, client() as asking:
        assert [asking.get(peer.url()).body for _ in range(2)] == [b"a 1\n"] * 2
