# SPDX-License-Identifier: Apache-2.0
"""The HTTP client over several calls: kept connections, tokens, trust, streams, and its end."""

import select
import socket
import threading
import time
from pathlib import Path

import pytest

from inferometer.client import Client
from inferometer.credentials import trust_file
from inferometer.model import Reason, Trouble
from kubelet.certificates import Certificates, issue
from peer import HEAD, Behaviour, Peer, answer, chunked, client, endless, in_turn, peer_of, peer_with, silent, trouble


def test_keeps_connection() -> None:
    """Calls to one origin share a connection; every body is read to its end in between."""
    with peer_with(in_turn(answer(b"1"), chunked(b"2"), answer(b"3"))) as peer, client() as asking:
        assert [asking.get(peer.url()).body for _ in range(3)] == [b"1", b"2", b"3"]


def test_other_origin() -> None:
    """Another origin gets another connection."""
    with peer_of(answer(b"a")) as one, peer_of(answer(b"b")) as two, client() as asking:
        assert asking.get(one.url()).body + asking.get(two.url()).body == b"ab"


def test_connection_close() -> None:
    """A peer that announces its hang-up is asked on a new connection."""
    once = answer(b"x", b"Connection: close")
    with peer_of(once, once) as peer, client() as asking:
        assert asking.get(peer.url()).body + asking.get(peer.url()).body == b"xx"


def await_hang_up(asking: Client) -> None:
    """Wait until the peer's end of the kept connection has arrived: it may be slower than the next question."""
    assert asking._kept is not None
    poll = select.poll()
    poll.register(asking._kept._socket, select.POLLIN)
    assert poll.poll(10_000)


def test_stale_connection() -> None:
    """A kept connection that the peer dropped meanwhile costs nothing, for GET and POST."""
    with peer_with(in_turn(answer(b"1")), in_turn(answer(b"2")), in_turn(answer(b"3"))) as peer, client() as asking:
        assert asking.get(peer.url()).body == b"1"
        assert asking.get(peer.url()).body == b"2"
        await_hang_up(asking)
        assert asking.post(peer.url(), b"p", content_type="x/y").body == b"3"


def dropping(peer: Peer, connection: socket.socket) -> None:
    """Answer one request, take a second one and hang up on it."""
    peer.question(connection)
    connection.sendall(answer(b"1"))
    peer.question(connection)


def test_get_is_retried_once() -> None:
    """A GET that a kept connection loses before any answer is asked once more."""
    with peer_with(dropping, in_turn(answer(b"2"))) as peer, client() as asking:
        assert asking.get(peer.url()).body == b"1"
        assert asking.get(peer.url()).body == b"2"
    assert len(peer.asked) == 3


def test_post_is_not_retried() -> None:
    """A POST that is lost is not sent twice: it may have been acted upon."""
    with peer_with(dropping, in_turn(answer(b"2"))) as peer, client() as asking:
        assert asking.get(peer.url()).body == b"1"
        with pytest.raises(Trouble) as caught:
            asking.post(peer.url(), b"p", content_type="x/y")
    assert caught.value.reason is Reason.REFUSED
    assert len(peer.asked) == 2


def test_recovers() -> None:
    """After a broken answer the next call starts afresh."""
    with peer_of(HEAD % 9 + b"x", answer(b"fine")) as peer, client() as asking:
        with pytest.raises(Trouble):
            asking.get(peer.url())
        assert asking.get(peer.url()).body == b"fine"


def test_token_file(tmp_path: Path) -> None:
    """The bearer token is sent, and read again at once when the peer says 401."""
    token = tmp_path / "token"
    token.write_text("one\n")
    unauthorized = answer(b"", status=b"401 Unauthorized")
    scripts = in_turn(answer(b"a"), unauthorized, answer(b"b"), unauthorized)
    with peer_with(scripts) as peer, client(token_file=str(token)) as asking:
        asking.get(peer.url())
        token.write_text("two\n")
        assert asking.get(peer.url()).body == b"b"
        assert asking.get(peer.url()).status == 401  # the same token: asking again would change nothing
    sent = [line for head in peer.asked for line in head.split(b"\r\n") if line.startswith(b"Authorization")]
    assert [line.removeprefix(b"Authorization: Bearer ") for line in sent] == [b"one", b"one", b"two", b"two"]


def test_bad_token_file(tmp_path: Path) -> None:
    """A token file that is absent, empty or holds something else is named, and its text is not."""
    path = tmp_path / "token"
    assert trouble("http://127.0.0.1:1/", token_file=str(path)).reason is Reason.MISSING
    for text in ("", "two words", "line\nline", "\x01secret"):
        path.write_text(text)
        found = trouble("http://127.0.0.1:1/", token_file=str(path))
        assert found.reason is Reason.MALFORMED
        assert str(path) in found.message
        assert "secret" not in found.message


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


def test_tls(certificates: Certificates) -> None:
    """A server whose certificate the given CA signed is trusted, and its connection kept."""
    serving = in_turn(answer(b"1"), chunked(b"2"))
    with (
        peer_with(serving, tls=certificates.server_context()) as peer,
        client(trust=trust_file(str(certificates.ca))) as asking,
    ):
        assert [asking.get(peer.url(scheme="https")).body for _ in range(2)] == [b"1", b"2"]


def test_wrong_authority(certificates: Certificates, tmp_path: Path) -> None:
    """A certificate of another CA is refused, and the message says why."""
    other = issue(tmp_path)
    with peer_of(b"", tls=certificates.server_context()) as peer:
        found = trouble(peer.url(scheme="https"), trust=trust_file(str(other.ca)))
    assert found.reason is Reason.REFUSED
    assert "not trusted" in found.message


@pytest.mark.parametrize(
    ("age", "said"), [pytest.param(-2, "not yet valid", id="behind"), pytest.param(3, "has expired", id="ahead")]
)
def test_a_clock_that_differs_is_named(age: float, said: str, tmp_path: Path) -> None:
    """A certificate that is too new or too old may be a matter of the clock, and the remedy says so."""
    made = issue(tmp_path, age=age)
    with peer_of(b"", tls=made.server_context()) as peer:
        found = trouble(peer.url(scheme="https"), trust=trust_file(str(made.ca)))
    assert said in found.message
    assert "set this machine's clock" in found.remedy


def test_plain_where_tls_was_expected(certificates: Certificates) -> None:
    """An http server behind an https URL is malformed, not a crash."""

    def plain(_peer: Peer, connection: socket.socket) -> None:
        connection.recv(9)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with peer_with(plain) as peer:
        found = trouble(peer.url(scheme="https"), trust=trust_file(str(certificates.ca)))
    assert found.reason is Reason.MALFORMED


def test_tls_handshake_hangs(certificates: Certificates) -> None:
    """A peer that accepts and never shakes hands ends at the deadline."""
    over = threading.Event()

    def mute(_peer: Peer, _connection: socket.socket) -> None:
        over.wait(60)

    with peer_with(mute) as peer:
        found = trouble(peer.url(scheme="https"), trust=trust_file(str(certificates.ca)), deadline=0.3)
    over.set()
    assert found.reason is Reason.TIMEOUT


def test_bad_trust_file(tmp_path: Path) -> None:
    """A CA file that is absent or no PEM file is named."""
    with pytest.raises(Trouble) as caught:
        trust_file(str(tmp_path / "none"))
    assert caught.value.reason is Reason.MISSING
    (tmp_path / "text").write_text("hello")
    with pytest.raises(Trouble) as caught:
        trust_file(str(tmp_path / "text"))
    assert caught.value.reason is Reason.MALFORMED


def stream(*pieces: bytes, pause: float = 0) -> Behaviour:
    def run(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(pause)
        connection.sendall(b"0\r\n\r\n")

    return run


def test_lines() -> None:
    """A stream comes line by line however it is cut into chunks; blank lines are skipped."""
    with peer_with(stream(b"one\ntw", b"o\r", b"\n\n\nthree\nend")) as peer, client() as asking:
        lines = asking.lines(peer.url(), idle=30)
        assert lines.status == 200
        assert list(lines) == [b"one", b"two", b"three", b"end"]


def test_lines_idle() -> None:
    """A line that takes longer than `idle` ends the stream, even when it drips."""
    with peer_with(stream(b"one\n", *[b"x"] * 100, pause=0.02)) as peer, client() as asking:
        lines = asking.lines(peer.url(), idle=30)
        assert next(lines) == b"one"
        lines._idle = 0.2  # of the next line
        with pytest.raises(Trouble) as caught:
            next(lines)
    assert caught.value.reason is Reason.TIMEOUT


def test_lines_too_long() -> None:
    """A line without an end stops at the limit."""
    script = endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096)
    with peer_with(script) as peer, client(max_body=10_000) as asking, pytest.raises(Trouble) as caught:
        list(asking.lines(peer.url(), idle=30))
    assert caught.value.reason is Reason.TOO_LARGE


def test_lines_cut() -> None:
    """A stream that is cut off is not the same as one that ends."""
    with peer_of(chunked(b"one\n", end=b"")) as peer, client() as asking, pytest.raises(Trouble) as caught:
        list(asking.lines(peer.url(), idle=30))
    assert caught.value.reason is Reason.MALFORMED


def test_close_ends_a_stream(certificates: Certificates) -> None:
    """Closing the client from another thread ends a blocked stream, with and without TLS."""

    def quiet(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
        connection.recv(1)

    for tls, scheme in ((None, "http"), (certificates.server_context(), "https")):
        with peer_with(quiet, tls=tls) as peer, client(trust=trust_file(str(certificates.ca))) as asking:
            lines = asking.lines(peer.url(scheme=scheme), idle=60)
            assert next(lines) == b"one"
            closer = threading.Timer(0.1, asking.close)
            closer.start()
            assert list(lines) == []
            closer.join()


def test_close_ends_a_call() -> None:
    """Closing the client from another thread ends a blocked GET; a closed client asks nobody any more."""
    with peer_with(silent) as peer, client(deadline=60) as asking:

        def close() -> None:
            while not peer.asked:
                time.sleep(0.01)
            asking.close()

        closer = threading.Thread(target=close, daemon=True)
        closer.start()
        with pytest.raises(Trouble) as caught:
            asking.get(peer.url())
        closer.join()
        assert caught.value.reason is Reason.REFUSED
        with pytest.raises(Trouble, match="closed"):
            asking.get(peer.url())
