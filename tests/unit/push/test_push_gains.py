# SPDX-License-Identifier: Apache-2.0
"""Deltas on the wire: a push whose preference is delta, to a real receiver."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from example import AT, ENGINE, SNAPSHOT, point, snapshot
from inferometer import catalog, config
from inferometer.model import Histogram, Snapshot
from inferometer.push import Push, temporality
from inferometer.views.otlp import Encoder
from otlp_receiver import Answer, HttpReceiver, Received


def push_to(receiver: HttpReceiver, newest: Callable[[], Snapshot]) -> Push:
    settings = config.Otlp(endpoint=receiver.url, temporality="delta", timeout=config.Seconds(30))
    return Push(settings, {}, Encoder().requests, newest)


def shown(tokens: float, waits: tuple[int, ...], after: float) -> Snapshot:
    histogram = Histogram((1.0,), waits, float(sum(waits)))
    return snapshot(
        point(catalog.TOKENS, {**ENGINE, "gen_ai.token.type": "input"}, tokens, at=AT + after),
        point(catalog.TIME_TO_FIRST_TOKEN, ENGINE, histogram, at=AT + after),
        point(catalog.REQUESTS_RUNNING, ENGINE, 3.0, at=AT + after),
    )


def metrics(*received: Received) -> list[Any]:
    """Give the metrics of these requests, in order."""
    return [
        metric
        for one in received
        for block in one.request.resource_metrics
        for scope in block.scope_metrics
        for metric in scope.metrics
    ]


def test_a_push_tells_what_was_gained_since_the_one_before() -> None:
    """Each says the gains of its own time. Those of one that has to wait arrive with it; those of a refused one are counted."""
    row = [shown(10, (1, 1), 0), shown(12, (2, 1), 5), shown(15, (2, 4), 10), shown(19, (3, 4), 15)]
    with HttpReceiver() as receiver:
        push = push_to(receiver, lambda: row[0])
        assert push.flush(30)
        assert [metric.WhichOneof("data") for metric in metrics(*receiver.received)] == ["gauge"]
        receiver.answers.append(Answer(503, headers=(("Retry-After", "600"),)))
        for _ in range(2):
            row.pop(0)
            assert not push.flush(30)
        assert push._drain is not None
        push._drain._silent_until = 0.0  # ten minutes later
        assert push.flush(30)
        receiver.answers.append(Answer(400))
        row.pop(0)
        assert not push.flush(30)
        push.close(30)
        assert push.spool is not None
        assert push.spool.dropped["rejected"] == (1, 3)
        first, second = (
            {metric.WhichOneof("data"): metric for metric in metrics(received)} for received in receiver.received[2:4]
        )
    for told, tokens, counts in ((first, 2.0, [1, 0]), (second, 3.0, [0, 3])):
        assert set(told) == {"sum", "histogram", "gauge"}
        (number,), (waits,) = told["sum"].sum.data_points, told["histogram"].histogram.data_points
        assert told["sum"].sum.aggregation_temporality == told["histogram"].histogram.aggregation_temporality == 1
        assert told["sum"].sum.is_monotonic
        assert number.as_double == tokens
        assert (list(waits.bucket_counts), waits.count) == (counts, sum(counts))
        for each in (number, waits):
            assert each.time_unix_nano - each.start_time_unix_nano == 5_000_000_000


def test_what_was_not_read_anew_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters that are read less often than pushed are there all the same, however many they are."""
    monkeypatch.setattr(temporality, "_MOST_ABSENT", 0)
    first, last = shown(10, (1, 1), 0), shown(15, (2, 4), 10)
    between = replace(first, points=(*first.points[:2], first.points[2]._replace(at=AT + 5)), at=AT + 5)
    row = [first, between, last]
    with HttpReceiver() as receiver:
        push = push_to(receiver, lambda: row[0])
        for _ in range(3):
            assert push.flush(30)
            del row[: len(row) > 1]
        push.close(30)
        told = {metric.name: metric for metric in metrics(receiver.received[-1])}
    (tokens,) = told[catalog.TOKENS.name].sum.data_points
    assert tokens.as_double == 5.0


def test_a_counter_of_the_agents_own_is_told_from_its_start() -> None:
    """What began after the push was made was told by nobody: all of it is a gain, with its start."""
    now = time.time()
    own = point(catalog.TOKENS, {**ENGINE, "gen_ai.token.type": "output"}, 7.0, at=now + 20, start=now + 10)
    with HttpReceiver() as receiver:
        push = push_to(receiver, lambda: replace(SNAPSHOT, points=(own,)))
        assert push.flush(30)
        push.close(30)
        ((told,),) = (metric.sum.data_points for metric in metrics(*receiver.received))
    assert told.as_double == 7.0
    assert told.time_unix_nano - told.start_time_unix_nano == 10_000_000_000
