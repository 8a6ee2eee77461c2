# SPDX-License-Identifier: Apache-2.0
"""The endpoint by TLS, with real certificates: who gets in, what is renewed, and who cannot hold it up."""

import http.client
import logging
import shutil
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.server import Published, Tally
from inferometer.server.certificates import has_expired, watch_certificates
from kubelet.certificates import Certificates, issue
from serving import PAGE, PATIENCE, SNAPSHOT, Start, ask, wait_until


def made(folder: Path, *, name: str = "", age: float = 0) -> Certificates:
    """Make an authority and a certificate of it, in a folder of its own."""
    folder.mkdir(parents=True)
    return issue(folder, name=name, age=age)


def tls_of(files: Certificates, *, client_ca: Path | str = "", client_names: tuple[str, ...] = ()) -> config.ServerTls:
    """Give the configuration that shows a certificate."""
    return config.ServerTls(str(files.certificate), str(files.key), str(client_ca), client_names)


def trusting(server: Certificates, client: Certificates | None = None) -> ssl.SSLContext:
    """Give a client that trusts the server, and shows a certificate where it has one."""
    context = ssl.create_default_context(cafile=server.ca)
    if client:
        context.load_cert_chain(client.certificate, client.key)
    return context


def link(mount: Path, target: Path) -> None:
    """Make a mounted Secret: `..data` leads to a folder, and is swapped as the kubelet does, by one rename."""
    (mount / "..new").symlink_to(target)
    (mount / "..new").rename(mount / "..data")
    for name in ("ca.crt", "server.crt", "server.key"):
        if not (mount / name).is_symlink():
            (mount / name).symlink_to(Path("..data") / name)


# --- what it shows ---


def test_the_page_is_whole_by_tls(start: Start, tmp_path: Path) -> None:
    """Whoever trusts the authority reads the page, with all that HTTP promises; the URL says https."""
    files = made(tmp_path / "server")
    server, port = start(tls=tls_of(files))
    assert server.url.startswith("https://")
    trust = trusting(files)
    response, body = ask(port, trust=trust)
    assert (response.status, body) == (200, PAGE)
    response, body = ask(port, method="HEAD", trust=trust)
    assert (response.status, body) == (200, b"")
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, trust=ssl.create_default_context())


def test_many_requests_at_once_on_one_tls_connection(start: Start, tmp_path: Path) -> None:
    """Pipelined requests are answered in their order, and the end is said as TLS wants it."""
    files = made(tmp_path / "server")
    _, port = start(tls=tls_of(files))
    context = trusting(files)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client,
    ):
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 3 + b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))  # without a close_notify this raises
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert answer.endswith(PAGE)


def test_nothing_older_than_tls_1_2(tmp_path: Path) -> None:
    """TLS 1.0 and 1.1 are not spoken."""
    watched = watch_certificates(tls_of(made(tmp_path / "server")), lambda: None)
    assert watched
    assert watched.newest().context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_who_speaks_http_to_it_is_told_so(start: Start, tmp_path: Path) -> None:
    """A request in the clear is answered in the clear, by 400 and a sentence, and counted."""
    tally = Tally()
    _, port = start(tls=tls_of(made(tmp_path / "server")), tally=tally)
    response, body = ask(port)
    assert (response.status, body) == (400, b"This port speaks https only\n")
    wait_until(lambda: tally.refusals["handshake"] == 1)


# --- renewal ---


def test_a_mounted_secret_is_read_again_when_the_kubelet_swaps_it(start: Start, tmp_path: Path) -> None:
    """New connections get the new certificate at once; a kept one gets its answer and is asked to come again."""
    old, new = made(tmp_path / "old"), made(tmp_path / "new")
    mount = tmp_path / "mount"
    mount.mkdir()
    link(mount, tmp_path / "old")
    mounted = Certificates(mount / "ca.crt", mount / "server.crt", mount / "server.key")
    _, port = start(tls=tls_of(mounted))
    kept = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=trusting(old))
    kept.request("GET", "/healthz")
    answer = kept.getresponse()
    assert (answer.read(), answer.headers["Connection"]) == (b"ok\n", None)

    link(mount, tmp_path / "new")

    assert ask(port, trust=trusting(new))[1] == PAGE
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, trust=trusting(old))
    kept.request("GET", "/healthz")
    answer = kept.getresponse()
    assert (answer.read(), answer.headers["Connection"]) == (b"ok\n", "close")
    kept.close()


@pytest.mark.parametrize("fault", ["another's key", "garbage", "gone", "half"])
def test_a_new_pair_that_cannot_be_used_leaves_the_old_one(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Until there is one that can be used, the old certificate is shown; it is logged once, counted, and heals by itself."""
    files, other = made(tmp_path / "server"), made(tmp_path / "other")
    tally = Tally()
    _, port = start(tls=tls_of(files), tally=tally)
    trust = trusting(files)
    good = files.key.read_bytes()
    with caplog.at_level(logging.INFO):
        if fault == "gone":
            files.key.unlink()
        else:
            bad = {"another's key": other.key.read_bytes(), "garbage": b"\0" * 99, "half": good[: len(good) // 2]}
            files.key.write_bytes(bad[fault])
        for _ in range(3):
            assert ask(port, trust=trust)[1] == PAGE
        assert tally.files["certificate"] == 1
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1
        assert str(files.key) in errors[0].getMessage()
        assert "stays" in errors[0].getMessage()
        shutil.copy(other.certificate, files.certificate)
        shutil.copy(other.key, files.key)
        assert ask(port, trust=trusting(other))[1] == PAGE
        assert "can be used again" in caplog.records[-1].getMessage()
    assert tally.files["certificate"] == 1


def test_what_cannot_be_used_at_the_start_is_a_trouble(start: Start, tmp_path: Path) -> None:
    """The endpoint never begins in the clear because its certificate is not there: it does not begin, and says why."""
    files = made(tmp_path / "server")
    for tls, reason in (
        (config.ServerTls(str(tmp_path / "no"), str(files.key)), Reason.MISSING),
        (config.ServerTls(str(files.certificate), str(files.ca)), Reason.MALFORMED),
        (config.ServerTls(str(files.certificate)), Reason.MALFORMED),
        (config.ServerTls("", str(files.key)), Reason.MALFORMED),
        (config.ServerTls("", "", str(files.ca)), Reason.MALFORMED),
        (tls_of(files, client_names=("a",)), Reason.MALFORMED),
        (tls_of(files, client_ca=tmp_path / "no"), Reason.MISSING),
        (tls_of(files, client_ca=files.key), Reason.MALFORMED),
    ):
        with pytest.raises(Trouble) as trouble:
            start(tls=tls)
        assert trouble.value.reason is reason, tls
        assert trouble.value.remedy


# --- clients' certificates ---


def test_a_client_certificate_opens_the_pages(start: Start, tmp_path: Path) -> None:
    """With one of the authority everything is served; without one, only what the kubelet asks for."""
    files, client = made(tmp_path / "server"), made(tmp_path / "client", name="prometheus")
    tally = Tally()
    _, port = start(tls=tls_of(files, client_ca=client.ca), tally=tally)
    assert ask(port, trust=trusting(files, client))[1] == PAGE
    nameless = trusting(files)
    statuses = {path: ask(port, path, trust=nameless)[0].status for path in ("/", "/metrics", "/healthz", "/readyz")}
    assert statuses == {"/": 403, "/metrics": 403, "/healthz": 200, "/readyz": 200}
    assert tally.refusals["certificate"] == 2


@pytest.mark.parametrize("which", ["expired", "another authority's"])
def test_a_client_certificate_that_is_no_good_is_refused(start: Start, tmp_path: Path, which: str) -> None:
    """One that has expired, or that nobody known has signed, ends the handshake."""
    files, authority = made(tmp_path / "server"), made(tmp_path / "client")
    client = made(tmp_path / "bad", age=3 if which == "expired" else 0)
    tally = Tally()
    _, port = start(
        tls=tls_of(files, client_ca=client.ca if which == "expired" else authority.ca),
        tally=tally,
    )
    with pytest.raises(OSError, match=r"(?i)alert|reset|broken pipe|eof"):
        ask(port, "/healthz", trust=trusting(files, client))
    wait_until(lambda: tally.refusals["handshake"] == 1)


def test_only_the_names_that_are_let_in(start: Start, tmp_path: Path) -> None:
    """Where an authority signs for many, the names decide."""
    files, client = made(tmp_path / "server"), made(tmp_path / "client", name="prometheus")
    for names, status in ((("prometheus",), 200), (("grafana", "alertmanager"), 403)):
        _, port = start(tls=tls_of(files, client_ca=client.ca, client_names=names))
        assert ask(port, trust=trusting(files, client))[0].status == status


def test_a_certificate_can_expire_on_a_kept_connection() -> None:
    """Its end is looked at with each request, because a scraper's connection may live for weeks."""
    certificate = {"notAfter": "Jan  5 09:34:43 2026 GMT"}
    until = 1767605683.0
    assert not has_expired(certificate, until)
    assert has_expired(certificate, until + 1)


def test_another_authority_ends_what_the_one_before_let_in(start: Start, tmp_path: Path) -> None:
    """When the authorities' file changes, a kept connection serves no second request."""
    files, client, other = made(tmp_path / "server"), made(tmp_path / "client"), made(tmp_path / "other")
    authority = tmp_path / "authority.crt"
    shutil.copy(client.ca, authority)
    _, port = start(tls=tls_of(files, client_ca=authority))
    context = trusting(files, client)
    kept = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)
    kept.request("GET", "/metrics")
    assert kept.getresponse().read() == PAGE

    shutil.copy(other.ca, authority)

    kept.request("GET", "/metrics")
    answer = kept.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (403, "close")
    kept.close()
    with pytest.raises(OSError, match=r"(?i)alert|reset|broken pipe|eof"):
        ask(port, trust=context)


# --- slow clients ---


def stalled(port: int) -> list[socket.socket]:
    """Connect eight clients, of which four say nothing and four say half a hello."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(8)]
    for client in clients[4:]:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    return clients


def test_a_handshake_that_stalls_holds_up_nobody(start: Start, tmp_path: Path) -> None:
    """While clients say nothing, or half a hello, others are served: the accepting thread waits for none."""
    files = made(tmp_path / "server")
    server, port = start(tls=tls_of(files), timeout=600)
    clients = stalled(port)
    assert ask(port, trust=trusting(files))[1] == PAGE
    server.close()
    assert [client.recv(4096) for client in clients] == [b""] * 8
    for client in clients:
        client.close()


def test_a_handshake_that_stalls_is_cut_off(start: Start, tmp_path: Path) -> None:
    """A handshake has the timeout for the whole of it, and is counted."""
    tally = Tally()
    server, port = start(tls=tls_of(made(tmp_path / "server")), timeout=0.3, tally=tally)
    clients = stalled(port)
    assert [client.recv(4096) for client in clients] == [b""] * 8
    wait_until(lambda: not server._connections)
    assert tally.refusals["handshake"] == 8
    for client in clients:
        client.close()


def test_stalled_handshakes_make_room(start: Start, tmp_path: Path) -> None:
    """However many clients do not shake hands, one more is served."""
    files = made(tmp_path / "server")
    server, port = start(tls=tls_of(files), max_connections=4, timeout=60)
    silent = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(12)]
    wait_until(lambda: len(server._connections) == 4)
    assert ask(port, trust=trusting(files))[1] == PAGE
    for client in silent:
        client.close()


def test_a_slow_reader_is_cut_off_by_tls_too(start: Start, tmp_path: Path) -> None:
    """Who takes an answer drop by drop has the timeout for the whole of it, not for each record."""
    files = made(tmp_path / "server")
    page = b"x" * 50_000_000
    huge = Published({"text": lambda _: page})
    huge.publish(SNAPSHOT)
    server, port = start(huge, tls=tls_of(files), timeout=6)
    context = trusting(files)
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain) as client,
    ):
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        got = len(client.recv(1))
        while server._connections and got < len(page):
            with suppress(OSError):  # a reset
                got += len(client.recv(1024))
            time.sleep(0.005)
        assert got < len(page)  # by such sips it takes minutes


def test_many_tls_clients_at_once_all_get_the_whole_page(start: Start, tmp_path: Path) -> None:
    """Twenty clients that shake hands in the same moment are all served."""
    files = made(tmp_path / "server")
    _, port = start(tls=tls_of(files))
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: ask(port, trust=trusting(files))[1], range(20))) == {PAGE}
