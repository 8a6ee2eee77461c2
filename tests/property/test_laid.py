# SPDX-License-Identifier: Apache-2.0
"""Reports laid out as they were before become the points that they become when they are laid out anew."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inferometer import catalog
from inferometer.join.laid import Laid, Said, find_moved, lay
from inferometer.model import Histogram, Metric, Point, Reading, Resource, Value

_NODE, _OTHER = Resource.of({"service.name": "a"}), Resource.of({"service.name": "b"})
_NAMED = {"GPU-0": {catalog.HW_ID.key: "GPU-0"}, "GPU-1": {catalog.HW_ID.key: "GPU-1"}}
_ALIKE = {"GPU-0": {catalog.HW_ID.key: "GPU-1"}}  # its series may be said before
_SENSORS = tuple(((catalog.HW_SENSOR.key, sensor),) for sensor in ("core", "memory"))
_BOUNDED = Histogram((1.0,), (1, 2), 3.0), Histogram((1.0, 2.0), (1, 0, 0), 0.5)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    """Give one of a few readings: of a device that is there or not, with a time of its own or not, with a start or not."""
    metric = draw(st.sampled_from([catalog.POWER, catalog.TEMPERATURE, catalog.TIME_TO_FIRST_TOKEN]))
    values: list[Value] = list(_BOUNDED) if metric is catalog.TIME_TO_FIRST_TOKEN else [1.0, 2.0]
    return Reading(
        draw(st.sampled_from(["GPU-0", "GPU-1", "GPU-gone"])),
        metric,
        draw(st.sampled_from(_SENSORS)) if metric is catalog.TEMPERATURE else (),
        draw(st.sampled_from(values)),
        draw(st.sampled_from([None, 5.0])),
        draw(st.sampled_from([None, None, 90.0, 91.0])),
    )


@st.composite
def ticks(draw: st.DrawFn) -> list[list[Said]]:
    """Give what two reports say from tick to tick: mostly the same readings, a few others, now and then of other series."""
    there = [draw(st.lists(readings(), max_size=9)) for _ in range(2)]
    ats = [100.0, 100.0]
    life = []
    for _ in range(draw(st.integers(2, 6))):
        for report, before in enumerate(there):
            change = draw(st.sampled_from(["nothing", "values", "times", "series"]))
            if change == "series":
                there[report] = draw(st.lists(readings(), max_size=9))
            elif change != "nothing" and before:
                place = draw(st.integers(0, len(before) - 1))
                other = draw(readings())
                moved = before[place]._replace(start=other.start)
                if change == "times":
                    moved = moved._replace(at=other.at)
                elif other.metric is moved.metric:
                    moved = moved._replace(value=other.value)
                there[report] = [*before[:place], moved, *before[place + 1 :]]
            ats[report] += draw(st.sampled_from([0.0, 1.0]))
        named = draw(st.sampled_from([_NAMED, _NAMED, _ALIKE]))
        life.append([Said(_NAMED, tuple(there[0]), ats[0], _NODE), Said(named, tuple(there[1]), ats[1], _OTHER)])
    return life


def _points(laid: Laid) -> dict[Metric, tuple[Point, ...]]:
    return {metric: column.group for metric, column in laid.columns.items()}


@given(ticks())
def test_what_is_laid_out_as_before_is_what_is_laid_out_anew(life: list[list[Said]]) -> None:
    """Points, their names, the number of series and of those that were said before are the same with a memory and without."""
    before: Laid | None = None
    for reports in life:
        laid, anew = lay(reports, before), lay(reports)
        assert _points(laid) == _points(anew)
        assert {m: (c.names, c.series) for m, c in laid.columns.items()} == {
            m: (c.names, c.series) for m, c in anew.columns.items()
        }
        assert laid.repeated == anew.repeated
        assert list(laid.layout.names) == list(anew.layout.names)
        for column in laid.columns.values():
            assert column.names == tuple(point.attributes for point in column.group)
        before = laid


@given(ticks())
def test_what_was_not_read_anew_stays_the_very_same(life: list[list[Said]]) -> None:
    """While series are the same, a point of the same reading and time is the same object, and so is a group of such alone."""
    for earlier, later in pairwise(life):
        before = lay(earlier)
        laid = lay(later, before)
        if laid.layout is not before.layout:
            continue
        for metric, column in laid.columns.items():
            old = before.columns[metric]
            assert column.names is old.names
            same = [
                laid.readings[place] is before.readings[place]
                and (
                    laid.readings[place].at
                    or laid.ats[laid.layout.whose[place]] == before.ats[laid.layout.whose[place]]
                )
                for place in laid.layout.places[metric]
            ]
            assert all(one is other for one, other, kept in zip(column.group, old.group, same, strict=True) if kept)
            assert not all(same) or column.group is old.group


@given(st.lists(readings(), max_size=300), st.lists(st.integers(0, 299), max_size=9))
def test_what_moved_is_found(before: list[Reading], others: list[int]) -> None:
    """Every reading that is another than before is found, wherever it is, and no other."""
    now = list(before)
    for place in others:
        if place < len(now):
            now[place] = now[place]._replace(start=77.0)

    assert find_moved(now, before) == sorted({place for place in others if place < len(now)})
