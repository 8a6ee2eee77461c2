# SPDX-License-Identifier: Apache-2.0
"""Sending through the SDK's own exporters, beside our own senders, to the same receivers."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc  # noqa: TID251  # the receiver's status codes
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # the oracle
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from example import SNAPSHOT
from inferometer import config
from inferometer.model import Reason
from inferometer.push.answer import Verdict
from inferometer.push.opening import open_sender
from inferometer.push.sender import Sender
from inferometer.push.settings import resolve
from inferometer.push.temporality import DELTAS, Preference
from inferometer.views.otlp import Encoder
from kubelet.certificates import issue
from otlp_receiver import Abort, Answer, GrpcReceiver, HttpReceiver, series

DELTA = DELTAS[Preference.DELTA]
PROTOCOLS = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
RECEIVERS: dict[str, Callable[[], HttpReceiver | GrpcReceiver]] = {"http/protobuf": HttpReceiver, "grpc": GrpcReceiver}

(REQUEST,) = Encoder().requests(SNAPSHOT, max_bytes=1 << 20)


@contextmanager
def sending(protocol: str, url: str, sender: str = "sdk", **keys: Any) -> Iterator[Sender]:
    keys = {"timeout": config.Seconds(10), **keys}
    settings, troubles = resolve(config.Otlp(endpoint=url, protocol=protocol, sender=sender, **keys), {})  # type: ignore[arg-type]  # they are
    assert settings is not None
    assert not troubles
    made = open_sender(settings)
    try:
        yield made
    finally:
        made.close()


def send(sender: Sender, request: bytes = REQUEST) -> Verdict:
    return sender.send(sender.pack(request), 5)


@PROTOCOLS
@pytest.mark.parametrize("deltas", [frozenset(), DELTA])
def test_a_receiver_gets_the_same_from_both(protocol: str, deltas: Any) -> None:
    """One snapshot, sent by us and by the SDK, is the same request to the receiver, with headers and user agent."""
    (request,) = Encoder().requests(SNAPSHOT, max_bytes=1 << 20, deltas=deltas)
    with RECEIVERS[protocol]() as receiver:
        for who in ("own", "sdk"):
            with sending(protocol, receiver.url, who, headers={"X-Tenant": "blue", "x-a-bin": "b"}) as sender:
                assert send(sender, request) == Verdict(None)
        ours, theirs = receiver.received
        assert ours.request == theirs.request
        assert theirs.headers["x-tenant"] == ours.headers["x-tenant"] == "blue"
        assert theirs.headers["x-a-bin"] == ours.headers["x-a-bin"]
        assert ours.path == theirs.path


@PROTOCOLS
def test_marks_are_left_out(protocol: str) -> None:
    """The SDK cannot say that a series ended: what is nothing but marks is not sent, and the rest of a request is."""
    marks = Encoder().requests(SNAPSHOT, max_bytes=1 << 20, ended=SNAPSHOT.points)[1:]
    with RECEIVERS[protocol]() as receiver, sending(protocol, receiver.url) as sender:
        assert [send(sender, mark) for mark in marks] == [Verdict(None)] * len(marks)
        assert not receiver.received
        assert send(sender, REQUEST + marks[0]) == Verdict(None)
        assert len(series(*receiver.received)) == len(SNAPSHOT.points)


@pytest.mark.parametrize(
    ("answer", "reason", "retry"),
    [
        (Answer(400), Reason.REJECTED, False),
        (Answer(401), Reason.PERMISSION, False),
        (Answer(413), Reason.TOO_LARGE, False),
        (Answer(302, headers=(("Location", "/elsewhere"),)), Reason.REJECTED, False),
    ],
)
def test_an_answer_by_http_is_judged_as_ours_is(answer: Answer, reason: Reason, retry: bool) -> None:
    """What the SDK says is a failure or a success, for a redirect even; what the receiver said decides."""
    with HttpReceiver() as receiver, sending("http/protobuf", receiver.url) as sender:
        receiver.answers.append(answer)
        verdict = send(sender)
        assert (verdict.reason, verdict.retry) == (reason, retry)
        assert str(answer.status) in verdict.message


def test_partial_success_by_http_is_read() -> None:
    """The SDK does not look at it; we do."""
    refusal = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too old")
    body = ExportMetricsServiceResponse(partial_success=refusal).SerializeToString()
    with HttpReceiver() as receiver, sending("http/protobuf", receiver.url) as sender:
        receiver.answers.append(Answer(body=body))
        assert send(sender) == Verdict(None, "too old", rejected=2)


def test_a_long_answer_by_http_is_not_read_to_its_end() -> None:
    """Under a success it is one, whatever it says; the next request goes out as if nothing had been."""
    with HttpReceiver() as receiver, sending("http/protobuf", receiver.url) as sender:
        receiver.answers.append(Answer(body=b"x" * 3_000_000))
        assert [send(sender), send(sender)] == [Verdict(None)] * 2
        assert len(receiver.received) == 2


@pytest.mark.parametrize(
    ("code", "reason", "retry"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, Reason.REJECTED, False),
        (grpc.StatusCode.UNAUTHENTICATED, Reason.PERMISSION, False),
    ],
)
def test_a_failure_by_grpc_has_its_reason(code: grpc.StatusCode, reason: Reason, retry: bool) -> None:
    """The code is in the SDK's log alone, from where it is taken."""
    with GrpcReceiver() as receiver, sending("grpc", receiver.url) as sender:
        receiver.answers.append(Abort(code, "not so"))
        assert send(sender) == Verdict(reason, f"{code.name}: not so", retry)


class Kept(logging.Handler):
    """Keeps the names of those who log."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.names.append(record.name)


@PROTOCOLS
def test_a_receiver_that_is_away_is_worth_another_try(protocol: str, capfd: pytest.CaptureFixture[str]) -> None:
    """After the SDK's own retries the request may still be sent again, and the SDK's log stays out of ours."""
    with RECEIVERS[protocol]() as receiver:
        url = receiver.url
    kept = Kept()
    logging.getLogger().addHandler(kept)
    try:
        with sending(protocol, url, timeout=config.Seconds(0.2)) as sender:
            verdict = send(sender)
    finally:
        logging.getLogger().removeHandler(kept)
    assert (verdict.reason, verdict.retry) in {(Reason.REFUSED, True), (Reason.TIMEOUT, True)}
    assert not [name for name in kept.names if name.startswith("opentelemetry")]
    assert "xport" not in capfd.readouterr().err


@PROTOCOLS
def test_certificates_are_used(protocol: str, tmp_path: Any) -> None:
    """The authority of the settings is trusted on the SDK's way too."""
    issued = issue(tmp_path)
    if protocol == "grpc":
        pair = (issued.key.read_bytes(), issued.certificate.read_bytes())
        receiver: HttpReceiver | GrpcReceiver = GrpcReceiver(credentials=grpc.ssl_server_credentials([pair]))
    else:
        receiver = HttpReceiver(tls=issued.server_context())
    with receiver, sending(protocol, receiver.url, certificate=str(issued.ca)) as sender:
        assert send(sender) == Verdict(None)


def test_the_sdk_is_only_imported_where_it_is_used() -> None:
    """An agent whose own sender sends does not load a line of the SDK."""
    code = (
        "import sys; from inferometer import config; from inferometer.push import Push\n"
        "Push(config.Otlp(endpoint='http://127.0.0.1:9'), {}, lambda *a, **k: (b'x',), lambda: None).flush(0.2)\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry', 'requests', 'backports'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stderr=subprocess.DEVNULL)
