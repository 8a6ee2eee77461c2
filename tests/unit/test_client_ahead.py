# SPDX-License-Identifier: Apache-2.0
"""A page that is asked for first and read later, by one thread or by another."""

import select
import socket
import threading
import time
from pathlib import Path

import pytest

from inferometer.client import Client
from inferometer.credentials import trust_file
from inferometer.model import Reason, Trouble
from kubelet.certificates import issue
from peer import Peer, answer, client, in_turn, peer_of, peer_with

PAGE = answer(b"a 1\n")


def wait_for(descriptor: int | None) -> None:
    assert descriptor is not None
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(30_000)


def test_what_was_asked_before_can_be_asked_ahead() -> None:
    """The first time there is no connection to ask on; then the answer is read when it is there, and only then."""
    go = threading.Event()

    def run(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(PAGE)
        peer.question(connection)
        go.wait(30)
        connection.sendall(PAGE.replace(b"a 1", b"a 2"))

    with peer_with(run) as peer, client() as asking:
        assert asking.ask_ahead(peer.url()) is None
        asking.get(peer.url())
        assert asking.is_prompt
        descriptor = asking.ask_ahead(peer.url())
        assert asking.come() is None
        assert asking.is_prompt
        go.set()
        wait_for(descriptor)
        response = asking.come()
        assert response is not None
        assert response.body == b"a 2\n"
        assert asking.is_prompt
        assert len(peer.asked) == 2


def test_get_goes_on_with_what_is_asked() -> None:
    """Nothing is asked twice, and the deadline is that of the question."""
    with peer_with(in_turn(PAGE, PAGE, PAGE)) as peer, client() as asking:
        asking.get(peer.url())
        wait_for(asking.ask_ahead(peer.url()))
        assert asking.get(peer.url()).body == b"a 1\n"
        assert len(peer.asked) == 2


def test_get_of_another_page_asks_for_it() -> None:
    """What was asked ahead is then nobody's."""
    with peer_with(in_turn(PAGE, PAGE), in_turn(answer(b"b 2\n"))) as peer, client() as asking:
        asking.get(peer.url())
        assert asking.ask_ahead(peer.url()) is not None
        assert asking.get(peer.url("/other")).body == b"b 2\n"


def test_an_unusual_answer_is_left_to_get() -> None:
    """Another status is read by whoever waits, from its first byte."""
    with peer_with(in_turn(PAGE, answer(b"no", status=b"503 Busy"))) as peer, client() as asking:
        asking.get(peer.url())
        wait_for(asking.ask_ahead(peer.url()))
        assert asking.come() is None
        assert not asking.is_prompt
        assert asking.get(peer.url())[::2] == (503, b"no")


def test_a_peer_that_hangs_up_on_a_question_is_asked_again() -> None:
    """As with any question on a kept connection."""

    def hang_up(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(PAGE)
        peer.question(connection)

    with peer_with(hang_up, in_turn(answer(b"b 2\n"))) as peer, client() as asking:
        asking.get(peer.url())
        wait_for(asking.ask_ahead(peer.url()))
        assert asking.come() is None
        assert not asking.is_prompt
        assert asking.get(peer.url()).body == b"b 2\n"


def test_a_silent_peer_has_the_deadline_of_the_question() -> None:
    """Whoever waits later does not wait longer."""

    def run(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(PAGE)
        connection.recv(1 << 16)
        connection.recv(1)

    with peer_with(run) as peer, client() as asking:
        asking.get(peer.url())
        asking.deadline = 0.2
        assert asking.ask_ahead(peer.url()) is not None
        asking.deadline = 60.0  # of questions from now on
        with pytest.raises(Trouble) as caught:
            asking.get(peer.url())
        assert caught.value.reason is Reason.TIMEOUT


def test_what_may_need_waiting_is_not_asked_ahead(tmp_path: Path) -> None:
    """TLS, whose records come when they come; a long page; another page than before; credentials that may change."""
    certificates = issue(tmp_path)
    with (
        peer_with(in_turn(PAGE, PAGE), tls=certificates.server_context()) as peer,
        client(trust=trust_file(str(certificates.ca))) as asking,
    ):
        asking.get(peer.url(scheme="https"))
        assert asking.ask_ahead(peer.url(scheme="https")) is None
        assert asking.get(peer.url(scheme="https")).body == b"a 1\n"
    with peer_with(in_turn(*[answer(b"a" * (1 << 19))] * 3)) as peer, client() as asking:
        asking.get(peer.url())
        asking.get(peer.url())
        assert asking.ask_ahead(peer.url()) is None
        assert asking.ask_ahead(peer.url("/other")) is None
    token = tmp_path / "token"
    token.write_text("a-token")
    with peer_with(in_turn(PAGE, PAGE)) as peer, client(token_file=str(token)) as asking:
        asking.get(peer.url())
        assert asking.ask_ahead(peer.url()) is None


def test_a_page_that_has_become_long_is_left_to_get() -> None:
    """Reading much takes long, and others wait."""
    long = answer(b"a" * (1 << 20))
    with peer_with(in_turn(PAGE, long)) as peer, client(max_body=1 << 21) as asking:
        asking.get(peer.url())
        wait_for(asking.ask_ahead(peer.url()))
        assert asking.come() is None
        assert not asking.is_prompt
        assert len(asking.get(peer.url()).body) == 1 << 20


def test_a_client_that_is_closed_asks_and_reads_nothing() -> None:
    """Nor does anything stay open that was asked ahead."""
    with peer_of(PAGE) as peer, peer_with(in_turn(PAGE, PAGE)) as kept:
        asking = Client(deadline=30.0, max_body=1 << 20)
        asking.get(kept.url())
        assert asking.ask_ahead(kept.url()) is not None
        asking.close()
        assert asking.come() is None
        assert not asking.is_prompt
        assert asking.ask_ahead(peer.url()) is None


def test_an_answer_took_as_long_as_it_was_on_its_way() -> None:
    """Not as long as it lay there until somebody read it."""

    def run(peer: Peer, connection: socket.socket) -> None:
        peer.question(connection)
        connection.sendall(PAGE)
        peer.question(connection)
        time.sleep(0.1)
        connection.sendall(PAGE)
        connection.recv(1)

    with peer_with(run) as peer, client() as asking:
        asking.get(peer.url())
        asked = time.monotonic()
        wait_for(asking.ask_ahead(peer.url()))
        there = time.monotonic()
        time.sleep(0.5)
        assert asking.come() is not None
        assert 0.08 < asking.took < there - asked + 0.05  # the kernel counts in ticks of its own
