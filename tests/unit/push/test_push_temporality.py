# SPDX-License-Identifier: Apache-2.0
"""What counters and histograms have gained, case by case."""

import pytest

from example import AT, ENGINE, GPU, OWNER, point, snapshot
from inferometer import catalog
from inferometer.model import Histogram, Metric, Point, Snapshot, Value
from inferometer.push import temporality
from inferometer.push.temporality import Preference, Said, as_deltas

BEGAN = AT - 100
BOUNDS = (0.1, 1.0)


def counter(value: float, after: float = 0, start: float | None = None) -> Point:
    return point(catalog.TOKENS, {**ENGINE, "gen_ai.token.type": "input"}, value, at=AT + after, start=start)


def histogram(counts: tuple[int, ...], after: float = 0, *, bounds: tuple[float, ...] = BOUNDS) -> Point:
    return point(catalog.TIME_TO_FIRST_TOKEN, ENGINE, Histogram(bounds, counts, float(sum(counts))), at=AT + after)


def tell(*row: tuple[Point, ...], preference: Preference = Preference.DELTA) -> list[tuple[Point, ...]]:
    """Hand on these points, one snapshot after another, as an agent does that began at BEGAN."""
    said, told = Said(BEGAN), []
    for points in row:
        deltas, said = as_deltas(said, snapshot(*points), preference)
        told.append(deltas.points)
    return told


def values(row: list[tuple[Point, ...]]) -> list[list[tuple[float | None, float, Value]]]:
    """Give starts and times, in seconds after AT, and values."""
    return [
        [(None if p.start is None else round(p.start - AT, 3), round(p.at - AT, 3), p.value) for p in points]
        for points in row
    ]


def test_a_gain_goes_from_the_last_point_to_this_one() -> None:
    """The first point of an older counter is no gain yet; from then on gains follow one another without a gap."""
    row = tell((counter(10.0, 0),), (counter(12.0, 5),), (counter(12.0, 10),), (counter(19.0, 15),))
    assert values(row) == [[], [(0, 5, 2.0)], [(5, 10, 0.0)], [(10, 15, 7.0)]]


def test_a_counter_that_began_after_the_agent_has_gained_all_of_it() -> None:
    """Nobody can have told any of it before; of one that began before the agent, an earlier run may have."""
    assert values(tell((counter(10.0, 0, start=BEGAN + 1),))) == [[(-99, 0, 10.0)]]
    assert values(tell((counter(10.0, 0, start=BEGAN - 1),), (counter(11.0, 5, start=BEGAN - 1),))) == [
        [],
        [(0, 5, 1.0)],
    ]


@pytest.mark.parametrize("start", [None, AT + 3, AT - 50, AT + 1e9])
def test_a_counter_that_fell_has_gained_its_value(start: float | None) -> None:
    """From its start where that lies between the two points, else from the first of them: gains never overlap."""
    row = tell((counter(10.0, 0, start=BEGAN - 1),), (counter(4.0, 5, start=start),), (counter(6.0, 10, start=start),))
    assert values(row) == [[], [(3 if start == AT + 3 else 0, 5, 4.0)], [(5, 10, 2.0)]]


def test_a_later_start_is_a_reset_although_the_value_rose() -> None:
    """A counter that began anew and is ahead already has gained all of its value; a start that is only now known is none."""
    row = tell((counter(10.0, 0, start=BEGAN),), (counter(14.0, 5, start=AT + 2),))
    assert values(row) == [[(-100, 0, 10.0)], [(2, 5, 14.0)]]
    row = tell((counter(10.0, 0, start=BEGAN),), (counter(14.0, 5, start=AT),))  # it fell, and rose again unseen
    assert values(row)[1] == [(0, 5, 14.0)]
    row = tell((counter(10.0, 0),), (counter(14.0, 5, start=BEGAN - 1),), (counter(15.0, 10, start=BEGAN - 9),))
    assert values(row) == [[], [(0, 5, 4.0)], [(5, 10, 1.0)]]


def test_a_start_that_wavers_is_no_reset() -> None:
    """Of several processes now one says when it began and now another; what was told before is not told again."""
    row = tell(*[(counter(10.0 + i, 5.0 * i, start=BEGAN - 20 + 10 * (i % 2)),) for i in range(4)])
    assert values(row) == [[], [(0, 5, 1.0)], [(5, 10, 1.0)], [(10, 15, 1.0)]]


def test_a_series_that_comes_back_is_told_what_it_gained_meanwhile() -> None:
    """An engine that misses a scrape is neither a reset nor new: nothing is lost, and nothing is told twice."""
    row = tell((counter(10.0, 0, start=BEGAN + 1),), (), (counter(16.0, 10, start=BEGAN + 1),))
    assert values(row) == [[(-99, 0, 10.0)], [], [(0, 10, 6.0)]]


def test_what_was_forgotten_is_not_taken_for_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of absent series only so many are remembered; one that comes back after that begins again without a gain."""
    monkeypatch.setattr(temporality, "_MOST_ABSENT", 0)
    row = tell((counter(10.0, 0, start=BEGAN + 1),), (), (counter(16.0, 10, start=BEGAN + 1),), (counter(17.0, 15),))
    assert values(row) == [[(-99, 0, 10.0)], [], [], [(10, 15, 1.0)]]


def test_a_point_that_is_not_newer_is_no_news() -> None:
    """The same read again, or one from a clock that was set back, is left out, and its gain comes with the next."""
    row = tell((counter(10.0, 0),), (counter(12.0, 0),), (counter(13.0, -5),), (counter(15.0, 5),))
    assert values(row) == [[], [], [], [(0, 5, 5.0)]]


def test_histograms_gain_by_bucket() -> None:
    """Counts and sum are gains; a bucket that fell is a reset."""
    row = tell((histogram((1, 2, 3), 0),), (histogram((1, 4, 4), 5),), (histogram((0, 9, 9), 10),))
    assert values(row) == [
        [],
        [(0, 5, Histogram(BOUNDS, (0, 2, 1), 3.0))],
        [(5, 10, Histogram(BOUNDS, (0, 9, 9), 18.0))],
    ]


def test_other_bounds_are_another_histogram() -> None:
    """What was counted in other buckets cannot be taken away, so there is no gain, unless it is known to be new."""
    other = histogram((5, 5), 5, bounds=(0.2,))
    assert values(tell((histogram((1, 2, 3), 0),), (other,))) == [[], []]
    assert values(tell((histogram((1, 2, 3), 0),), (other._replace(start=AT + 1),))) == [[], [(1, 5, other.value)]]


@pytest.mark.parametrize(
    ("preference", "kinds"),
    [
        (Preference.CUMULATIVE, [False, False, False, False]),
        (Preference.DELTA, [True, True, False, False]),
        (Preference.LOWMEMORY, [False, True, False, False]),
    ],
)
def test_the_specified_instruments_are_deltas(preference: Preference, kinds: list[bool]) -> None:
    """Counter, histogram, up-down counter and gauge, as the specification's table has them; our counters are observed."""
    metrics: tuple[tuple[Metric, dict[str, str], Value], ...] = (
        (catalog.TOKENS, ENGINE, 3.0),
        (catalog.TIME_TO_FIRST_TOKEN, ENGINE, Histogram(BOUNDS, (1, 1, 1), 1.0)),
        (catalog.GPU_MEMORY_USAGE, GPU, 5.0),
        (catalog.OWNER_INFO, {**GPU, **OWNER}, 1.0),
    )
    first = tuple(point(metric, attributes, value) for metric, attributes, value in metrics)
    second = tuple(p._replace(at=p.at + 5) for p in first)
    _, told = tell(first, second, preference=preference)
    assert [p.start == AT for p in told] == kinds
    assert [p.metric for p in told] == [metric for metric, _, _ in metrics]


def test_what_no_output_may_say_changes_nothing() -> None:
    """A value that is no number is not remembered either."""
    row = tell((counter(10.0, 0),), (counter(float("nan"), 5),), (counter(12.0, 10),))
    assert values(row) == [[], [], [(0, 10, 2.0)]]


def test_what_was_not_handed_on_is_told_with_the_next() -> None:
    """Whoever could not hand on keeps what was said before, and loses nothing."""
    first, said = as_deltas(Said(BEGAN), snapshot(counter(10.0, 0)), Preference.DELTA)
    as_deltas(said, snapshot(counter(12.0, 5)), Preference.DELTA)
    after, _ = as_deltas(said, snapshot(counter(15.0, 10)), Preference.DELTA)
    assert values([first.points, after.points]) == [[], [(0, 10, 5.0)]]
    same = Snapshot(at=AT, steady=0.0, node=first.node)
    assert as_deltas(said, same, Preference.CUMULATIVE) == (same, said)
