# SPDX-License-Identifier: Apache-2.0
"""Certificates of both ends: renewed while a connection lives, half renewed, expired; by HTTP and by gRPC."""

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc  # noqa: TID251  # the receiver's credentials
import pytest

from example import SNAPSHOT
from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.push.opening import open_sender
from inferometer.push.sender import Sender
from inferometer.push.settings import Settings, resolve
from inferometer.views.otlp import Encoder
from kubelet.certificates import Certificates, issue
from otlp_receiver import GrpcReceiver, HttpReceiver

(REQUEST,) = Encoder().requests(SNAPSHOT, max_bytes=1 << 20)
PROTOCOLS = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])

Receive = Callable[..., AbstractContextManager[HttpReceiver | GrpcReceiver]]


@contextmanager
def receiving(
    protocol: str, issued: Certificates, *, asks: Path | None = None, port: int = 0
) -> Iterator[HttpReceiver | GrpcReceiver]:
    """Receive by TLS; `asks` is the authority that a client's certificate has to be of."""
    if protocol == "grpc":
        pair = (issued.key.read_bytes(), issued.certificate.read_bytes())
        authority = asks.read_bytes() if asks else None
        credentials = grpc.ssl_server_credentials([pair], authority, require_client_auth=asks is not None)
        with GrpcReceiver(port, credentials) as receiver:
            yield receiver
        return
    context = issued.server_context()
    if asks:
        context.load_verify_locations(asks)
        context.verify_mode = ssl.CERT_REQUIRED
    with HttpReceiver(port, context) as over_http:
        yield over_http


def configured(protocol: str, url: str, **keys: str) -> Settings:
    settings, troubles = resolve(config.Otlp(endpoint=url, protocol=protocol, **keys), {})  # type: ignore[arg-type]  # texts
    assert settings is not None
    assert not troubles
    return settings


@contextmanager
def sending(settings: Settings) -> Iterator[Sender]:
    sender = open_sender(settings)
    try:
        yield sender
    finally:
        sender.close()


def put(issued: Certificates, folder: Path) -> None:
    """Renew the files in a folder."""
    for file in (issued.ca, issued.certificate, issued.key):
        shutil.copy(file, folder / f".{file.name}")
        (folder / f".{file.name}").rename(folder / file.name)


def folders(tmp_path: Path, *names: str) -> list[Path]:
    made = [tmp_path / name for name in names]
    for each in made:
        each.mkdir()
    return made


@PROTOCOLS
def test_an_authority_that_is_renewed_is_trusted_at_once(protocol: str, tmp_path: Path) -> None:
    """While a connection lives, another file is a new connection: the old server is no longer trusted, the new one is."""
    one, two, mounted = folders(tmp_path, "one", "two", "mounted")
    old, new = issue(one), issue(two)
    put(old, mounted)
    with receiving(protocol, old) as receiver:
        settings = configured(protocol, receiver.url, certificate=str(mounted / "ca.crt"))
        with sending(settings) as sender:
            packed = sender.pack(REQUEST)
            assert sender.send(packed, 10).reason is None
            put(new, mounted)
            refused = sender.send(packed, 10)
            assert (refused.reason, refused.retry) == (Reason.REFUSED, True)
            assert "certificate" in refused.message.lower()
            put(old, mounted)
            assert sender.send(packed, 10).reason is None
            assert len(receiver.received) == 2


@PROTOCOLS
def test_a_pair_that_is_renewed_is_shown_at_once(protocol: str, tmp_path: Path) -> None:
    """A client certificate that the receiver does not know is mended by its renewal, without a new sender."""
    one, two, mounted = folders(tmp_path, "one", "two", "mounted")
    stranger, known = issue(one), issue(two)
    put(stranger, mounted)
    with receiving(protocol, known, asks=known.ca) as receiver:
        settings = configured(
            protocol,
            receiver.url,
            certificate=str(known.ca),
            client_certificate=str(mounted / "server.crt"),
            client_key=str(mounted / "server.key"),
        )
        with sending(settings) as sender:
            packed = sender.pack(REQUEST)
            refused = sender.send(packed, 10)
            assert refused.reason in {Reason.PERMISSION, Reason.REFUSED}
            assert refused.retry
            assert not receiver.received
            put(known, mounted)
            assert sender.send(packed, 10).reason is None


@PROTOCOLS
def test_a_pair_that_is_half_renewed_is_tried_again(protocol: str, tmp_path: Path) -> None:
    """A certificate without its own key is named and sends nothing; once the key has followed, the request goes out."""
    one, two, mounted = folders(tmp_path, "one", "two", "mounted")
    old, new = issue(one), issue(two)
    put(old, mounted)
    with receiving(protocol, old) as receiver:
        settings = configured(
            protocol,
            receiver.url,
            certificate=str(old.ca),
            client_certificate=str(mounted / "server.crt"),
            client_key=str(mounted / "server.key"),
        )
        with sending(settings) as sender:
            packed = sender.pack(REQUEST)
            assert sender.send(packed, 10).reason is None
            shutil.copy(new.certificate, mounted / "server.crt")
            half = sender.send(packed, 10)
            assert (half.reason, half.retry) == (Reason.MALFORMED, True)
            assert "server.crt" in half.message
            shutil.copy(new.key, mounted / "server.key")
            assert sender.send(packed, 10).reason is None
            (mounted / "server.key").unlink()
            gone = sender.send(packed, 10)
            assert (gone.reason, gone.retry) == (Reason.MISSING, True)
            assert "server.key" in gone.message


@PROTOCOLS
def test_a_file_that_is_no_certificate_is_named_at_the_start(protocol: str, tmp_path: Path) -> None:
    """What can never work is a trouble with its place, not a handshake that fails."""
    garbage = tmp_path / "ca.crt"
    garbage.write_text("garbage", encoding="ascii")
    with pytest.raises(Trouble, match=r"ca\.crt") as caught:
        open_sender(configured(protocol, "https://127.0.0.1:9", certificate=str(garbage)))
    assert caught.value.reason is Reason.MALFORMED


@PROTOCOLS
def test_a_receiver_whose_certificate_has_expired_is_named_so(protocol: str, tmp_path: Path) -> None:
    """The reason says what has happened, and the request is kept: renewal mends it without anybody's help."""
    one, two = folders(tmp_path, "one", "two")
    expired, good = issue(one, age=3), issue(two)
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes(expired.ca.read_bytes() + good.ca.read_bytes())
    with receiving(protocol, expired) as receiver:
        port = receiver.port
        with sending(configured(protocol, receiver.url, certificate=str(trusted))) as sender:
            verdict = sender.send(sender.pack(REQUEST), 10)
    assert (verdict.reason, verdict.retry) == (Reason.REFUSED, True)
    assert "certificate has expired" in verdict.message
    with (
        receiving(protocol, good, port=port) as receiver,
        sending(configured(protocol, receiver.url, certificate=str(trusted))) as sender,
    ):
        assert sender.send(sender.pack(REQUEST), 10).reason is None
