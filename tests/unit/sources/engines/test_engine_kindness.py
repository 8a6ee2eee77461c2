# SPDX-License-Identifier: Apache-2.0
"""What keeps a scrape from being a burden: one connection, one request, a moment of its own, and patience with trouble."""

import threading
import time
from contextlib import closing, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer import config
from inferometer.model import Reason, Target, Trouble
from inferometer.sources.engines.scrape import Engine
from peer import Behaviour, answer, in_turn, peer_with, silent

PAGE = b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 1\n'
BROKEN = answer(b"", status=b"500 Internal Server Error")


def engine(url: str, period: float = 0.01, **more: Any) -> closing[Engine]:
    target = {name: more.pop(name) for name in ("period_of_target", "deadline_of_target") if name in more}
    return closing(
        Engine(
            Target(
                "ns/pod:8000",
                url,
                period=target.get("period_of_target", 0),
                deadline=target.get("deadline_of_target", 0),
            ),
            config.Engines(**{"deadline": config.Seconds(30), **more}),
            period,
        )
    )


def fail(source: Engine) -> Reason:
    with pytest.raises(Trouble) as caught:
        source.read()
    return caught.value.reason


def test_one_connection_is_kept() -> None:
    """A page asked for again and again costs the engine one connection, and no compression."""
    with peer_with(in_turn(*[answer(PAGE)] * 5)) as peer, engine(peer.url()) as source:
        for _ in range(5):
            source.read()
        assert len(peer.asked) == 5  # a second connection would get no behaviour
        assert all(b"Accept-Encoding: identity" in head for head in peer.asked)


def test_an_engine_in_trouble_is_asked_half_as_often_with_each_answer_until_one_is_right() -> None:
    """From the period to the longest wait and no further; a good page ends it at once, and what was left out is counted."""
    script = in_turn(*[BROKEN] * 5, answer(PAGE))
    with peer_with(script) as peer, engine(peer.url(), backoff=config.Seconds(0.05)) as source:
        periods, spared = [source.period], [source.spared]
        for _ in range(5):
            assert fail(source) is Reason.REJECTED
            periods.append(source.period)
            spared.append(source.spared)
        assert periods == pytest.approx([0.01, 0.02, 0.04, 0.05, 0.05, 0.05])
        assert spared == [0, 0, 1, 4, 8, 12]  # when it failed before a read was due, so many were left out
        source.read()
        assert source.period == 0.01


def test_an_engine_that_does_not_listen_is_asked_each_period() -> None:
    """Asking costs nobody anything, and one that starts is seen in time."""
    with peer_with() as gone:
        url = gone.url()
    with engine(url) as source:
        assert [fail(source) for _ in range(3)] == [Reason.REFUSED] * 3
        assert (source.period, source.spared) == (0.01, 0)


def test_a_timeout_is_backed_off_from_and_hung_up_on() -> None:
    """The peer sees the end of the connection: nothing is under way when it is asked again."""
    ended = threading.Event()

    def watching(peer: Any, connection: Any) -> None:
        with suppress(ConnectionError):  # it may hang up before it has asked
            peer.question(connection)
        if connection.recv(1) == b"":
            ended.set()

    with peer_with(watching) as peer, engine(peer.url(), deadline=config.Seconds(0.1)) as source:
        assert fail(source) is Reason.TIMEOUT
        assert ended.wait(30)
        assert source.period == 0.02


def test_backing_off_can_be_switched_off() -> None:
    """With a longest wait of nothing an engine is asked each period, whatever it answers."""
    with peer_with(in_turn(BROKEN, BROKEN)) as peer, engine(peer.url(), backoff=config.Seconds(0)) as source:
        fail(source)
        fail(source)
        assert (source.period, source.spared) == (0.01, 0)


def test_a_target_has_its_own_period_and_deadline() -> None:
    """Never more often than snapshots are made, and the longest wait is no shorter than the target's period."""
    with engine("http://127.0.0.1:9/", 5.0, period_of_target=60.0, deadline_of_target=9.0) as slow:
        assert slow.period == 60.0
        assert 9.0 <= slow.deadline <= 9.6
    with engine("http://127.0.0.1:9/", 5.0, period_of_target=1.0) as fast:
        assert fast.period == 5.0


def test_a_deadline_of_a_target_ends_its_scrape() -> None:
    """Whatever that of the others is."""
    with peer_with(silent) as peer, engine(peer.url(), deadline_of_target=0.1, deadline=config.Seconds(60)) as source:
        assert fail(source) is Reason.TIMEOUT


@given(st.lists(st.text(min_size=1), min_size=2, max_size=20, unique=True), st.floats(0.1, 3600))
def test_engines_are_asked_at_moments_of_their_own(names: list[str], period: float) -> None:
    """The same at every start, within a tenth of the period and half a second, and not all at one."""
    made = [Engine(Target(name, "http://127.0.0.1:9/"), config.Engines(), period) for name in names]
    again = [Engine(Target(name, "http://127.0.0.1:9/"), config.Engines(), period) for name in names]
    phases = [source.deadline - 3.1 for source in made]
    assert phases == [source.deadline - 3.1 for source in again]
    assert all(-1e-9 <= phase <= min(0.1 * period, 0.5) + 1e-9 for phase in phases)
    assert len(set(phases)) > 1


@pytest.mark.parametrize("behaviour", [silent, in_turn(answer(PAGE))], ids=["asking", "waiting"])
def test_hanging_up_ends_a_scrape_that_is_under_way(behaviour: Behaviour) -> None:
    """One that waits for its page, and one that waits for its moment; it is no failure of the engine's."""
    with peer_with(behaviour) as peer, engine(peer.url(), 10.0) as source:
        if behaviour is not silent:
            source.read()
        reasons: list[Reason] = []
        thread = threading.Thread(target=lambda: reasons.append(fail(source)))
        thread.start()
        until = time.monotonic() + 30
        while behaviour is silent and not peer.asked and time.monotonic() < until:
            time.sleep(0.01)
        source.hang_up()
        thread.join(30)
        assert reasons == [Reason.REFUSED]
        assert source.period == 10.0
