# SPDX-License-Identifier: Apache-2.0
"""Pushing by HTTP to a real receiver: what arrives, and what failures cost."""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import compress, repeat
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # the oracle
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from example import ENGINE, GPU, POD, SNAPSHOT, point, snapshot
from inferometer import catalog, config
from inferometer.model import Point, Snapshot
from inferometer.push import Push, drain, exporter
from inferometer.push.changes import find_ended, find_fresh, mark, without_returned
from inferometer.push.sheet import Sheet
from inferometer.views.otlp import Encoder
from kubelet.certificates import issue
from otlp_receiver import Answer, HttpReceiver, Received, point_times, series

Start = Callable[..., Push]


class Newest:
    """The newest snapshot, as the application would hand it over."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot

    def __call__(self) -> Snapshot | None:
        return self.snapshot


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_FIRST_WAIT", 0.02)  # a retry after a second proves nothing more
    monkeypatch.setattr(drain, "_LONGEST_WAIT", 0.1)


@pytest.fixture
def make() -> Iterator[Start]:
    pushes: list[Push] = []

    def make_one(
        endpoint: str,
        newest: Newest,
        *,
        environ: Mapping[str, str] | None = None,
        encode: exporter.Encode | None = None,
        interval: float = 60,
        timeout: float = 30,
        **keys: Any,
    ) -> Push:
        keys = {"interval": config.Seconds(interval), "timeout": config.Seconds(timeout), **keys}
        settings = config.Otlp(endpoint=endpoint, **keys)
        push = Push(settings, environ or {}, encode or Encoder().requests, newest)
        pushes.append(push)
        return push

    yield make_one
    for push in pushes:
        push.close(0.5)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "the condition never came true"
        time.sleep(0.005)


def losses(push: Push) -> dict[str, tuple[int, int]]:
    """Give the requests and points that the receiver will never have, by reason."""
    assert push.spool is not None
    return {reason: lost for reason, lost in push.spool.dropped.items() if lost != (0, 0)}


def without(shown: Snapshot, *metrics: object) -> Snapshot:
    """Give the snapshot of a tick later: everything was read again, and these metrics are gone."""
    kept = tuple(p._replace(at=p.at + 5) for p in shown.points if p.metric not in metrics)
    return replace(shown, at=shown.at + 5, points=kept)


# --- what arrives ---


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_the_newest_snapshot_arrives_whole(make: Start, compression: str) -> None:
    """Every point reaches the receiver at /v1/metrics, with the headers that were asked for."""
    with HttpReceiver() as receiver:
        push = make(receiver.url, Newest(SNAPSHOT), compression=compression, headers={"X-Tenant": "blue"})
        assert push.flush(30)
        (received,) = receiver.received
        assert received.path == "/v1/metrics"
        assert received.headers["x-tenant"] == "blue"
        assert received.headers["content-type"] == "application/x-protobuf"
        assert received.headers["user-agent"].startswith("inferometer/")
        assert received.headers.get("content-encoding", "none") == compression
        assert len(series(received)) == len(SNAPSHOT.points)
        assert push.outcomes == {"success": 1}


def test_the_thread_pushes_at_each_interval_and_only_what_is_new(make: Start) -> None:
    """The first push comes with the first snapshot; a snapshot that has arrived is not sent again."""
    newest = Newest()
    with HttpReceiver() as receiver:
        push = make(receiver.url, newest, interval=0.1)
        push.start()
        newest.snapshot = SNAPSHOT
        receiver.wait_for(1)
        newest.snapshot = without(SNAPSHOT)
        receiver.wait_for(2)
        wait_until(lambda: push.outcomes == {"success": 2})
        assert push.flush(30)
        assert len(receiver.received) == 2


def test_without_an_endpoint_there_is_no_thread_and_closing_is_safe() -> None:
    """An agent that pushes nothing pays nothing."""
    push = Push(config.Otlp(), {}, Encoder().requests, Newest(SNAPSHOT))
    before = threading.active_count()
    push.start()
    assert threading.active_count() == before
    assert push.flush(1)
    push.close()
    assert push.outcomes == {}


def test_closing_sends_what_is_new(make: Start) -> None:
    """The last snapshot arrives when the agent ends, although its interval is not over."""
    newest = Newest(SNAPSHOT)
    with HttpReceiver() as receiver:
        push = make(receiver.url, newest)
        push.start()
        receiver.wait_for(1)
        newest.snapshot = without(SNAPSHOT)
        push.close(30)
        assert len(receiver.received) == 2
        assert not push._thread.is_alive()


def test_a_series_that_ended_is_ended_once(make: Start) -> None:
    """A series that was sent and is no more gets one point without a value, then silence; the others go on."""
    newest = Newest(SNAPSHOT)
    with HttpReceiver() as receiver:
        push = make(receiver.url, newest)
        assert push.flush(30)
        for _ in range(2):
            newest.snapshot = without(newest.snapshot or SNAPSHOT, catalog.OWNER_INFO)
            assert push.flush(30)
        first = next(s for s in series(receiver.received[0]) if s.metric == "gpu.owner.info")
        marks = [s for received in receiver.received for s in series(received) if s.ended]
        assert [(mark.metric, mark.attributes, mark.resource) for mark in marks] == [first[:3]]
        assert series(receiver.received[-1])
        assert len(series(receiver.received[-1])) == len(SNAPSHOT.points) - 1


def test_a_series_that_ended_during_an_outage_is_ended_afterwards(make: Start) -> None:
    """What the receiver knows decides: an end in a request that it refused is told again."""
    newest = Newest(SNAPSHOT)
    with HttpReceiver() as receiver:
        push = make(receiver.url, newest)
        assert push.flush(30)
        receiver.answers.extend([Answer(400)] * 4)  # two pushes of points and of ends
        new = point(catalog.OWNER_INFO, {**GPU, "k8s.pod.name": "short-lived"}, 1.0)
        newest.snapshot = snapshot(new)  # it comes and goes unseen
        assert not push.flush(30)
        newest.snapshot = without(SNAPSHOT, catalog.OWNER_INFO)
        assert not push.flush(30)
        newest.snapshot = without(newest.snapshot)
        assert push.flush(30)
        ended = {s.attributes for s in series(*receiver.received[5:]) if s.ended}
        assert ended == {s.attributes for s in series(receiver.received[0]) if s.metric == "gpu.owner.info"} | {
            s.attributes for s in series(receiver.received[1]) if s.metric == "gpu.owner.info" and not s.ended
        }


class Markless(HttpReceiver):
    """One that refuses every mark of an end."""

    def _take(self, received: Received) -> Any:
        answer = super()._take(received)
        return Answer(400) if any(one.ended for one in series(received)) else answer


def test_an_end_that_is_always_refused_is_let_be(make: Start) -> None:
    """A receiver that takes no marks is told of an end five times, and not for ever; all else reaches it."""
    newest = Newest(SNAPSHOT)
    with Markless() as receiver:
        push = make(receiver.url, newest)
        assert push.flush(30)
        newest.snapshot = without(SNAPSHOT, catalog.OWNER_INFO)
        for _ in range(8):
            push.flush(30)
            newest.snapshot = without(newest.snapshot)
        marked = [received for received in receiver.received if any(s.ended for s in series(received))]

    assert len(marked) == 5
    assert len(receiver.received) == 1 + 8 + 5


def test_a_resource_is_part_of_a_series() -> None:
    """The same metric and attributes from another resource is another series, and the first one has ended."""
    before = snapshot(point(catalog.REQUESTS_RUNNING, ENGINE, 1.0))
    after = snapshot(point(catalog.REQUESTS_RUNNING, ENGINE, 1.0, resource=POD))
    sheet = Sheet.of(before)
    assert find_ended(sheet, Sheet.of(after)) == before.points
    assert find_ended(sheet, sheet) == ()
    assert find_ended(None, Sheet.of(after)) == ()
    moved = snapshot(*reversed(SNAPSHOT.points))
    assert find_ended(Sheet.of(SNAPSHOT), Sheet.of(moved)) == ()


def test_a_point_of_the_same_read_is_not_sent_again() -> None:
    """What stands in two snapshots, a frozen counter or a frame in its grace, is sent once: an old point is no news."""
    frozen, moving = point(catalog.REQUESTS_RUNNING, ENGINE, 1.0), point(catalog.POWER, GPU, 300.0)
    later = moving._replace(value=310.0, at=moving.at + 5)

    def fresh(sent: Snapshot | None, newest: Snapshot) -> list[Point]:
        picks = find_fresh(Sheet.of(sent) if sent else None, Sheet.of(newest))
        return [p for columns, flags in picks for p in compress(columns.group, flags or repeat(True))]

    assert fresh(snapshot(frozen, moving), snapshot(frozen, later)) == [later]
    assert fresh(snapshot(frozen), snapshot(frozen, later)) == [later]
    assert fresh(None, snapshot(frozen)) == [frozen]
    other = point(catalog.POWER, {**GPU, "hw.id": "GPU-9"}, 1.0)
    assert fresh(snapshot(moving, other), snapshot(later, other)) == [later]
    assert fresh(snapshot(moving), snapshot(other, moving)) == [other]


def test_a_point_that_just_missed_a_push_goes_in_a_request_of_its_own(make: Start) -> None:
    """What was read before the previous snapshot and noted after it cannot have the rest of the next one refused."""
    newest = Newest(snapshot(point(catalog.POWER, GPU, 300.0)))
    with HttpReceiver() as receiver:
        push = make(receiver.url, newest)
        assert push.flush(30)
        before = newest.snapshot
        assert before is not None
        late = point(catalog.REQUESTS_RUNNING, ENGINE, 1.0)._replace(at=before.at - 0.001)
        newest.snapshot = replace(snapshot(late, *without(before).points), at=before.at + 5)
        assert push.flush(30)
        assert [[s.metric for s in series(received)] for received in receiver.received[1:]] == [
            ["inference.requests.running"],
            ["hw.power"],
        ]
        assert push.outcomes == {"success": 2}


def test_a_series_that_is_back_says_nothing_from_before_its_end(make: Start) -> None:
    """A slower tier's reading may be older than the end of its series: a receiver would refuse it, and all with it."""
    moving, slower = point(catalog.POWER, GPU, 300.0), point(catalog.TEMPERATURE, GPU, 50.0)
    newest = Newest(snapshot(moving, slower))
    with HttpReceiver() as receiver:
        push = make(receiver.url, newest)

        def told(*points: Point, after: float) -> list[tuple[str, bool]]:
            first = len(receiver.received)
            at = SNAPSHOT.at + after
            newest.snapshot = replace(snapshot(*points), at=at)
            assert push.flush(30)
            return [(s.metric, s.ended) for received in receiver.received[first:] for s in series(received)]

        assert push.flush(30)
        again = moving._replace(at=SNAPSHOT.at + 10)
        assert told(moving._replace(at=SNAPSHOT.at + 5), after=5) == [("hw.power", False), ("hw.temperature", True)]
        assert told(again, slower._replace(at=SNAPSHOT.at + 4), after=10) == [("hw.power", False)]
        assert told(again, slower._replace(at=SNAPSHOT.at + 12), after=12) == [("hw.temperature", False)]
    assert push.outcomes == {"success": 4}


def test_ends_are_remembered_for_an_hour_and_not_after_a_clock_was_set_back() -> None:
    """What nobody could still say late needs no memory."""
    one = point(catalog.POWER, GPU, 300.0)
    marked = mark({}, (one,), 1_000.0)

    for at, left in (1_000.0, 0), (1_000.1, 1):
        newest = snapshot(one._replace(at=at))
        assert len(without_returned(newest, Sheet.of(newest), marked).points) == left
    assert mark(marked, (), 4_599.0) == marked
    assert mark(marked, (), 4_600.0) == {}
    assert mark(marked, (), 999.0) == {}


# --- failures ---


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_passing_failures_are_tried_again_within_the_push(make: Start, status: int) -> None:
    """The same bytes go out again, and the push counts once, as a success."""
    with HttpReceiver() as receiver:
        receiver.answers.extend([Answer(status), Answer(status)])
        push = make(receiver.url, Newest(SNAPSHOT))
        assert push.flush(30)
        assert len({r.request.SerializeToString() for r in receiver.received}) == 1
        assert len(receiver.received) == 3
        assert push.outcomes == {"success": 1}


@pytest.mark.parametrize(
    ("status", "outcome"), [(400, "rejected"), (401, "permission"), (404, "rejected"), (500, "rejected")]
)
def test_bad_data_are_dropped_once(make: Start, status: int, outcome: str) -> None:
    """What would fail again is not sent again; the next snapshot is."""
    newest = Newest(SNAPSHOT)
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(status))
        push = make(receiver.url, newest)
        assert not push.flush(30)
        assert len(receiver.received) == 1
        newest.snapshot = without(SNAPSHOT)
        assert push.flush(30)
        assert push.outcomes == {outcome: 1, "success": 1}


def test_retry_after_is_honoured(make: Start) -> None:
    """A retry waits as long as the receiver asks for, and not at all where that is longer than the push may take."""
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(503, headers=(("Retry-After", "1"),)))
        push = make(receiver.url, Newest(SNAPSHOT))
        began = time.monotonic()
        assert push.flush(30)
        assert time.monotonic() - began >= 1.0
        assert len(receiver.received) == 2
        receiver.answers.append(Answer(429, headers=(("Retry-After", "3600"),)))
        push = make(receiver.url, Newest(SNAPSHOT))
        assert not push.flush(30)
        assert len(receiver.received) == 3


def test_the_thread_is_silent_as_long_as_the_receiver_asks(make: Start) -> None:
    """A Retry-After beyond the push holds back the next intervals too."""
    newest = Newest(SNAPSHOT)
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(429, headers=(("Retry-After", "4"),)))
        push = make(receiver.url, newest, interval=0.1, timeout=3)
        began = time.monotonic()
        push.start()
        receiver.wait_for(2)
        assert time.monotonic() - began >= 4.0


def test_a_receiver_that_hangs_costs_one_timeout(make: Start) -> None:
    """Without an answer a push ends at its timeout, retries included, and is counted so."""
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(hang=True))
        push = make(receiver.url, Newest(SNAPSHOT), timeout=0.3)
        assert not push.flush(30)
        assert push.outcomes == {"timeout": 1}


def test_closing_does_not_wait_for_a_receiver_that_hangs(make: Start) -> None:
    """A push that is under way is cut off when the agent has to end, and its thread ends with it."""
    with HttpReceiver() as receiver:
        receiver.answers.extend([Answer(hang=True)] * 5)
        push = make(receiver.url, Newest(SNAPSHOT), timeout=30)
        push.start()
        receiver.wait_for(1)
        push.close(0.3)
        wait_until(lambda: not push._thread.is_alive())


def test_partial_success_is_counted_and_logged_once(make: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Points that the receiver refuses make the push partial; it says why once, not at every push."""
    newest = Newest(SNAPSHOT)
    refusal = ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too many labels")
    body = ExportMetricsServiceResponse(partial_success=refusal).SerializeToString()
    with HttpReceiver() as receiver, caplog.at_level(logging.INFO):
        push = make(receiver.url, newest)
        receiver.answers.extend([Answer(body=body), Answer(body=body)])
        for _ in range(3):
            newest.snapshot = without(newest.snapshot or SNAPSHOT)
            assert push.flush(30)
        assert push.outcomes == {"partial": 2, "success": 1}
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "3 of its points: too many labels" in warnings[0]


def test_a_request_that_is_too_large_is_split_and_stays_so(make: Start) -> None:
    """A 413 halves the request once a push; the size that works is kept for the next push."""
    newest = Newest(SNAPSHOT)
    many = tuple(point(catalog.OWNER_INFO, {**GPU, "k8s.pod.name": f"pod-{n:04}" * 4}, 1.0) for n in range(2000))
    newest.snapshot = snapshot(*many)
    with HttpReceiver() as receiver:
        push = make(receiver.url, newest, max_request=config.Size(300_000))
        receiver.max_bytes = 200_000
        assert push.flush(30)
        assert receiver.received[0].size > 200_000
        taken = [r for r in receiver.received if r.size <= 150_000]
        assert len(series(*taken)) == 2000
        count = len(receiver.received)
        newest.snapshot = without(newest.snapshot)
        assert push.flush(30)
        assert all(r.size <= 150_000 for r in receiver.received[count:])
        assert push.outcomes == {"success": 2}


def test_a_receiver_that_takes_nothing_is_not_tried_for_ever(make: Start) -> None:
    """A request that is still too large when it is smaller than any receiver's limit is dropped and counted."""
    with HttpReceiver() as receiver:
        receiver.max_bytes = 10
        push = make(receiver.url, Newest(SNAPSHOT))
        assert not push.flush(30)
        assert len(receiver.received) == 1
        assert push.outcomes == {"too_large": 1}
        assert losses(push) == {"too_large": (1, len(SNAPSHOT.points))}


def test_an_outage_of_ten_intervals_loses_nothing(make: Start, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be sent arrives in its order, each point once and at its own time; two lines of the log tell of it."""
    newest = Newest(SNAPSHOT)
    with HttpReceiver() as receiver:
        port = receiver.port
    with caplog.at_level(logging.INFO):
        push = make(f"http://127.0.0.1:{port}", newest, interval=0.1, timeout=5)
        push.start()
        for waiting in range(1, 11):
            wait_until(lambda: push.spool is not None and push.spool.requests == waiting)  # noqa: B023  # it is called at once
            newest.snapshot = without(newest.snapshot or SNAPSHOT)
        wait_until(lambda: push.outcomes.get("refused", 0) > 0)
        with HttpReceiver(port) as receiver:
            wait_until(lambda: push.outcomes.get("success", 0) == 11)
            times = [sorted(point_times(received)) for received in receiver.received]
    assert times == [sorted(round(p.at + 5 * n, 3) for p in SNAPSHOT.points) for n in range(11)]
    assert losses(push) == {}
    messages = [r.getMessage() for r in caplog.records]
    assert sum("fails" in message for message in messages) == 1
    assert sum("works again" in message for message in messages) == 1


def test_a_defect_in_the_encoder_fails_that_push_only(make: Start) -> None:
    """An exception of ours is an outcome, and the thread goes on."""
    defective = True

    def encode(shown: Snapshot, **keys: Any) -> tuple[bytes, ...]:
        if defective:
            raise KeyError("defect")
        return Encoder().requests(shown, **keys)

    with HttpReceiver() as receiver:
        push = make(receiver.url, Newest(SNAPSHOT), encode=encode)
        assert not push.flush(30)
        defective = False
        assert push.flush(30)
        assert push.outcomes == {"internal": 1, "success": 1}


def test_bad_settings_are_said_at_the_start_and_no_secret_is(make: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Every value that is ignored is one warning; neither it nor a failure shows a header, a password or a query."""
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": "bad", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sesame"}
    with HttpReceiver() as receiver, caplog.at_level(logging.DEBUG):
        receiver.answers.extend([Answer(401), Answer(503)])
        endpoint = receiver.url.replace("http://", "http://user:sesame@") + "?key=sesame"
        push = make(endpoint, Newest(SNAPSHOT), environ=environ, timeout=0.5)
        push.start()
        receiver.wait_for(1)
        push.close(1)
        assert receiver.received[0].headers["authorization"] == "Bearer sesame"
    assert "OTEL_EXPORTER_OTLP_TIMEOUT" in caplog.text
    assert "sesame" not in caplog.text


# --- TLS ---


def test_a_private_authority_is_trusted_where_it_is_named(
    make: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the authority's file the push arrives; without it the certificate is refused, and nothing is sent."""
    certificates = issue(tmp_path)
    with HttpReceiver(tls=certificates.server_context()) as receiver:
        assert make(receiver.url, Newest(SNAPSHOT), certificate=str(certificates.ca)).flush(30)
        monkeypatch.setattr(drain, "_FIRST_WAIT", 3600.0)  # once is enough, however long it takes
        monkeypatch.setattr(drain, "_LONGEST_WAIT", 3600.0)
        push = make(receiver.url, Newest(SNAPSHOT))
        assert not push.flush(30)
        assert push.outcomes == {"refused": 1}
        assert len(receiver.received) == 1


def test_the_client_shows_its_certificate(make: Start, tmp_path: Path) -> None:
    """A receiver that demands a client certificate takes the push of a client that has one, by the variables too."""
    certificates = issue(tmp_path)
    context = certificates.server_context()
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    environ = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificates.ca),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(certificates.certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(certificates.key),
    }
    with HttpReceiver(tls=context) as receiver:
        assert make(receiver.url, Newest(SNAPSHOT), environ=environ).flush(30)
        assert not make(receiver.url, Newest(SNAPSHOT), certificate=str(certificates.ca), timeout=0.3).flush(30)
        assert len(receiver.received) == 1


def test_certificates_are_read_again_after_a_failure(make: Start, tmp_path: Path) -> None:
    """A missing certificate file is named, and the push works once the file is there, without a restart."""
    certificates = issue(tmp_path)
    late = tmp_path / "late.crt"
    with HttpReceiver(tls=certificates.server_context()) as receiver:
        push = make(receiver.url, Newest(SNAPSHOT), certificate=str(late))
        assert not push.flush(30)
        assert push.outcomes == {"missing": 1}
        late.write_bytes(certificates.ca.read_bytes())
        assert push.flush(30)
