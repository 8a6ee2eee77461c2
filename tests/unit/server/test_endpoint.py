# SPDX-License-Identifier: Apache-2.0
"""The endpoint over real sockets: what clients get, and what bad clients cannot do to the others."""

import gzip
import http.client
import logging
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from inferometer import config
from inferometer.model import Reason, Snapshot, Trouble
from inferometer.server import Published, Server, Tally
from serving import OPENMETRICS, PAGE, PATIENCE, SNAPSHOT, Start, ask, published, say, wait_until

# --- pages ---


def test_metrics_are_negotiated_and_framed(start: Start) -> None:
    """/metrics has the form, length and Vary that HTTP promises, for text and for OpenMetrics."""
    _, port = start()
    response, body = ask(port)
    assert (response.status, body) == (200, PAGE)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(PAGE))
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert response.headers["Date"]
    response, body = ask(port, Accept="application/openmetrics-text;version=1.0.0")
    assert body == OPENMETRICS
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")


def test_gzip_is_the_same_page(start: Start) -> None:
    """A compressed page inflates to the plain one, and says what it is."""
    _, port = start()
    response, body = ask(port, Accept_Encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert int(response.headers["Content-Length"]) == len(body) < len(PAGE)
    assert gzip.decompress(body) == PAGE


@pytest.mark.parametrize("path", ["/metrics", "/", "/healthz", "/readyz", "/nothing"])
def test_head_is_get_without_the_body(start: Start, path: str) -> None:
    """HEAD gives GET's status and headers, and no body."""
    _, port = start()
    get, _ = ask(port, path)
    head, body = ask(port, path, "HEAD")
    assert body == b""
    assert head.status == get.status
    assert dict(head.headers, Date="") == dict(get.headers, Date="")


def test_the_status_page_runs_and_loads_nothing(start: Start) -> None:
    """The HTML page forbids scripts, frames and type guessing by its headers."""
    _, port = start()
    response, body = ask(port, "/")
    assert body == b"<p>hello"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "script-src" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_before_the_first_snapshot_nothing_is_ready_but_the_process_is_healthy(start: Start) -> None:
    """/metrics, / and /readyz answer 503 with a sentence until the first snapshot; /healthz does not wait for it."""
    pages = published(ready=False)
    _, port = start(pages)
    for path in ("/metrics", "/", "/readyz"):
        response, body = ask(port, path)
        assert response.status == 503
        assert b"first snapshot" in body
    assert ask(port, "/healthz")[0].status == 200
    pages.publish(SNAPSHOT)
    assert [ask(port, path)[0].status for path in ("/metrics", "/", "/readyz")] == [200, 200, 200]


def test_health_is_what_the_process_says_of_itself(start: Start) -> None:
    """/healthz fails, with the reason, exactly when the process says that it is stuck."""
    state = [(True, "ok"), (False, "no tick for 61 s")]
    _, port = start(alive=lambda: state[0])
    assert ask(port, "/healthz")[1] == b"ok\n"
    state.reverse()
    response, body = ask(port, "/healthz")
    assert (response.status, body) == (503, b"no tick for 61 s\n")


def test_a_snapshot_that_is_no_news_is_not_shown(start: Start) -> None:
    """Once the process makes no snapshots any more the newest is old: absent beats wrong, on both pages."""
    state = [(True, "ok"), (False, "no tick for 61 s")]
    tally = Tally()
    _, port = start(alive=lambda: state[0], tally=tally)
    etag = ask(port)[0].headers["ETag"]
    state.reverse()
    for path in ("/metrics", "/"):
        response, body = ask(port, path, If_None_Match=etag)
        assert (response.status, body) == (503, b"no tick for 61 s\n")
    assert tally.refusals["unready"] == 2
    state.reverse()
    assert ask(port)[0].status == 200


def test_unknown_paths_and_methods(start: Start) -> None:
    """Unknown paths are 404 and name the known ones; other methods are 405 with Allow."""
    _, port = start()
    response, body = ask(port, "/metric")
    assert response.status == 404
    assert b"/metrics" in body
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        response, _ = ask(port, "/metrics", method)
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_a_page_that_cannot_be_made_is_one_500_and_one_log_line(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """A defect in a view harms that page only, tells the client nothing of it, and is logged once until it heals."""
    broken = True

    def html(_: Snapshot) -> bytes:
        if broken:
            raise ValueError("private detail")
        return b"fine"

    pages = Published({"text": lambda _: PAGE, "html": html})
    pages.publish(SNAPSHOT)
    tally = Tally()
    _, port = start(pages, tally=tally)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            response, body = ask(port, "/")
            assert response.status == 500
            assert b"private" not in body
    assert len(caplog.records) == 1
    assert tally.refusals["defect"] == 3
    assert ask(port)[1] == PAGE
    broken = False
    assert ask(port, "/")[1] == b"fine"


def test_the_page_before_never_stands_in_for_one_that_cannot_be_made(start: Start) -> None:
    """A renderer that fails on one snapshot makes that scrape fail: what is old would be taken for new."""

    def text(shown: Snapshot) -> bytes:
        if shown.at == 2.0:
            raise ValueError("defect")
        return b"at %d" % shown.at

    pages = Published({"text": text})
    _, port = start(pages)
    statuses = []
    for at in (1.0, 2.0, 3.0):
        pages.publish(replace(SNAPSHOT, at=at))
        response, body = ask(port)
        statuses.append((response.status, body[:4]))
    assert statuses == [(200, b"at 1"), (500, b"This"), (200, b"at 3")]


# --- what a client has already ---


def test_who_has_the_page_is_told_so_without_a_rendering(start: Start) -> None:
    """If-None-Match with the newest tag gives 304 without a body, until the next snapshot, and renders nothing."""
    rendered: list[float] = []

    def text(shown: Snapshot) -> bytes:
        rendered.append(shown.at)
        return PAGE

    pages = Published({"text": text})
    pages.publish(SNAPSHOT)
    _, port = start(pages)
    etag = ask(port)[0].headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        for method in ("GET", "HEAD"):
            response, body = ask(port, method=method, If_None_Match=known)
            assert (response.status, body, response.headers["ETag"]) == (304, b"", etag)
            assert response.headers["Vary"] == "Accept, Accept-Encoding"
            assert response.headers["Content-Length"] is None
    pages.publish(SNAPSHOT)
    assert rendered == [1.0]
    response, body = ask(port, If_None_Match=etag)
    assert (response.status, body) == (200, PAGE)
    assert response.headers["ETag"] != etag


def test_each_form_and_encoding_has_its_own_strong_tag(start: Start) -> None:
    """Two pages that differ in one byte, or in what they say of themselves, never share a tag; nor do two agents."""
    (_, port), (_, other) = start(), start()
    asked: list[dict[str, Any]] = [
        {"Accept": accept, "Accept_Encoding": encoding}
        for accept in ("text/plain", "text/plain;version=1.0.0", "application/openmetrics-text")
        for encoding in ("identity", "gzip")
    ]
    tags = [ask(port, **headers)[0].headers["ETag"] for headers in asked]
    assert len(set(tags)) == len(tags)
    assert not [tag for tag in tags if tag.startswith("W/")]
    assert [ask(port, **headers)[0].headers["ETag"] for headers in asked] == tags
    assert ask(other)[0].headers["ETag"] not in tags
    assert ask(port, If_None_Match=tags[1], **asked[0])[0].status == 200


def test_a_kept_connection_goes_on_after_304(start: Start) -> None:
    """An answer without a body is framed so that the next one is not taken for it."""
    _, port = start()
    etag = ask(port)[0].headers["ETag"].encode()
    known = b"GET /metrics HTTP/1.1\r\nHost: a\r\nIf-None-Match: " + etag + b"\r\n\r\n"
    answer = say(port, known * 2 + b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 304 ") == 2
    assert answer.endswith(b"\r\n\r\nok\n")


# --- connections ---


def test_a_connection_is_kept_between_requests(start: Start) -> None:
    """HTTP/1.1 clients ask many times on one connection, in sequence or all at once."""
    _, port = start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.connect()
    first = connection.sock
    for _ in range(20):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
    assert connection.sock is first
    connection.close()
    several = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 3 + b"GET /healthz HTTP/1.0\r\n\r\n"
    assert say(port, several).count(b"200 OK") == 4


def test_http_1_0_is_answered_and_closed(start: Start) -> None:
    """An old client gets its page and the end of the connection."""
    _, port = start()
    answer = say(port, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert answer.endswith(PAGE)
    assert b"Connection: close" in answer


def test_a_body_is_never_taken_for_a_request(start: Start) -> None:
    """What follows a request with a body is not answered: it may be that body."""
    _, port = start()
    inner = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = say(port, b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"a" * 1_000_000 + b"\r\n\r\n", 431),
    ],
)
def test_a_refusal_reaches_the_client(start: Start, data: bytes, status: int) -> None:
    """Even a client that sends a megabyte too much reads why it is refused."""
    _, port = start()
    assert say(port, data).startswith(b"HTTP/1.1 %d " % status)
    assert ask(port)[0].status == 200


def test_many_clients_at_once_all_get_the_whole_page(start: Start) -> None:
    """Forty clients that connect in the same moment are all served."""
    _, port = start()
    ready = threading.Barrier(40)

    def get(number: int) -> bytes:
        ready.wait(PATIENCE)
        body = ask(port, Accept_Encoding="gzip" if number % 2 else "identity")[1]
        return gzip.decompress(body) if number % 2 else body

    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(get, range(40))) == {PAGE}


def test_slow_clients_are_cut_off_and_hold_up_nobody(start: Start) -> None:
    """Clients that drip a header, or never read their answer, end at the timeout; others are served meanwhile."""
    huge = Published({"text": lambda _: b"x" * 30_000_000, "html": lambda _: b"fine"})
    huge.publish(SNAPSHOT)
    server, port = start(huge, timeout=0.4)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as dripping,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as deaf,
    ):
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        dripping.sendall(b"GET / HT")
        assert ask(port, "/")[1] == b"fine"
        answer = dripping.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        dripping.close()
        wait_until(lambda: not server._connections)


def test_dripping_does_not_extend_the_deadline(start: Start) -> None:
    """The time for a request is counted from its first byte, not from its newest."""
    _, port = start(timeout=0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        client.settimeout(0.02)
        until = time.monotonic() + PATIENCE
        answer = b""
        while not answer:
            assert time.monotonic() < until
            with suppress(OSError):  # the answer is there, and it has hung up
                client.sendall(b"a")
            try:
                answer = client.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_half_a_request_makes_room_too(start: Start) -> None:
    """However many clients drip a request, one more is served: who has waited longest for the rest ends for it."""
    server, port = start(max_connections=8, timeout=60)
    dripping = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(8)]
    for client in dripping:
        client.sendall(b"GET / HT")
    wait_until(lambda: sum(bool(c.buffer) for c in server._connections) == 8)
    assert ask(port, "/healthz")[1] == b"ok\n"
    assert dripping[0].recv(4096) == b""
    for client in dripping:
        client.close()


def test_many_slow_readers_cost_little_memory(start: Start) -> None:
    """Sixty-four clients that do not read a page of 16 MiB share one: the page is never copied for any of them."""
    page = b"x" * (16 << 20)
    huge = Published({"text": lambda _: page, "html": lambda _: b"fine"})
    huge.publish(SNAPSHOT)
    tally = Tally()
    server, port = start(huge, max_connections=64, timeout=60, tally=tally)
    deaf = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(64)]
    tracemalloc.start()
    try:
        for client in deaf:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert all(client.recv(1, socket.MSG_PEEK) for client in deaf)  # each is being answered
        wait_until(lambda: all(c.waits_since is None for c in server._connections))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert say(port, b"").startswith(b"HTTP/1.1 503 ")
    assert tally.refusals["busy"] == 1
    for client in deaf:
        client.close()
    wait_until(lambda: not server._connections)
    assert ask(port, "/")[1] == b"fine"


def test_whoever_is_turned_away_is_counted_by_reason(start: Start) -> None:
    """What is no request, and what takes too long to be one, stands in the agent's own counters."""
    tally = Tally()
    _, port = start(timeout=0.2, tally=tally)
    say(port, b"nonsense\r\n\r\n")
    assert say(port, b"GET / HT").startswith(b"HTTP/1.1 408 ")
    assert {reason: count for reason, count in tally.refusals.items() if count} == {"malformed": 1, "slow": 1}


def test_the_longest_idle_connection_makes_room(start: Start) -> None:
    """At the limit, a new client is served in the place of the one that has been silent longest."""
    server, port = start(max_connections=2)
    clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(2)]
    for client in clients:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(4096)
        wait_until(lambda: all(c.waits_since is not None for c in server._connections))
    assert ask(port, "/healthz")[0].status == 200
    assert clients[0].recv(4096) == b""
    clients[1].sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"200 OK" in clients[1].recv(4096)
    for client in clients:
        client.close()


def test_past_the_limit_of_busy_connections_clients_are_turned_away(start: Start) -> None:
    """Where every connection is busy one more gets 503 at once, and is served when one has ended."""
    rendering, done = threading.Event(), threading.Event()

    def render(_: Snapshot) -> bytes:
        rendering.set()
        assert done.wait(PATIENCE)
        return PAGE

    pages = Published({"text": render})
    pages.publish(SNAPSHOT)
    server, port = start(pages, max_connections=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, port)
        assert rendering.wait(PATIENCE)
        answer = say(port, b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"busy" in answer
        done.set()
        assert first.result(PATIENCE)[1] == PAGE
    wait_until(lambda: not server._connections)
    assert ask(port)[1] == PAGE


def test_closing_ends_everything(start: Start) -> None:
    """Closing ends idle and half-sent connections and all threads, and the port is free again."""
    server, port = start()
    clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(3)]
    clients[0].sendall(b"GET / HT")
    clients[1].sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert clients[1].recv(4096)
    wait_until(lambda: len(server._connections) == 3)
    threads = [server._acceptor, *server._connections.values()]
    server.close()
    wait_until(lambda: not any(thread.is_alive() for thread in threads))
    for client in clients:
        assert client.recv(4096) == b""
        client.close()
    again = Server(config.Server(listen=f"127.0.0.1:{port}"), published(), lambda: (True, "ok"))
    again.start()
    again.close()


def test_a_port_in_use_is_a_trouble_at_start(start: Start) -> None:
    """Starting on a port that is taken raises at once, with the address and a remedy; closing is safe after that."""
    _, port = start()
    second = Server(config.Server(listen=f"127.0.0.1:{port}"), published(), lambda: (True, "ok"))
    with pytest.raises(Trouble) as trouble:
        second.start()
    assert trouble.value.reason is Reason.REFUSED
    second.close()


def test_no_request_is_logged_above_debug(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """There is no access log, and a bad client cannot fill the log."""
    _, port = start()
    with caplog.at_level(logging.INFO):
        ask(port)
        say(port, b"nonsense\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")  # and hangs up over the unread answer
        assert ask(port)[0].status == 200
    assert not [record for record in caplog.records if record.name.startswith("inferometer.server")]
