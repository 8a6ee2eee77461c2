# SPDX-License-Identifier: Apache-2.0
"""The simulated engine's counts agree with one another whatever its load and its limits (conservation)."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.simulation.engine import Engine, EngineSpec

PER_REQUEST = (
    "request_prompt_tokens",
    "request_generation_tokens",
    "request_params_n",
    "e2e_request_latency_seconds",
    "request_queue_time_seconds",
    "request_decode_time_seconds",
    "request_num_preemptions",
    "request_prefill_kv_computed_tokens",
)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rate=st.floats(0.1, 8),
    blocks=st.integers(64, 400),
    sequences=st.integers(1, 40),
    output=st.integers(1, 200),
    abandon=st.floats(0, 0.5),
)
def test_every_count_is_accounted_for(
    seed: int, rate: float, blocks: int, sequences: int, output: int, abandon: float
) -> None:
    """Requests, tokens, cache blocks and histogram counts add up at every step."""
    spec = EngineSpec("m", rate, 0.1, 150, output, 64, 1024, blocks, sequences, 0.02, 0.001, 8_000, abandon)
    engine = Engine(spec, Random(seed))
    for k in range(1, 120):
        engine.advance(k * 0.25)
        tally, histograms = engine.tally, engine.tally.histograms
        finished = sum(tally.finished.values())
        assert tally.arrived == finished + tally.aborted + len(engine.running) + len(engine.waiting)
        assert {sum(histograms[name].counts) for name in PER_REQUEST} == {finished}
        assert engine.free + sum(r.blocks for r in engine.running) == spec.blocks
        assert all(r.blocks == 0 for r in engine.waiting)
        assert len(engine.running) <= sequences
        first = sum(histograms["time_to_first_token_seconds"].counts)
        assert sum(histograms["inter_token_latency_seconds"].counts) == tally.generation_tokens - first
        assert histograms["iteration_tokens_total"].sum == tally.prompt_tokens + tally.generation_tokens
        assert histograms["request_generation_tokens"].sum <= tally.generation_tokens
        assert histograms["request_num_preemptions"].sum <= tally.preemptions
