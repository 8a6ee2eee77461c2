# SPDX-License-Identifier: Apache-2.0
"""What a receiver and a network can do to a push, with exact counts of what arrives and of what is lost."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import grpc  # noqa: TID251  # the receiver's status codes
import pytest

from example import GPU, SNAPSHOT, point, snapshot
from inferometer import catalog, config
from inferometer.model import Snapshot
from inferometer.push import Push, drain
from inferometer.views.otlp import Encoder
from kubelet.certificates import issue
from otlp_receiver import Abort, Answer, GrpcReceiver, HttpReceiver, point_times, series

Make = Callable[..., Push]

OUTAGE = 0.1  # seconds that are spent on a receiver that is not there
POINTS = len(SNAPSHOT.points)
OUT_OF_ORDER = b"out of order sample"  # Prometheus 3
PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_FIRST_WAIT", 0.02)
    monkeypatch.setattr(drain, "_LONGEST_WAIT", 0.1)


class Ticks:
    """A new snapshot each time that one is asked for after `tick`."""

    def __init__(self) -> None:
        self.snapshot: Snapshot = SNAPSHOT

    def __call__(self) -> Snapshot:
        return self.snapshot

    def tick(self) -> None:
        points = tuple(p._replace(at=p.at + 5) for p in self.snapshot.points)
        self.snapshot = replace(self.snapshot, at=self.snapshot.at + 5, points=points)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    pushes: list[Push] = []
    numbers = count()

    def make_one(endpoint: str, newest: Callable[[], Snapshot | None] = lambda: SNAPSHOT, **keys: Any) -> Push:
        spool = {"directory": str(tmp_path / f"spool-{next(numbers)}"), **keys.pop("spool", {})}
        keys = {"timeout": config.Seconds(30), "interval": config.Seconds(60), **keys}
        push = Push(config.Otlp(endpoint=endpoint, spool=config.Spool(**spool), **keys), {}, Encoder().requests, newest)
        pushes.append(push)
        return push

    yield make_one
    for push in pushes:
        push.close(0.5)


def losses(push: Push) -> dict[str, tuple[int, int]]:
    assert push.spool is not None
    return {reason: lost for reason, lost in push.spool.dropped.items() if lost != (0, 0)}


def waiting(push: Push) -> int:
    assert push.spool is not None
    return push.spool.requests


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "the condition never came true"
        time.sleep(0.005)


def unused_port() -> int:
    with HttpReceiver() as receiver:
        return receiver.port


def test_beyond_the_limit_the_oldest_are_lost_and_counted_exactly(make: Make) -> None:
    """Twelve pushes while nobody listens, room for four: the last four arrive, eight requests and their points are counted."""
    ticks, port = Ticks(), unused_port()
    push = make(f"http://127.0.0.1:{port}", ticks, spool={"max_size": config.Size(4 * 4096)})
    for _ in range(12):
        assert not push.flush(OUTAGE)
        ticks.tick()
    assert losses(push) == {"size": (8, 8 * POINTS)}
    assert waiting(push) == 4
    with HttpReceiver(port) as receiver:
        assert push.flush(30)
        # The flush has made a thirteenth push, which took the place of the oldest.
        assert len(receiver.received) == 4
        firsts = [min(point_times(received)) for received in receiver.received]
    oldest = min(p.at for p in SNAPSHOT.points)
    assert firsts == [round(oldest + 5 * n, 3) for n in range(9, 13)]
    assert losses(push) == {"size": (9, 9 * POINTS)}


def test_a_restart_in_an_outage_loses_nothing(make: Make, tmp_path: Path) -> None:
    """The agent ends while the receiver is away: the next one sends what it left, and then its own."""
    ticks, port = Ticks(), unused_port()
    spool = {"directory": str(tmp_path / "kept")}
    first = make(f"http://127.0.0.1:{port}", ticks, timeout=config.Seconds(OUTAGE), spool=spool)
    for _ in range(3):
        assert not first.flush(OUTAGE)
        ticks.tick()
    first.close(30)
    ticks.tick()
    second = make(f"http://127.0.0.1:{port}", ticks, spool=spool)
    with HttpReceiver(port) as receiver:
        assert second.flush(30)
        firsts = [min(point_times(received)) for received in receiver.received]
    oldest = min(p.at for p in SNAPSHOT.points)
    assert firsts == [round(oldest + 5 * n, 3) for n in (0, 1, 2, 3, 4)]
    assert losses(second) == {}


def test_what_waits_when_the_endpoint_is_removed_is_named(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A reload without an endpoint has nobody to send to: how many requests that costs is logged."""
    first = make(f"http://127.0.0.1:{unused_port()}", timeout=config.Seconds(OUTAGE), spool={"directory": ""})
    assert not first.flush(OUTAGE)
    first.close(30)
    nowhere = Push(config.Otlp(), {}, Encoder().requests, lambda: None)
    nowhere.follow(first.leave())

    assert "1 requests that waited to be pushed are dropped: there is no endpoint" in caplog.text


def test_a_reload_in_an_outage_loses_nothing_without_a_disk(make: Make) -> None:
    """What waits in the memory of the push before goes out first, and nothing that it had handed on is handed on again."""
    ticks = Ticks()
    port = unused_port()
    memory = {"spool": {"directory": ""}}
    first = make(f"http://127.0.0.1:{port}", ticks, timeout=config.Seconds(OUTAGE), **memory)
    for _ in range(3):
        ticks.tick()
        assert not first.flush(OUTAGE)
    first.close(30)
    second = make(f"http://127.0.0.1:{port}", ticks, **memory)
    second.follow(first.leave())
    assert waiting(second) == 3
    with HttpReceiver(port) as receiver:
        assert second.flush(30)
        ticks.tick()
        assert second.flush(30)
        oldest = min(p.at for p in SNAPSHOT.points)
        assert [min(point_times(one)) for one in receiver.received] == [round(oldest + 5 * n, 3) for n in (1, 2, 3, 4)]
        assert all(len(series(one)) == POINTS for one in receiver.received)
    assert losses(first) == losses(second) == {}


def test_another_receiver_is_told_everything(make: Make) -> None:
    """A push to another place begins with all that there is, after what had been left waiting."""
    ticks = Ticks()
    with HttpReceiver() as old, HttpReceiver() as new:
        first = make(old.url, ticks)
        assert first.flush(30)
        first.close(30)
        second = make(new.url, ticks)
        second.follow(first.leave())
        assert second.flush(30)
        assert len(series(*new.received)) == POINTS


def test_fresh_goes_first_where_it_is_asked_to(make: Make) -> None:
    """When the receiver is back it has the present at once, and the past after it, oldest first."""
    ticks, port = Ticks(), unused_port()
    push = make(f"http://127.0.0.1:{port}", ticks, spool={"order": "fresh-first"})
    for _ in range(3):
        assert not push.flush(OUTAGE)
        ticks.tick()
    with HttpReceiver(port) as receiver:
        assert push.flush(30)
        firsts = [min(point_times(received)) for received in receiver.received]
    oldest = min(p.at for p in SNAPSHOT.points)
    assert firsts == [round(oldest + 5 * n, 3) for n in (3, 0, 1, 2)]


def test_fresh_does_not_come_between_the_parts_of_a_request(make: Make) -> None:
    """A request of which the receiver has a part is ended first: no point is sent twice, which would double a gain."""
    ticks = Ticks()
    with HttpReceiver() as receiver:
        push = make(receiver.url, ticks, spool={"order": "fresh-first"})
        receiver.answers.extend([Answer(413), Answer(200), Answer(503, headers=(("Retry-After", "600"),))])
        long = [point(catalog.OWNER_INFO, {**GPU, "k8s.pod.name": c * 40_000}, 1.0) for c in "abcd"]
        ticks.snapshot = replace(ticks.snapshot, points=tuple(long))
        assert not push.flush(30)
        ticks.tick()
        assert not push.flush(30)
        assert push._drain is not None
        push._drain._silent_until = 0.0  # ten minutes later
        assert push.flush(30)
        assert waiting(push) == 0
        taken = [one for n, one in enumerate(receiver.received) if n not in {0, 2}]
        assert len(series(*taken)) == 8


def test_the_rate_is_held_when_the_receiver_is_back(make: Make) -> None:
    """What waits leaves at no more bytes a second than configured."""
    ticks, port = Ticks(), unused_port()
    push = make(f"http://127.0.0.1:{port}", ticks, spool={"rate": config.Size(10_000)})
    for _ in range(4):
        assert not push.flush(OUTAGE)
        ticks.tick()
    with HttpReceiver(port) as receiver:
        began = time.monotonic()
        assert push.flush(30)
        assert time.monotonic() - began >= sum(received.size for received in receiver.received[:-1]) / 10_000


def test_a_connection_that_is_reset_in_the_middle_costs_nothing(make: Make) -> None:
    """The receiver hangs up in the middle of a request: it is sent again, whole, on a new connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    resets: list[int] = []

    def reset() -> None:
        while len(resets) < 2:
            connection, _ = listener.accept()
            resets.append(len(connection.recv(300)))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # RST
            connection.close()
        listener.close()

    thread = threading.Thread(target=reset)
    thread.start()
    many = tuple(point(catalog.OWNER_INFO, {**GPU, "k8s.pod.name": f"pod-{n:05}" * 4}, 1.0) for n in range(5_000))
    push = make(f"http://127.0.0.1:{port}", lambda: snapshot(*many), compression="none", timeout=config.Seconds(2))
    while len(resets) < 2:
        push.flush(30)
    thread.join()
    with HttpReceiver(port) as receiver:
        push._newest = lambda: None
        wait_until(lambda: push.flush(30))
        assert len({s.attributes for s in series(*receiver.received)}) == len(many)
    assert losses(push) == {}


def test_a_slow_reader_is_cut_off_and_costs_nothing_but_its_time(make: Make) -> None:
    """A receiver that hangs holds up neither the intervals nor the last push: everything waits, and arrives later."""
    ticks = Ticks()
    with HttpReceiver() as receiver:
        receiver.answers.extend([Answer(hang=True)] * 1000)
        push = make(receiver.url, ticks, interval=config.Seconds(0.1), timeout=config.Seconds(0.5))
        push.start()
        receiver.wait_for(1)
        for expected in range(2, 5):
            ticks.tick()
            wait_until(lambda: waiting(push) == expected)  # noqa: B023  # it is called at once
        receiver.answers.clear()
        wait_until(lambda: push.outcomes.get("success") == 4)
        assert waiting(push) == 0
    assert losses(push) == {}


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_receiver_gets_the_time_that_it_asks_for(make: Make, tmp_path: Path, status: int) -> None:
    """With Retry-After nothing more is sent, however many pushes come meanwhile and although the agent ends; nothing is lost."""
    ticks = Ticks()
    spool = {"directory": str(tmp_path / "kept")}
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(status, headers=(("Retry-After", "300"),)))
        push = make(receiver.url, ticks, interval=config.Seconds(0.1), spool=spool)
        push.start()
        receiver.wait_for(1)
        for expected in range(1, 4):
            wait_until(lambda: waiting(push) == expected)  # noqa: B023  # it is called at once
            ticks.tick()
        push.close(30)
        assert len(receiver.received) == 1
        assert losses(push) == {}
        ticks.tick()
        assert make(receiver.url, ticks, spool=spool).flush(30)
        assert len({tuple(point_times(received)) for received in receiver.received}) == len(receiver.received) - 1 == 5


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_what_waits_is_parted_for_a_receiver_that_takes_less(make: Make, protocol: str) -> None:
    """Requests of 1 MB, made in an outage, reach a receiver that takes 256 KiB: every point once, none lost."""
    many = tuple(point(catalog.OWNER_INFO, {**GPU, "k8s.pod.name": f"pod-{n:05}" * 4}, 1.0) for n in range(5_000))
    ticks = Ticks()
    ticks.snapshot = snapshot(*many)
    kind: type[GrpcReceiver | HttpReceiver] = GrpcReceiver if protocol == "grpc" else HttpReceiver
    with kind() as receiver:
        port = receiver.port
    push = make(f"http://127.0.0.1:{port}", ticks, protocol=protocol)
    assert not push.flush(OUTAGE)
    with kind(port) as receiver:
        receiver.max_bytes = 256 << 10
        ticks.tick()
        wait_until(lambda: push.flush(30))
        taken = [received for received in receiver.received if received.size <= 256 << 10]
        assert len(series(*taken)) == 2 * len(many)
        assert [at for received in taken for at in sorted(set(point_times(received)))] == sorted(
            at for received in taken for at in set(point_times(received))
        )
    assert losses(push) == {}


def test_bad_data_in_the_spool_are_dropped_once_and_the_next_go_on(make: Make) -> None:
    """One of three requests that wait is refused: it is counted by its points, and is not sent again."""
    ticks, port = Ticks(), unused_port()
    push = make(f"http://127.0.0.1:{port}", ticks)
    for _ in range(3):
        assert not push.flush(OUTAGE)
        ticks.tick()
    with HttpReceiver(port) as receiver:
        receiver.answers.extend([Answer(), Answer(400, b"no such tenant", PLAIN)])
        assert not push.flush(30)
        assert len(receiver.received) == 4
    assert losses(push) == {"rejected": (1, POINTS)}
    assert push.outcomes["success"] == 3


def test_out_of_order_is_counted_under_its_own_reason(make: Make) -> None:
    """By HTTP 400 with Prometheus' text, by INVALID_ARGUMENT, and by partial success alike."""
    with HttpReceiver() as receiver:
        receiver.answers.append(Answer(400, OUT_OF_ORDER, PLAIN))
        push = make(receiver.url)
        assert not push.flush(30)
        assert losses(push) == {"out_of_order": (1, POINTS)}
        assert push.outcomes == {"out_of_order": 1}
        assert len(receiver.received) == 1
    with GrpcReceiver() as other:
        other.answers.append(Abort(grpc.StatusCode.INVALID_ARGUMENT, "the sample is too old sample"))
        push = make(other.url, protocol="grpc")
        assert not push.flush(30)
        assert losses(push) == {"out_of_order": (1, POINTS)}


def test_an_expired_certificate_is_an_outage(make: Make, tmp_path: Path) -> None:
    """What is made while the receiver's certificate has expired arrives once it has a new one."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = issue(tmp_path / "old", age=2)
    new = issue(tmp_path / "new")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(old.ca.read_bytes() + new.ca.read_bytes())
    ticks = Ticks()
    with HttpReceiver(tls=old.server_context()) as receiver:
        push = make(receiver.url, ticks, certificate=str(trusted))
        assert not push.flush(0.3)
        assert receiver.received == []
        port = receiver.port
    assert set(push.outcomes) <= {"refused", "timeout"}
    ticks.tick()
    with HttpReceiver(port, tls=new.server_context()) as receiver:
        wait_until(lambda: push.flush(30))
        assert len(receiver.received) == 2
    assert losses(push) == {}


def test_a_name_that_is_gone_is_an_outage(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the receiver's name cannot be resolved everything waits; when it can be again it arrives."""
    resolve, gone = socket.getaddrinfo, threading.Event()

    def look_up(host: Any, *arguments: Any, **keys: Any) -> Any:
        if gone.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve("127.0.0.1" if host == "collector.example" else host, *arguments, **keys)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    ticks = Ticks()
    with HttpReceiver() as receiver:
        push = make(f"http://collector.example:{receiver.port}", ticks)
        gone.set()
        for _ in range(3):
            assert not push.flush(OUTAGE)
            ticks.tick()
        assert waiting(push) == 3
        gone.clear()
        assert push.flush(30)
        assert len(receiver.received) == 4
    assert losses(push) == {}


def test_a_defect_in_one_request_does_not_hold_up_the_others(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is dropped and counted as our own fault."""
    ticks = Ticks()
    with HttpReceiver() as receiver:
        push = make(receiver.url, ticks)
        with monkeypatch.context() as patch:
            patch.setattr("inferometer.push.sender.HttpSender.pack", lambda *_: 1 / 0)
            assert not push.flush(30)
        ticks.tick()
        assert push.flush(30)
        assert len(receiver.received) == 1
    assert losses(push) == {"internal": (1, POINTS)}


def test_a_disk_that_hangs_holds_up_neither_what_is_told_nor_the_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a write does not come back the state of the spool can be read, and the push can be closed."""
    hangs, released = threading.Event(), threading.Event()

    def save(*_: object) -> None:
        hangs.set()
        released.wait(60)

    monkeypatch.setattr("inferometer.push.disk.Disk.save", save)
    ticks = Ticks()
    push = make(f"http://127.0.0.1:{unused_port()}", ticks, interval=config.Seconds(0.1), timeout=config.Seconds(0.1))
    push.start()
    assert hangs.wait(20)
    ticks.tick()
    assert waiting(push) == 1
    push.close(0.5)
    assert not released.is_set()
    released.set()
