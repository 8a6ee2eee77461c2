# SPDX-License-Identifier: Apache-2.0
"""Whatever models come, go and are reset, the limits lose no count, make none up, and no counter of theirs ever falls."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account, cap
from inferometer.join import join
from inferometer.model import EngineReport, Histogram, Metric, Reading, Snapshot, Target

MODELS = tuple("abcd")
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("count", "count", "count", "come", "go", "reset", "page", "miss")),
        st.sampled_from((0, 1)),
        st.sampled_from(MODELS),
        st.integers(1, 9),
    ),
    min_size=8,
    max_size=40,
)


@dataclass
class Engine:
    """What an engine counts, of each model that it has, and all that it counted since its first page."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODELS[:3], 1))
    known: frozenset[str] = frozenset(MODELS[:3])
    truth: int = 0
    is_read: bool = False

    def step(self, what: str, model: str, number: int) -> None:
        if what == "come" and model not in self.counts:
            # One that was there before comes back at 0: had it counted as much as before, nobody could tell that it began anew.
            self.counts[model] = 0 if model in self.known else number
            self.truth += self.counts[model] if self.is_read else 0
            self.known |= {model}
        elif what == "count" and model in self.counts:
            self.counts[model] += number
            self.truth += number if self.is_read else 0
        elif what == "go":
            self.counts.pop(model, None)
        elif what == "reset":
            self.counts = {each: number if number < count else 0 for each, count in self.counts.items()}
            self.truth += sum(self.counts.values()) if self.is_read else 0

    def report(self, target: Target) -> EngineReport:
        self.is_read = True
        readings = []
        for model, count in self.counts.items():
            said = ((catalog.MODEL.key, model),)
            readings += [
                Reading(target.instance, catalog.PREEMPTIONS, said, float(count)),
                Reading(target.instance, catalog.TIME_TO_FIRST_TOKEN, said, Histogram((1.0,), (count, 2 * count), 3.0)),
                Reading(target.instance, catalog.REQUESTS_RUNNING, said, float(count)),
            ]
        named = tuple((catalog.MODEL.key, model) for model in self.counts)
        return EngineReport(target, "vllm", "vllm", "engine", "", tuple(self.counts), tuple(readings), named=named)


Series = dict[tuple[str | None, ...], tuple[float, float | None]]  # attributes -> value, start


class Tick(NamedTuple):
    """The engines that were read, by address, and what is told."""

    read: frozenset[str]
    told: dict[Metric, Series]


def told(snapshot: Snapshot, metric: Metric) -> Series:
    """Every series of a counter, or of a histogram's first bucket, and when it began."""
    return {
        p.attributes: (float(p.value.counts[0] if isinstance(p.value, Histogram) else p.value), p.start)
        for p in snapshot.points
        if p.metric is metric
    }


def play(steps: list[tuple[str, int, str, int]], rules: Rules) -> tuple[list[Tick], list[Engine]]:
    """Give what is told at each tick. What goes or is reset was read right before, and what comes is read at once.

    What it counts between that and a page nobody can know.
    """
    engines, state = [Engine(), Engine()], State()
    ticks: list[Tick] = []
    targets = [Target(f"10.0.0.{i}:8000", f"http://10.0.0.{i}:8000/metrics") for i in (1, 2)]
    page = ("page", 0, "a", 1)
    read_before = [each for step in steps for each in ((page, step) if step[0] in ("go", "reset") else (step,))]
    for what, which, model, number in [*read_before, page]:
        engines[which].step(what, model, number)
        if what == "count":
            continue
        asked = [i for i in (0, 1) if what != "miss" or i != which]
        seen = frames(engines=[engines[i].report(targets[i]) for i in asked], passed=5.0 * len(ticks))
        state, capped = cap(state, seen, rules)
        state, snapshot = account(state, join(capped, CONTEXT), rules)
        read = frozenset(f"10.0.0.{i + 1}" for i in asked)
        ticks.append(Tick(read, {metric: told(snapshot, metric) for metric in _COUNTED}))
    return ticks, engines


_COUNTED = (catalog.PREEMPTIONS, catalog.TIME_TO_FIRST_TOKEN)
_MODEL = catalog.PREEMPTIONS.keys.index(catalog.MODEL.key)
_ENGINE = catalog.PREEMPTIONS.keys.index(catalog.SERVER_ADDRESS.key)


def increase(ticks: list[Tick], metric: Metric) -> float:
    """Add up what all series grew by since they were first seen, from 0 where their engine was known before."""
    last: dict[tuple[str | None, ...], float] = {}
    known: set[str | None] = set()
    total = 0.0
    for read, told in ticks:
        for attributes, (value, _) in told[metric].items():
            before = last.get(attributes, 0.0 if attributes[_ENGINE] in known else value)
            total += value if value < before else value - before
            last[attributes] = value
        known |= read
    return total


@settings(max_examples=200)
@given(
    steps=_STEPS, most=st.integers(1, 4), linger=st.sampled_from((0.0, 7.0, 1e9)), kept=st.sampled_from((0, 3, 1000))
)
def test_no_folded_counter_falls(steps: list[tuple[str, int, str, int]], most: int, linger: float, kept: int) -> None:
    """A value of `other` is at least the one before, or its start has moved past that one."""
    rules = Rules(linger=linger, max_ended=kept, max_models=most)
    ticks, _ = play(steps, rules)

    for metric in _COUNTED:
        before: Series = {}
        for _, told in ticks:
            for attributes, (value, start) in told[metric].items():
                if attributes[_MODEL] != catalog.OTHER:
                    continue
                last, began = before.get(attributes, (0.0, start))
                assert start is not None
                assert value >= last or (began is not None and start > began)
            before |= told[metric]
            assert len({each[_MODEL] for each in told[metric]} - {catalog.OTHER}) <= most


@settings(max_examples=200)
@given(steps=_STEPS, most=st.integers(1, 4))
def test_no_count_is_lost_or_made_up(steps: list[tuple[str, int, str, int]], most: int) -> None:
    """What the series of models and `other` grow by is what the engines counted since their first page."""
    ticks, engines = play(steps, Rules(linger=1e9, max_models=most))

    for metric in _COUNTED:
        assert increase(ticks, metric) == sum(engine.truth for engine in engines)
