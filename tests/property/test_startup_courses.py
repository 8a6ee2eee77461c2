# SPDX-License-Identifier: Apache-2.0
"""How engines start, over any course of their pods and pages: what is not looked at again would have changed nothing."""

from dataclasses import replace
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import NODE, NOW
from inferometer import catalog
from inferometer.accounting.linger import Rules
from inferometer.accounting.startups import State, follow
from inferometer.model import Histogram, Snapshot, Start

_KEYS = len(catalog.STARTUP_DURATION.keys)
_PHASE = catalog.STARTUP_DURATION.keys.index(catalog.STARTUP_PHASE.key)
_MODELS = ("m", "m", "n")  # of three engines


class Step(NamedTuple):
    """What happens to one engine before a tick."""

    engine: int
    what: str


_COURSE = ("schedule", "start", "page", "ready", "token")  # as it should be
_courses = st.lists(
    st.lists(
        st.builds(Step, st.integers(0, 2), st.sampled_from((*("next",) * 6, *_COURSE, "unready", "start"))), max_size=6
    ),
    min_size=2,
    max_size=12,
)


def _play(course: list[list[Step]]) -> list[Snapshot]:
    """Give the snapshots of a course; an engine's model is known from its first page on."""
    starts = [Start(("uid", str(i)), 0.0, 0.0, 0.0, 0.0, None, 0.0, None, None, NODE) for i in range(len(_MODELS))]
    ahead = [iter(_COURSE) for _ in _MODELS]
    snapshots = []
    for tick, steps in enumerate(course):
        at = NOW + 5.0 * tick
        for i, what in steps:
            start = starts[i]
            done = next(ahead[i], "token") if what == "next" else what
            match done:
                case "schedule":
                    start = start._replace(scheduled=at - 9)
                case "start":
                    start = start._replace(started=at - 3, unready=start.unready or at - 4, ready=0.0)
                case "ready":
                    start = start._replace(ready=at - 1, unready=0.0)
                case "unready":
                    start = start._replace(ready=0.0, unready=at - 1)
                case "page" | "token":
                    model = (_MODELS[i], *(None,) * (_KEYS - 1))
                    first = (start.first or 0.0) + (done == "token")
                    start = start._replace(first=first, at=at, model=model)
            starts[i] = start
        snapshots.append(Snapshot(at, 5.0 * tick, NODE, starting=tuple(starts)))
    return snapshots


def _forget(state: State) -> State:
    """Give a state of which no engine looks as it did at the snapshot before."""
    return replace(
        state,
        engines={key: each._replace(start=each.start._replace(scheduled=-1.0)) for key, each in state.engines.items()},
    )


@given(_courses)
@settings(max_examples=300, deadline=None)
def test_a_page_more_changes_only_what_it_says(course: list[list[Step]]) -> None:
    """Whoever looks at every pod and page again comes to the same phases and histograms."""
    kept, anew = State(), State()
    for snapshot in _play(course):
        kept, _ = follow(kept, snapshot, Rules())
        anew, _ = follow(_forget(anew), snapshot, Rules())
        assert kept == anew


@given(_courses)
@settings(max_examples=300, deadline=None)
def test_each_phase_of_each_engine_is_in_the_histogram_of_its_model_once(course: list[list[Step]]) -> None:
    """A model's histograms are there with its first engine, stamped now, and soon have what its engines went through."""
    state = State()
    begun: dict[tuple[str, str], set[float]] = {}
    for snapshot in _play(course):
        before, (state, _) = state.engines, follow(state, snapshot, Rules())
        models = {each.start.model for each in state.engines.values() if each.start.model}
        assert {(key[0], key[_PHASE]) for key in state.series} == {
            (model[0], phase) for model in models for phase in catalog.STARTUP_PHASE.values
        }
        for key, series in state.series.items():
            assert series.at == snapshot.at
            assert isinstance(series.value, Histogram)
            entered = [e for e in state.engines.values() if e.start.model and e.start.model[0] == key[0]]
            assert series.value.observations == sum(key[_PHASE] in each.entered for each in entered)
        for name, engine in state.engines.items():
            begun.setdefault(name, set()).update({engine.start.started} - {0.0})
            assert engine.over is (len(begun[name]) > 1)
            known = before.get(name)
            assert known is None or not (known.seen and known.start.model) or known.phases.keys() <= engine.entered


def test_the_first_token_is_told_of_an_engine_that_was_seen_without_one() -> None:
    """A page with tokens after one without any is news, though nothing else of the engine has changed."""
    course = [[Step(0, what)] for what in ("schedule", "start", "page", "ready", "token", "token")]
    state = State()
    for snapshot in _play(course):
        state, _ = follow(state, snapshot, Rules())

    assert set(state.engines["uid", "0"].phases) == set(catalog.STARTUP_PHASE.values)
