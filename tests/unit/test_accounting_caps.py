# SPDX-License-Identifier: Apache-2.0
"""What engines name beyond the limits: it becomes `other`, is added up where it can be, and is counted."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from frames import CONTEXT, NOW, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, account, cap
from inferometer.join import join
from inferometer.model import Histogram, Metric, Point, Snapshot, Target
from inferometer.sources.engines.reader import Reader
from inferometer.views.prometheus import Exposition

RULES = Rules(linger=60.0, max_models=2, max_reasons=2)
PAGE = Path(__file__).parents[1] / "golden" / "views" / "capped.txt"


class Node:
    """A node's engines, whose pages go through the reader, the limits, the join and the fold."""

    def __init__(self, rules: Rules = RULES) -> None:
        self._rules = rules
        self._readers: dict[str, Reader] = {}
        self._sequence = 0
        self.state = State()

    def step(self, passed: float, pages: Mapping[str, str]) -> Snapshot:
        reports = []
        for instance, page in pages.items():
            target = Target(instance, f"http://{instance}/metrics")
            reports.append(self._readers.setdefault(instance, Reader(target)).read(page.encode()))
        self._sequence += 1
        seen = frames(engines=reports, passed=passed)
        seen = replace(seen, good=tuple([replace(frame, sequence=self._sequence) for frame in seen.good]))
        self.state, capped = cap(self.state, seen, self._rules)
        self.state, snapshot = account(self.state, join(capped, CONTEXT), self._rules)
        return snapshot

    def steps(self, *pages: str) -> list[Snapshot]:
        """One page of one engine every five seconds."""
        return [self.step(5.0 * i, {"10.0.0.7:8000": page}) for i, page in enumerate(pages)]


def vllm(models: Mapping[str, float], bounds: Mapping[str, Sequence[str]] | None = None) -> str:
    """Give a page on which each model has so many running, preempted, and first tokens of which half took half a second."""
    lines = ["# TYPE vllm:time_to_first_token_seconds histogram", "# TYPE vllm:num_preemptions_total counter"]
    for model, count in models.items():
        said = f'engine="0",model_name="{model}"'
        lines += [f"vllm:num_requests_running{{{said}}} {count}", f"vllm:kv_cache_usage_perc{{{said}}} 0.5"]
        lines += [f"vllm:num_preemptions_total{{{said}}} {count}"]
        first = "vllm:time_to_first_token_seconds"
        for le in (bounds or {}).get(model, ("0.5",)):
            lines.append(f'{first}_bucket{{{said},le="{le}"}} {count // 2}')
        lines += [f'{first}_bucket{{{said},le="+Inf"}} {count}', f"{first}_count{{{said}}} {count}"]
        lines += [f"{first}_sum{{{said}}} {count / 2}"]
    return "\n".join(lines) + "\n"


def by_model(snapshot: Snapshot, metric: Metric) -> dict[str | None, Point]:
    at = metric.keys.index(catalog.MODEL.key)
    return {p.attributes[at]: p for p in snapshot.points if p.metric is metric}


def values(snapshot: Snapshot, metric: Metric) -> dict[str | None, object]:
    return {model: point.value for model, point in by_model(snapshot, metric).items()}


def dropped(snapshot: Snapshot) -> dict[str | None, object]:
    return {p.attributes[0]: p.value for p in snapshot.points if p.metric is catalog.DROPPED}


def test_a_page_within_the_limits_is_passed_on_as_it_is() -> None:
    """Nothing is made anew where nothing is beyond a limit."""
    report = Reader(Target("e:1", "http://e:1/metrics")).read(vllm({"a": 1, "b": 2}).encode())
    seen = frames(engines=[report])

    _, capped = cap(State(), seen, RULES)

    assert capped.good[-1].value is report


def test_first_come_stay_and_the_rest_is_other() -> None:
    """Gauges add up; counters count from when the agent first saw them, since another agent's `other` was another's."""
    _, second = Node().steps(vllm({"a": 4, "b": 6, "c": 8, "d": 10}), vllm({"a": 5, "b": 7, "c": 11, "d": 10}))

    assert values(second, catalog.REQUESTS_RUNNING) == {"a": 5, "b": 7, "other": 21}
    assert values(second, catalog.PREEMPTIONS) == {"a": 5, "b": 7, "other": 3}
    assert dropped(second)["models"] == 4  # two values on each of two pages


def test_histograms_of_the_same_bounds_are_added_up() -> None:
    """A histogram of several models has what each bucket grew by, and starts when the agent first saw them."""
    first, second = Node().steps(vllm({"a": 4, "b": 6, "c": 8, "d": 10}), vllm({"a": 4, "b": 6, "c": 12, "d": 20}))

    other = by_model(second, catalog.TIME_TO_FIRST_TOKEN)["other"]
    assert other.value == Histogram((0.5,), (7, 7), 7.0)
    assert other.start == first.at


def test_histograms_of_other_bounds_are_left_out_and_counted() -> None:
    """No histogram is bent to another's bounds; ratios are no sums either."""
    bounds = {"d": ("0.25", "0.5")}
    pages = [vllm({"a": 4, "b": 6, "c": 8 + i, "d": 10 + i}, bounds) for i in (0, 2)]
    _, second = Node().steps(*pages)

    other = by_model(second, catalog.TIME_TO_FIRST_TOKEN)["other"].value
    assert isinstance(other, Histogram)
    assert other.observations == 2
    assert "other" not in values(second, catalog.KV_CACHE_UTILIZATION)
    assert dropped(second)["unfoldable"] == 2 * (1 + 2)  # on each page one histogram and two ratios


def test_what_goes_takes_nothing_along_and_what_is_reset_adds_what_it_has() -> None:
    """`other` never falls, though its parts do."""
    steps = Node().steps(
        vllm({"a": 1, "b": 1, "c": 100, "d": 100}),
        vllm({"a": 1, "b": 1, "c": 110, "d": 120}),
        vllm({"a": 1, "b": 1, "c": 111}),
        vllm({"a": 1, "b": 1, "c": 5, "e": 7}),
        vllm({"a": 1, "b": 1, "c": 5, "e": 7, "d": 121}),
    )

    assert [values(each, catalog.PREEMPTIONS)["other"] for each in steps] == [0, 30, 31, 43, 44]


@pytest.mark.parametrize(("start", "grown"), [(NOW + 3, 12), (NOW - 90, 2)])
def test_a_start_tells_of_a_reset_that_no_fall_shows(start: float, grown: int) -> None:
    """A counter that began after the page before is new; a start that only wavers, as of several processes, says nothing."""
    pages = (
        vllm({"a": 1, "b": 1, "c": count}) + f'vllm:num_preemptions_created{{engine="0",model_name="c"}} {began}\n'
        for count, began in ((10, NOW - 100), (12, start))
    )

    *_, last = Node().steps(*pages)

    assert values(last, catalog.PREEMPTIONS)["other"] == grown


def test_what_a_page_before_may_have_hidden_is_nobody_s() -> None:
    """After a page of which a series was not believed, a series that is new may have been there before."""
    whole = vllm({"a": 1, "b": 1, "c": 1, "d": 1000})
    hidden = whole.replace(
        'num_preemptions_total{engine="0",model_name="d"} 1000', 'num_preemptions_total{engine="0",model_name="d"} NaN'
    )

    *_, last = Node().steps(hidden, whole, whole.replace('model_name="d"} 1000', 'model_name="d"} 1001'))

    assert values(last, catalog.PREEMPTIONS)["other"] == 1


def test_an_engine_that_says_other_itself_is_left_alone_until_there_are_others() -> None:
    """Its own `other` takes no place, and becomes a part when a limit needs the name."""

    def page(*reasons: str) -> str:
        return "".join(
            f'vllm:request_success_total{{engine="0",model_name="a",finished_reason="{reason}"}} 3\n'
            for reason in reasons
        )

    few, many = Node().steps(page("other", "stop", "length"), page("other", "stop", "length", "odd"))

    at = catalog.REQUESTS_FINISHED.keys.index(catalog.FINISH_REASON.key)
    finished = [
        {p.attributes[at]: p for p in each.points if p.metric is catalog.REQUESTS_FINISHED} for each in (few, many)
    ]
    assert [{reason: p.value for reason, p in each.items()} for each in finished] == [
        {"other": 3, "stop": 3, "length": 3},
        {"stop": 3, "length": 3, "other": 6},
    ]
    assert finished[1]["other"].start is None  # as it was: the engine does not tell


def test_a_place_is_free_once_its_model_is_gone_for_the_linger() -> None:
    """Who was `other` stays so, or its count would move; who is new gets the place."""
    node = Node()
    node.step(0, {"e:1": vllm({"a": 1, "b": 1, "c": 1})})
    node.step(5, {"e:1": vllm({"a": 1, "c": 2})})
    early = node.step(30, {"e:1": vllm({"a": 1, "c": 2, "d": 1})})
    late = node.step(70, {"e:1": vllm({"a": 1, "c": 2, "d": 3, "e": 1})})

    assert set(values(early, catalog.PREEMPTIONS)) == {"a", "other"}
    assert values(late, catalog.PREEMPTIONS) == {"a": 1, "e": 1, "other": 4}


def test_the_limit_is_the_node_s() -> None:
    """Two engines share it; the same model on both takes one place."""
    snapshot = Node().step(0, {"e:1": vllm({"a": 1, "b": 1}), "e:2": vllm({"b": 1}), "e:3": vllm({"c": 1})})

    models = {
        p.attributes[p.metric.keys.index(catalog.MODEL.key)] for p in snapshot.points if p.metric is catalog.ENGINE_INFO
    }
    assert models == {None, "b", "other"}


def test_engines_that_are_seen_together_have_places_in_turn() -> None:
    """One engine's many models do not take every place from those that are seen with it; who comes later is `other`."""
    node = Node(replace(RULES, max_models=3))
    many = vllm(dict.fromkeys("abcdef", 1))
    node.step(0.0, {"10.0.0.7:8000": many, "10.0.0.8:8000": vllm({"x": 1})})
    later = node.step(5.0, {"10.0.0.7:8000": many, "10.0.0.8:8000": vllm({"x": 1}), "10.0.0.9:8000": vllm({"y": 1})})
    assert set(by_model(later, catalog.PREEMPTIONS)) == {"a", "b", "x", "other"}


def test_reasons_have_a_limit_of_their_own() -> None:
    """Reasons of one kind beyond the limit are one."""
    page = "".join(
        f'vllm:request_success_total{{engine="0",model_name="a",finished_reason="{reason}"}} 3\n'
        for reason in ("stop", "length", "odd", "odder")
    )
    snapshot, _ = Node().steps(page, page)

    at = catalog.REQUESTS_FINISHED.keys.index(catalog.FINISH_REASON.key)
    assert {p.attributes[at]: p.value for p in snapshot.points if p.metric is catalog.REQUESTS_FINISHED} == {
        "stop": 3,
        "length": 3,
        "other": 0,
    }
    assert dropped(snapshot)["reasons"] == 2


def test_no_requests_are_said_to_be_given_up_of_several_models_in_one() -> None:
    """Whose model goes takes its gauges along, which would look as if its clients had hung up."""

    def page(first: int) -> str:
        lines = ["# TYPE vllm:time_to_first_token_seconds histogram"]
        for model in "abc":
            said = f'engine="0",model_name="{model}"'
            name = "vllm:time_to_first_token_seconds"
            lines += [
                f'{name}_bucket{{{said},le="+Inf"}} {first}',
                f"{name}_count{{{said}}} {first}",
                f"{name}_sum{{{said}}} 1",
            ]
            lines += [f'vllm:request_success_total{{{said},finished_reason="stop"}} 3']
            lines += [f"vllm:num_requests_running{{{said}}} 0", f"vllm:num_requests_waiting{{{said}}} 0"]
        return "\n".join(lines) + "\n"

    *_, last = Node().steps(page(4), page(6), page(6))

    assert values(last, catalog.REQUESTS_ABORTED) == {"a": 2, "b": 2}


def test_a_thousand_models_have_the_series_of_three() -> None:
    """The limit comes before that on all series: a page of too many models is not left out."""
    few, many = (Node().steps(vllm(dict.fromkeys(map(str, range(n)), 2)))[-1] for n in (3, 1000))

    assert len(many.points) == len(few.points)


def test_what_is_remembered_is_bounded() -> None:
    """An engine that names other models in every page fills no memory; what is forgotten is counted."""
    node = Node(Rules(linger=1e9, max_ended=10, max_models=2))
    for i in range(20):
        snapshot = node.step(5.0 * i, {"e:1": vllm({f"{i}-{j}": 1 for j in range(20)})})

    capped = node.state.capped
    assert len(capped.places) <= 2 + 20 + 10
    assert len(capped.sums.parts) <= 20 * 2 + 10
    assert dropped(snapshot)["ended"]


@pytest.mark.parametrize("passed", [0, 4])
def test_a_page_that_stands_in_two_snapshots_counts_once(passed: int) -> None:
    """A frame is valid for two periods; what it says is the same in both."""
    report = Reader(Target("e:1", "http://e:1/metrics")).read(vllm({"a": 1, "b": 1, "c": 5}).encode())
    state, one = cap(State(), frames(engines=[report]), RULES)
    _, two = cap(state, frames(engines=[report], passed=passed), RULES)

    assert one.good[-1].value is two.good[-1].value


def test_the_page_of_a_capped_node_is_the_golden_one() -> None:
    """What a scraper reads of three models where two have series."""
    *_, last = Node().steps(vllm({"a": 4, "b": 6, "c": 8}), vllm({"a": 5, "b": 7, "c": 11, "d": 2}))
    page = b"".join(
        line + b"\n"
        for line in Exposition().render(last, openmetrics=False).splitlines()
        if line.startswith((b"inference_", b"gen_ai_", b"inferometer_dropped"))
    )
    if os.environ.get("INFEROMETER_UPDATE_GOLDENS"):
        PAGE.write_bytes(page)

    assert page == PAGE.read_bytes()
