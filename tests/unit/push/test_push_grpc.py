# SPDX-License-Identifier: Apache-2.0
"""Pushing by gRPC to a real receiver."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc  # noqa: TID251  # the receiver's status codes and credentials
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # the oracle
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from example import GPU, SNAPSHOT, point, snapshot
from inferometer import catalog, config
from inferometer.model import Snapshot
from inferometer.push import Push, drain
from inferometer.views.otlp import Encoder
from kubelet.certificates import issue
from otlp_receiver import Abort, GrpcReceiver, series

Make = Callable[..., Push]

# google.rpc.Status{details: [Any{type_url: ".../google.rpc.RetryInfo", value: RetryInfo{retry_delay: {nanos: 1000}}}]}
URL = b"type.googleapis.com/google.rpc.RetryInfo"
RETRY_SOON = b"\x1a\x31" + b"\x0a\x28" + URL + b"\x12\x05\x0a\x03\x10\xe8\x07"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_FIRST_WAIT", 0.02)


@pytest.fixture
def make() -> Iterator[Make]:
    pushes: list[Push] = []

    def make_one(endpoint: str, newest: Callable[[], Snapshot | None] = lambda: SNAPSHOT, **keys: Any) -> Push:
        keys = {"timeout": config.Seconds(30), **keys}
        push = Push(config.Otlp(endpoint=endpoint, protocol="grpc", **keys), {}, Encoder().requests, newest)
        pushes.append(push)
        return push

    yield make_one
    for push in pushes:
        push.close(0.5)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_newest_snapshot_arrives_whole(make: Make, compression: str) -> None:
    """Every point reaches MetricsService/Export, with the headers that were asked for as metadata."""
    with GrpcReceiver() as receiver:
        push = make(receiver.url, compression=compression, headers={"X-Tenant": "blue"})
        assert push.flush(30)
        (received,) = receiver.received
        assert received.headers["x-tenant"] == "blue"
        assert received.headers["user-agent"].startswith("inferometer/")
        assert len(series(received)) == len(SNAPSHOT.points)
        assert push.outcomes == {"success": 1}


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    ],
)
def test_passing_failures_are_tried_again(make: Make, code: grpc.StatusCode) -> None:
    """The codes that the specification names are retried within the push."""
    with GrpcReceiver() as receiver:
        receiver.answers.append(Abort(code))
        push = make(receiver.url)
        assert push.flush(30)
        assert len(receiver.received) == 2
        assert push.outcomes == {"success": 1}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "rejected"),
        (grpc.StatusCode.UNAUTHENTICATED, "permission"),
        (grpc.StatusCode.PERMISSION_DENIED, "permission"),
        (grpc.StatusCode.UNIMPLEMENTED, "unsupported"),
        (grpc.StatusCode.INTERNAL, "rejected"),
    ],
)
def test_bad_data_are_dropped_once(make: Make, code: grpc.StatusCode, outcome: str) -> None:
    """Every other code ends the push, and is counted by its reason."""
    with GrpcReceiver() as receiver:
        receiver.answers.append(Abort(code))
        push = make(receiver.url)
        assert not push.flush(30)
        assert len(receiver.received) == 1
        assert push.outcomes == {outcome: 1}


def test_resource_exhausted_with_a_delay_is_overload(make: Make) -> None:
    """With a RetryInfo the same request is tried again after the delay."""
    with GrpcReceiver() as receiver:
        receiver.answers.append(Abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", RETRY_SOON))
        push = make(receiver.url)
        assert push.flush(30)
        first, second = receiver.received
        assert first.request == second.request


def test_resource_exhausted_without_a_delay_is_size(make: Make) -> None:
    """Without one the push is split smaller, once, instead of being repeated for ever."""
    many = tuple(point(catalog.OWNER_INFO, {**GPU, "k8s.pod.name": f"pod-{n:04}" * 4}, 1.0) for n in range(2000))
    with GrpcReceiver() as receiver:
        receiver.max_bytes = 200_000
        ticks = (snapshot(*(p._replace(at=p.at + tick) for p in many)) for tick in itertools.count())
        push = make(receiver.url, lambda: next(ticks), max_request=config.Size(300_000))
        assert push.flush(30)
        assert len(series(*(r for r in receiver.received if r.size <= 200_000))) == 2000
        receiver.max_bytes = 10
        count = len(receiver.received)
        assert not push.flush(30)
        sizes = [received.size for received in receiver.received[count:]]
        assert push.outcomes == {"success": 1, "too_large": 1}
        assert push.spool is not None
        assert push.spool.dropped["too_large"] == (sum(size <= 64 * 1024 for size in sizes), 2000)


def test_partial_success_is_counted(make: Make) -> None:
    """Points that the receiver refuses make the push partial."""
    with GrpcReceiver() as receiver:
        refusal = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too old")
        receiver.answers.append(ExportMetricsServiceResponse(partial_success=refusal))
        push = make(receiver.url)
        assert push.flush(30)
        assert push.outcomes == {"partial": 1}


def test_a_receiver_that_comes_back_is_found(make: Make) -> None:
    """Nobody listening is a refusal; once somebody does, the next push arrives, on a new channel."""
    with GrpcReceiver() as receiver:
        port = receiver.port
    push = make(f"http://127.0.0.1:{port}", timeout=config.Seconds(0.5))
    assert not push.flush(30)
    assert set(push.outcomes) <= {"refused", "timeout"}
    with GrpcReceiver(port) as receiver:
        until = time.monotonic() + 30
        while not push.flush(30):
            assert time.monotonic() < until
        assert len(receiver.received) == 1


def test_a_series_that_ended_is_ended_once(make: Make) -> None:
    """The mark of an ended series goes by gRPC as well."""
    shown = [SNAPSHOT]
    with GrpcReceiver() as receiver:
        push = make(receiver.url, lambda: shown[-1])
        assert push.flush(30)
        for _ in range(2):
            fewer = tuple(p for p in SNAPSHOT.points if p.metric is not catalog.OWNER_INFO)
            shown.append(replace(SNAPSHOT, at=shown[-1].at + 5, points=fewer))
            assert push.flush(30)
        assert [s.metric for s in series(*receiver.received) if s.ended] == ["gpu.owner.info"]


def test_tls_with_a_private_authority_and_a_client_certificate(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over mutual TLS the push arrives with all three files, and is refused without them."""
    issued = issue(tmp_path)
    pair = (issued.key.read_bytes(), issued.certificate.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], issued.ca.read_bytes(), require_client_auth=True)
    with GrpcReceiver(credentials=credentials) as receiver:
        files = {"client_certificate": str(issued.certificate), "client_key": str(issued.key)}
        assert make(receiver.url, certificate=str(issued.ca), **files).flush(30)
        assert not make(receiver.url, certificate=str(issued.ca), timeout=config.Seconds(0.3)).flush(30)
        monkeypatch.setattr(drain, "_FIRST_WAIT", 3600.0)  # once is enough, however long it takes
        push = make(receiver.url)
        assert not push.flush(30)
        assert push.outcomes == {"refused": 1}
        push = make(receiver.url, certificate=str(tmp_path / "none.pem"))
        assert not push.flush(30)
        assert push.outcomes == {"missing": 1}
        assert len(receiver.received) == 1


def test_closing_cuts_off_a_call_that_hangs(make: Make) -> None:
    """A receiver that never answers does not hold up the end of the agent."""
    with GrpcReceiver() as receiver:
        held = threading.Event()
        hangs = receiver._take

        def hang(received: Any) -> Any:
            answer = hangs(received)
            held.wait(60)
            return answer

        receiver._take = hang  # type: ignore[method-assign]  # a receiver that takes a request and says nothing
        push = make(receiver.url, timeout=config.Seconds(30))
        push.start()
        receiver.wait_for(1)
        push.close(0.3)
        push._thread.join(30)
        assert not push._thread.is_alive()
        held.set()


def test_grpc_is_only_imported_where_it_is_used() -> None:
    """An agent that pushes by HTTP, or not at all, does not pay for grpcio."""
    code = (
        "import sys; from inferometer import config; from inferometer.push import Push\n"
        "Push(config.Otlp(endpoint='http://127.0.0.1:9'), {}, lambda *a, **k: (b'x',), lambda: object()).flush(0.2)\n"
        "assert 'grpc' not in sys.modules and 'google.protobuf' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, stderr=subprocess.DEVNULL)
