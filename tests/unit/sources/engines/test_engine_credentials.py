# SPDX-License-Identifier: Apache-2.0
"""Engines that ask who is there: tokens, passwords and certificates from files, against real servers."""

import base64
import shutil
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import Reason, Target, Trouble
from inferometer.sources.engines.access import accesses
from inferometer.sources.engines.scrape import Engine
from kubelet.certificates import Certificates, issue
from peer import answer, in_turn, peer_of, peer_with
from scraping import trouble

PAGE = b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 1\n'
DENIED = answer(b"no", status=b"401 Unauthorized")


def engine(url: str, **entry: Any) -> closing[Engine]:
    access = accesses((config.Credentials(name="c", **entry),))["c"]
    return closing(
        Engine(Target("ns/pod:8000", url, credentials="c"), config.Engines(deadline=config.Seconds(30)), 0.01, access)
    )


def sent(asked: list[bytes]) -> list[str]:
    lines = [line for head in asked for line in head.decode().split("\r\n")]
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:")]


def replace(path: Path, text: bytes) -> None:
    """Put another file in its place, as a mounted Secret changes."""
    new = path.with_suffix(".new")
    new.write_bytes(text)
    new.replace(path)


def test_a_token_is_sent_and_a_renewed_one_is_read_after_a_401(tmp_path: Path) -> None:
    """At once, on the same connection, and the page is there in the same read."""
    token = tmp_path / "token"
    token.write_text("one\n")
    with (
        peer_with(in_turn(answer(PAGE), DENIED, answer(PAGE))) as peer,
        engine(peer.url(), token_file=str(token)) as source,
    ):
        source.read()
        replace(token, b"two")
        assert source.read().engine == "vllm"
        assert sent(peer.asked) == ["Bearer one", "Bearer one", "Bearer two"]


def test_a_user_and_a_password_are_sent(tmp_path: Path) -> None:
    """As RFC 7617 says, spaces and letters of any alphabet among them; only the end of the line is none of it."""
    password = tmp_path / "password"
    password.write_text("päss word \n", encoding="utf-8")
    with peer_of(answer(PAGE)) as peer, engine(peer.url(), username="ü", password_file=str(password)) as source:
        assert source.read().engine == "vllm"
        assert base64.b64decode(sent(peer.asked)[0].removeprefix("Basic ")).decode() == "ü:päss word "


def test_credentials_that_are_not_accepted_are_named_and_not_shown(tmp_path: Path) -> None:
    """401 and 403 are PERMISSION; what was sent is in no message."""
    token = tmp_path / "token"
    token.write_text("hunter2")
    for status in (b"401 Unauthorized", b"403 Forbidden"):
        with peer_of(answer(b"", status=status)) as peer, engine(peer.url(), token_file=str(token)) as source:
            found = trouble(source)
        assert (found.reason, "'c'" in found.message) == (Reason.PERMISSION, True)
        assert "hunter2" not in found.told()


@pytest.mark.parametrize("content", [None, b"", b"two words", b"a\nb", b"\xff", b"x" * (1 << 17)])
def test_a_file_that_holds_no_token_is_named_and_nothing_is_sent(tmp_path: Path, content: bytes | None) -> None:
    """The engine is not asked without it."""
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    with peer_with() as peer, engine(peer.url(), token_file=str(token)) as source:
        found = trouble(source)
    assert found.reason in (Reason.MISSING, Reason.MALFORMED)
    assert str(token) in found.message
    assert peer.asked == []


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


def read(tls: ssl.SSLContext, **entry: Any) -> str:
    with (
        peer_with(in_turn(answer(PAGE)), tls=tls) as peer,
        engine(peer.url(scheme="https"), **entry) as source,
    ):
        return source.read().engine


def refused(tls: ssl.SSLContext, **entry: Any) -> Trouble:
    with peer_with(in_turn(answer(PAGE)), tls=tls) as peer, engine(peer.url(scheme="https"), **entry) as source:
        found = trouble(source)
    assert peer.asked == []  # before anybody is trusted nothing is sent
    return found


def test_a_certificate_of_the_configured_authority_is_trusted(pki: Certificates) -> None:
    """And of no other."""
    assert read(pki.server_context(), ca_file=str(pki.ca)) == "vllm"


def test_a_certificate_of_another_authority_is_not(pki: Certificates, tmp_path: Path) -> None:
    """The token is not sent."""
    token = tmp_path / "token"
    token.write_text("hunter2")
    found = refused(pki.server_context(), ca_file=str(issue(tmp_path).ca), token_file=str(token))
    assert (found.reason, "not trusted" in found.message) == (Reason.REFUSED, True)
    assert "CA" in found.remedy


def test_an_expired_certificate_is_named_so(tmp_path: Path) -> None:
    """The remedy is the server's."""
    old = issue(tmp_path, age=2)
    found = refused(old.server_context(), ca_file=str(old.ca))
    assert "expired" in found.message
    assert "renew" in found.remedy


def test_a_certificate_for_another_name_needs_the_server_name(tmp_path: Path) -> None:
    """A pod's address is in few certificates; with the name that is in it the same server is trusted."""
    named = issue(tmp_path, name="chat.serving.svc")
    found = refused(named.server_context(), ca_file=str(named.ca))
    assert "mismatch" in found.message
    assert "name the server" in found.remedy
    other = refused(named.server_context(), ca_file=str(named.ca), server_name="other.svc")
    assert "mismatch" in other.message
    assert read(named.server_context(), ca_file=str(named.ca), server_name="chat.serving.svc") == "vllm"


def test_any_certificate_is_taken_where_somebody_says_so(tmp_path: Path) -> None:
    """Of another name, expired, of an unknown authority."""
    old = issue(tmp_path, name="chat.serving.svc", age=2)
    assert read(old.server_context(), insecure_tls=True) == "vllm"


def test_a_client_certificate_is_shown(pki: Certificates, tmp_path: Path) -> None:
    """A server that asks for one is told of none, and of one that it does not trust, in words."""
    server = pki.server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(pki.ca)
    own = {"certificate_file": str(pki.certificate), "key_file": str(pki.key)}
    assert read(server, ca_file=str(pki.ca), **own) == "vllm"
    stranger = issue(tmp_path)
    strange = {"certificate_file": str(stranger.certificate), "key_file": str(stranger.key)}
    for shown in ({}, strange):
        found = refused(server, ca_file=str(pki.ca), **shown)
        assert found.reason in (Reason.PERMISSION, Reason.REFUSED)  # REFUSED: the reset overtook the alert
        if found.reason is Reason.PERMISSION:
            assert "client certificate" in found.message


@pytest.mark.parametrize(
    ("key", "text"), [("ca_file", "x"), ("certificate_file", "x"), ("key_file", "x"), ("key_file", "")]
)
def test_a_file_that_cannot_be_used_is_named(pki: Certificates, tmp_path: Path, key: str, text: str) -> None:
    """One that is absent, and one that holds something else."""
    bad = tmp_path / "bad.pem"
    if text:
        bad.write_text(text)
    files = {"ca_file": str(pki.ca), "certificate_file": str(pki.certificate), "key_file": str(pki.key), key: str(bad)}
    found = refused(pki.server_context(), **files)
    assert found.reason is (Reason.MALFORMED if text else Reason.MISSING)
    assert str(bad) in found.message


def test_certificates_are_read_again_when_they_change(pki: Certificates, tmp_path: Path) -> None:
    """A new authority counts at the next scrape, on a new connection; as long as nothing changes the connection is kept."""
    (tmp_path / "new").mkdir()
    ca, new = tmp_path / "ca.crt", issue(tmp_path / "new")
    shutil.copy(pki.ca, ca)
    twice = in_turn(answer(PAGE), answer(PAGE))
    with (
        peer_with(twice, in_turn(answer(PAGE)), tls=pki.server_context()) as peer,
        engine(peer.url(scheme="https"), ca_file=str(ca)) as source,
    ):
        source.read()
        source.read()
        assert len(peer.asked) == 2  # on one connection: the next behaviour answers once
        replace(ca, new.ca.read_bytes())
        assert "not trusted" in trouble(source).message
