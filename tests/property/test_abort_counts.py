# SPDX-License-Identifier: Apache-2.0
"""The requests that were given up, as they are derived, are never more than those that were, and never fall."""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Balance, Point, Resource, Snapshot, Target
from inferometer.simulation.engine import Engine, EngineSpec
from inferometer.sources.engines.reader import Reader

TARGET = Target("10.0.0.7:8000", "http://10.0.0.7:8000/metrics")
RULES = Rules()

# What a client's request or the engine can do next; each of the `n` sequences of a request goes its own way.
_STEPS = ("ask", "ask several", "schedule", "first", "finish", "preempt", "hang up", "fail", "restart")


@dataclass
class World:
    """An engine as vLLM is one: it counts sequences, and those whose client hung up are in no count but the first tokens."""

    counts_aborts: bool
    waiting: list[bool] = field(default_factory=list)  # for each sequence, whether it had a first token
    running: list[bool] = field(default_factory=list)
    first: int = 0
    finished: int = 0
    aborted: int = 0  # as the engine counts them
    truth: int = 0  # of all its lives
    earlier: int = 0  # of those before this one
    started: int = 1  # Unix seconds

    def step(self, what: str, chance: Random, now: int) -> None:
        queue = chance.choice([self.waiting, self.running])
        if what.startswith("ask"):
            self.waiting += [False] * (1 if what == "ask" else 3)
        elif what == "schedule" and self.waiting:
            self.running.append(self.waiting.pop(0))
        elif what == "first" and False in self.running:
            self.running[self.running.index(False)] = True
            self.first += 1
        elif what == "finish" and True in self.running:
            self.running.remove(True)
            self.finished += 1
        elif what == "preempt" and self.running:
            self.waiting.insert(0, self.running.pop())
        elif what == "hang up" and queue:
            queue.pop(chance.randrange(len(queue)))
            self.truth += 1
            self.aborted += self.counts_aborts
        elif what == "fail" and queue:  # before or after its first token
            queue.pop(chance.randrange(len(queue)))
            self.finished += 1
        elif what == "restart":
            self.waiting, self.running = [], []
            self.first = self.finished = self.aborted = 0
            self.earlier, self.started = self.truth, now

    @property
    def gauges(self) -> tuple[int, int]:
        return len(self.running), len(self.waiting)

    def page(self, gauges: tuple[int, int], *, created: bool) -> bytes:
        def said(name: str, value: int, more: str = "") -> str:
            return f'vllm:{name}{{model_name="m",engine="0"{more}}} {value}\n'

        return (
            said("time_to_first_token_seconds_bucket", self.first, ',le="+Inf"')
            + said("time_to_first_token_seconds_count", self.first)
            + said("time_to_first_token_seconds_sum", self.first)
            + (said("time_to_first_token_seconds_created", self.started) if created else "")
            + said("request_success_total", self.finished, ',finished_reason="stop"')
            + said("request_success_total", self.aborted, ',finished_reason="abort"')
            + said("num_requests_running", gauges[0])
            + said("num_requests_waiting", gauges[1])
        ).encode()


def aborts(snapshot: Snapshot) -> list[Point]:
    return [point for point in snapshot.points if point.metric is catalog.REQUESTS_ABORTED]


@settings(deadline=None)
@given(
    walks=st.lists(st.lists(st.sampled_from(_STEPS), max_size=12), min_size=1, max_size=12),
    chance=st.randoms(use_true_random=False),
    counts_aborts=st.booleans(),
    created=st.booleans(),
)
def test_it_is_a_lower_bound_that_never_falls(
    walks: list[list[str]], chance: Random, counts_aborts: bool, created: bool
) -> None:
    """Whatever is sampled when, with gauges now and then a page behind; it begins anew only with the engine."""
    world, state, reader = World(counts_aborts), State(), Reader(TARGET)
    before, stale, start, value = 0, False, None, 0.0
    gauges = world.gauges
    for second, walk in enumerate(walks, 1):
        behind = gauges
        for what in walk:
            world.step(what, chance, second)
        gauges = world.gauges
        stale = not stale and "restart" not in walk and chance.random() < 0.3
        page = world.page(behind if stale else gauges, created=created)

        state, snapshot = account(
            state, join(frames(engines=[reader.read(page)], passed=float(second)), CONTEXT), RULES
        )

        (point,) = aborts(snapshot)
        assert isinstance(point.value, float)
        if point.start == start:
            assert point.value >= value
        else:  # of what was before the agent came nothing is told, and of the life before a restart nothing again
            before = world.truth if start is None else world.earlier
            start = point.start
        value = point.value
        assert 0 <= value <= world.truth - before


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.5, 6), abandon=st.floats(0.1, 0.6))
def test_it_is_never_above_what_the_simulated_engine_knows(seed: int, rate: float, abandon: float) -> None:
    """Under load, with preemptions, and with clients that give up while they wait."""
    spec = EngineSpec("m", rate, 0.1, 150, 60, 64, 1024, 300, 12, 0.02, 0.001, 8_000, abandon)
    engine, state = Engine(spec, Random(seed)), State()
    total = 0.0
    for k in range(120):
        engine.advance(k * 0.5)
        tally = engine.tally
        first = sum(tally.histograms["time_to_first_token_seconds"].counts)
        finished = sum(tally.finished.values())
        pending = len(engine.running) + len(engine.waiting)
        balance = Balance((), Resource(()), float(k), first, finished, 0.0, pending, 1.0)
        state, snapshot = account(state, Snapshot(float(k), float(k), Resource(()), balances=(balance,)), RULES)
        (point,) = aborts(snapshot)
        assert isinstance(point.value, float)
        assert total <= point.value <= tally.aborted
        total = point.value
