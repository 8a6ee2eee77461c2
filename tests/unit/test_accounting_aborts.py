# SPDX-License-Identifier: Apache-2.0
"""How requests that were given up are counted where the engine does not."""

from dataclasses import replace

import pytest

from frames import CONTEXT, NOW, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import EngineReport, Pod, Point, Target
from inferometer.sources.engines.reader import Reader

TARGET = Target("ns/a:8000", "http://10.0.0.7:8000/metrics", namespace="ns", pod="a", pod_uid="uid-a")
POD = Pod("uid-a", "ns", "a", "Running")


def page(first: int, finished: int, running: int = 0, waiting: int = 0, *, created: int = 0, more: str = "") -> bytes:
    labels = 'model_name="m",engine="0"'
    lines = [
        f'vllm:time_to_first_token_seconds_bucket{{{labels},le="+Inf"}} {first}',
        f"vllm:time_to_first_token_seconds_count{{{labels}}} {first}",
        f"vllm:time_to_first_token_seconds_sum{{{labels}}} 1",
        f'vllm:request_success_total{{{labels},finished_reason="stop"}} {finished}',
        f"vllm:num_requests_running{{{labels}}} {running}",
        f"vllm:num_requests_waiting{{{labels}}} {waiting}",
        more,
    ]
    if created:
        lines.append(f"vllm:time_to_first_token_seconds_created{{{labels}}} {created}")
    return "\n".join([*filter(None, lines), ""]).encode()


def run(*pages: bytes | None, target: Target = TARGET, every: float = 5.0) -> list[list[Point]]:
    """Give the series of each tick; None is a tick without the engine."""
    state, told, reader = State(), [], Reader(target)
    for k, body in enumerate(pages):
        engines = [] if body is None else [reader.read(body)]
        state, snapshot = account(
            state, join(frames(pods=[POD], engines=engines, passed=k * every), CONTEXT), Rules(linger=60.0)
        )
        told.append([point for point in snapshot.points if point.metric is catalog.REQUESTS_ABORTED])
    return told


def counts(told: list[list[Point]]) -> list[object]:
    return [points[0].value if points else None for points in told]


def test_who_had_a_token_and_is_nowhere_hung_up() -> None:
    """Of eight with a first token five finished and one runs: two hung up, once two pages have said so."""
    told = run(page(0, 0), page(8, 5, 1), page(8, 5, 1), page(12, 5, 7), page(12, 10))
    assert counts(told) == [0, 0, 2, 2, 2]
    attributes = dict(zip(catalog.REQUESTS_ABORTED.keys, told[0][0].attributes, strict=True))
    assert (attributes["k8s.pod.name"], attributes["inference.abort.evidence"]) == ("a", "derived")
    assert attributes["gen_ai.request.model"] == "m"
    assert told[-1][0].start == NOW


def test_a_gauge_that_lags_on_one_page_makes_nobody_hang_up() -> None:
    """With several API servers the gauges can be those of the step before."""
    assert counts(run(page(0, 0), page(3, 0, 0), page(3, 0, 3), page(3, 3))) == [0, 0, 0, 0]


def test_what_was_before_the_agent_came_is_not_told() -> None:
    """A new start of the agent does not count anew: the value begins at 0, and so does its time."""
    assert counts(run(page(100, 60, 10), page(110, 60, 10), page(115, 60, 5), page(115, 60, 5))) == [0, 0, 0, 10]


@pytest.mark.parametrize("created", [0, 1_795_000_012])
def test_it_begins_anew_with_the_engine(created: int) -> None:
    """Counters that fell, or a new time of creation."""
    old = 1_794_000_000 if created else 0
    told = run(
        page(0, 0, created=old),
        page(9, 5, created=old),
        page(9, 5, created=old),
        page(4, 1, created=created),
        page(4, 1, created=created),
    )
    assert counts(told) == [0, 0, 4, 0, 3]
    assert told[-1][0].start == (created or NOW + 10)


def test_a_page_that_is_not_believed_as_a_whole_says_nothing() -> None:
    """A finish reason that is missing from the sum would look like requests that hung up."""
    broken = 'vllm:request_success_total{model_name="m",engine="0",finished_reason="length"} NaN'
    told = run(page(0, 0), page(9, 5, more=broken), page(9, 5, more=broken))
    assert counts(told) == [0, 0, 0]
    assert told[-1][0].at == NOW


def test_a_page_that_lacks_one_of_the_places_has_no_count() -> None:
    """Without the gauge of what waits nothing can be told."""
    body = page(9, 5).replace(b"num_requests_waiting", b"num_requests_else")
    assert counts(run(body, body)) == [None, None]


def test_where_requests_can_be_swapped_out_nothing_is_derived() -> None:
    """V0 swaps requests to the CPU: they are in no gauge of ours."""
    swapped = 'vllm:num_requests_swapped{model_name="m"} 2'
    assert counts(run(page(9, 5, more=swapped))) == [None]


def test_an_engine_that_is_gone_is_forgotten_after_the_linger() -> None:
    """Its count stays, frozen, as the owners' do."""
    told = run(page(0, 0), page(2, 1), page(2, 1), *[None] * 14)
    assert counts(told) == [0, 0, 1, *[1] * 13, None]
    assert told[5][0].at == NOW + 10


def test_engines_of_ranks_are_counted_apart() -> None:
    """Each data-parallel rank has its own balance."""
    both = page(0, 0) + page(0, 0).replace(b'engine="0"', b'engine="1"')
    after = page(4, 1) + page(6, 1).replace(b'engine="0"', b'engine="1"')
    told = run(both, after, after)
    rank = catalog.REQUESTS_ABORTED.keys.index(catalog.RANK.key)
    assert {point.attributes[rank]: point.value for point in told[-1]} == {"0": 3, "1": 5}


def test_what_an_engine_counts_itself_is_measured() -> None:
    """LMDeploy counts those who hung up, and vLLM may one day."""
    report = Reader(replace(TARGET, instance="l")).read(
        b'lmdeploy:request_success_total{model_name="m",engine="0",finished_reason="ResponseType.CANCEL"} 3\n'
    )
    assert _aborted(report) == {("measured", 3.0)}
    counted = 'vllm:request_success_total{model_name="m",engine="0",finished_reason="abort"} %d'
    assert counts(run(page(0, 0, more=counted % 0), page(5, 3, more=counted % 2))) == [0, 2]


def test_where_the_host_counts_who_hung_up_nothing_is_derived_beside_it() -> None:
    """A vLLM behind Dynamo, whose worker counts who was given up: that count is told, and not added to one of ours."""
    worker = 'dynamo_component="backend",dynamo_endpoint="{}",dynamo_namespace="dynamo",worker_id="1"'
    family = "dynamo_component_cancellation_total"
    more = (
        f"# TYPE {family} counter\n{family}{{{worker.format('generate')}}} 3\n{family}{{{worker.format('clear')}}} 9\n"
    )
    pages = [page(10, 10), page(20, 15)]
    told = run(*[each + more.encode() for each in pages], pages[1] + more.encode())
    evidence = catalog.REQUESTS_ABORTED.keys.index(catalog.ABORT_EVIDENCE.key)
    assert [[(p.attributes[evidence], p.value) for p in each] for each in told] == [[("measured", 3.0)]] * 3


def _aborted(report: EngineReport) -> set[tuple[str, object]]:
    return {
        (dict(reading.attributes)[catalog.ABORT_EVIDENCE.key], reading.value)
        for reading in report.readings
        if reading.metric is catalog.REQUESTS_ABORTED
    }


def test_an_engine_that_two_targets_name_is_counted_once() -> None:
    """One port with two paths: a series stands once on a page, and the first target's is it."""
    twice = [Target("h:8000/a", "http://h:8000/a"), Target("h:8000/b", "http://h:8000/b")]
    state, readers = State(), [Reader(target) for target in twice]
    for k, body in enumerate([page(0, 0), page(8, 5), page(8, 5)]):
        engines = [reader.read(body) for reader in readers]
        state, snapshot = account(state, join(frames(engines=engines, passed=k * 5), CONTEXT), Rules())
    assert [p.value for p in snapshot.points if p.metric is catalog.REQUESTS_ABORTED] == [3]


def test_a_pod_that_is_described_otherwise_is_the_same_engine() -> None:
    """Labels of a pod that runs may change: the count goes on, as one series, and says the newest description."""
    state, reader = State(), Reader(TARGET)
    for k, (body, version) in enumerate([(page(0, 0), "1"), (page(8, 5), "1"), (page(8, 5), "1"), (page(9, 5), "2")]):
        pod = replace(POD, labels={"app.kubernetes.io/version": version})
        picture = join(frames(pods=[pod], engines=[reader.read(body)], passed=k * 5), CONTEXT)
        state, snapshot = account(state, picture, Rules())
    (point,) = [p for p in snapshot.points if p.metric is catalog.REQUESTS_ABORTED]
    assert point.value == 3
    assert ("service.version", "2") in point.resource.attributes
