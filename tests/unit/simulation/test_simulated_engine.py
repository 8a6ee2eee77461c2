# SPDX-License-Identifier: Apache-2.0
"""The queueing model of an engine."""

from dataclasses import replace
from random import Random

import pytest

from inferometer.simulation.engine import Engine, EngineSpec
from inferometer.simulation.tally import Histogram, token_bounds

SPEC = EngineSpec("m", 2.0, 0.0, 200, 50, 64, 2048, 1000, 32, 0.02, 0.0005, 10_000)


def run(spec: EngineSpec, seconds: float, *, step: float = 0.1) -> Engine:
    engine = Engine(spec, Random(1))
    for k in range(1, round(seconds / step) + 1):
        engine.advance(k * step)
    return engine


def test_the_size_of_a_step_does_not_matter() -> None:
    """The same time in other steps gives the same counts: an iteration ends when it ends."""
    fine, coarse = run(SPEC, 20, step=0.05), run(SPEC, 20, step=2.0)
    assert fine.tally.finished == coarse.tally.finished
    assert fine.tally.generation_tokens == coarse.tally.generation_tokens
    assert fine.tally.histograms["e2e_request_latency_seconds"].sum == pytest.approx(
        coarse.tally.histograms["e2e_request_latency_seconds"].sum
    )


def test_little_cache_preempts_and_still_finishes() -> None:
    """An engine whose KV cache is too small for its load preempts, lets requests wait, and loses none."""
    engine = run(replace(SPEC, rate=6.0, blocks=140, output=200), 120)
    tally = engine.tally
    assert tally.preemptions > 0
    assert tally.histograms["request_num_preemptions"].sum > 0
    assert engine.kv_utilization > 0.5
    assert tally.arrived == sum(tally.finished.values()) + tally.aborted + len(engine.running) + len(engine.waiting)


def test_more_load_means_more_work_and_longer_waits() -> None:
    """Latency and effort rise with the arrivals."""
    calm, loaded = (run(replace(SPEC, rate=rate, sequences=8), 100).tally for rate in (0.5, 6.0))
    means = [t.histograms["time_to_first_token_seconds"] for t in (calm, loaded)]
    assert means[0].sum / sum(means[0].counts) < means[1].sum / sum(means[1].counts)


def test_work_never_exceeds_the_time() -> None:
    """Busy time is part of the time that passed, and effort part of the busy time."""
    engine = Engine(SPEC, Random(1))
    for k in range(1, 400):
        work = engine.advance(k * 0.1)
        assert 0 <= work.effort <= work.busy <= 0.1 + 1e-9


def test_a_cache_that_cannot_hold_one_sequence_is_refused() -> None:
    """Such an engine would never finish."""
    with pytest.raises(ValueError, match="cannot hold one sequence"):
        Engine(replace(SPEC, blocks=10), Random(1))


def test_bounds_belong_to_the_bucket_below() -> None:
    """A value equal to a bound counts as less or equal, as `le` says."""
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.freeze().counts == (2, 2, 1)
    assert token_bounds(800) == (1, 2, 5, 10, 20, 50, 100, 200, 500)
