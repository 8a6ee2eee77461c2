# SPDX-License-Identifier: Apache-2.0
"""Files of counters that are cut, damaged or made up: refused by name, or taken up without a value that no counter has."""

import contextlib
import copy
import json
import tempfile
import zlib
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CONTEXT, NOW, frames
from inferometer import catalog
from inferometer.accounting import Rules, State, aborts, account, startups
from inferometer.accounting.ledger import Moment, UnusableError, take_up, write_down
from inferometer.app import counters_file
from inferometer.join import join
from inferometer.model import Allocation, Balance, Frames, Histogram, Instrument, Pod, Reading, Resource
from inferometer.views.prometheus import Exposition
from reported import by_nvml, with_address

AGAIN = Moment(NOW + 60.0, 50.0)


def tick(passed: float) -> Frames:
    return frames(
        devices=[with_address(0)],
        readings=[Reading("GPU-0", catalog.ENERGY, (), 100.0 * passed)],
        xids=[by_nvml(1, at=8.0), by_nvml(2, 999, at=8.0)] if passed > 8.0 else [],
        allocations=[Allocation("ns", "a", "main", "GPU-0")],
        pods=[Pod("uid-a", "ns", "a", "Running")],
        passed=passed,
    )


def written() -> dict[str, Any]:
    """Give what an agent writes down after some ticks, a row of everything in it."""
    state = State()
    for number in range(4):
        state, _ = account(state, join(tick(5.0 * number), CONTEXT), Rules())
    document: dict[str, Any] = json.loads(
        json.dumps(write_down(_with_engines(state), "n1", Moment(NOW + 15.0, 1015.0)))
    )
    return document


def _with_engines(state: State) -> State:
    key = tuple("x" if i == 0 else None for i, _ in enumerate(catalog.REQUESTS_ABORTED.keys))
    model = tuple("x" if i == 0 else None for i, _ in enumerate(catalog.STARTUP_DURATION.keys))
    page = Balance(key, Resource.of({"service.name": "e"}), NOW, 9.0, 4.0, 1.0, 2.0)
    counts = (1,) + (0,) * len(startups.BOUNDS)
    return replace(
        state,
        given_up={key: aborts.Aborts(3.0, page, (1.0, 0.0), -1.0, NOW)},
        starting=startups.State(
            {}, {model: startups.Series(Histogram(startups.BOUNDS, counts, 1.0), NOW, NOW, 1010.0)}
        ),
    )


WRITTEN = written()


def use(document: object) -> None:
    """Take up what a document says and go on with it: no crash, and no value that is none."""
    try:
        state = take_up(document, "n1", AGAIN)
    except UnusableError:
        return
    exposition = Exposition(created=True)
    for passed in (60.0, 65.0, 5000.0):
        state, snapshot = account(state, join(tick(passed), CONTEXT), Rules())
        for point in snapshot.points:
            if point.metric.instrument is Instrument.COUNTER:
                assert isinstance(point.value, float)
                assert point.value >= 0.0
                assert isfinite(point.value)
                assert point.start is None or 0.0 <= point.start <= point.at
        for openmetrics in (False, True):
            assert b"".join(part.text for part in exposition.parts(snapshot, openmetrics=openmetrics))


def test_every_cut_is_refused(tmp_path: Path) -> None:
    """Whatever was cut off."""
    path = tmp_path / "counters"
    counters_file.write(str(path), {"node": "n1", "at": 1.0, "rows": [1, 2, 3]})
    content = path.read_bytes()
    assert counters_file.read(str(path)) == {"node": "n1", "at": 1.0, "rows": [1, 2, 3]}
    for length in range(len(content)):
        path.write_bytes(content[:length])
        try:
            counters_file.read(str(path))
        except UnusableError:
            continue
        raise AssertionError(f"{length} bytes of {len(content)} were believed")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_byte_that_is_another_is_noticed(data: st.DataObject) -> None:
    """Anywhere in the file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "counters"
        counters_file.write(str(path), WRITTEN)
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with contextlib.suppress(UnusableError):
            assert counters_file.read(str(path)) == WRITTEN


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_a_body_that_was_made_up_is_read_or_refused(body: bytes) -> None:
    """Under a checksum that fits: whoever may write the file can make the agent begin at what they like, and no worse."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "counters"
        path.write_bytes(b"inferometer counters 1 %08x\n" % zlib.crc32(body) + body)
        with contextlib.suppress(UnusableError):
            use(counters_file.read(str(path)))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 2000)
    | st.just(10**400)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List every place in a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


PLACES = [place for place in places(WRITTEN) if place]


@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), min_size=1, max_size=3))
@settings(max_examples=500, deadline=None)
def test_cells_that_are_something_else_are_refused_or_counters(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Of whatever type and size, one or several at once."""
    document = copy.deepcopy(WRITTEN)
    for place, value in changes:
        node = document
        try:
            for step in place[:-1]:
                node = node[step]
            node[place[-1]] = value
        except (KeyError, IndexError, TypeError):  # a change before has taken the place away
            continue
    use(document)


@given(st.sampled_from(PLACES))
@settings(max_examples=200, deadline=None)
def test_what_is_missing_is_refused_or_not_missed(place: tuple[Any, ...]) -> None:
    """A cell, a row, a key or a section."""
    document = copy.deepcopy(WRITTEN)
    node: Any = document
    for step in place[:-1]:
        node = node[step]
    del node[place[-1]]
    use(document)


def test_nothing_changed_is_taken_up_whole() -> None:
    """What these tests change is good to begin with."""
    state = take_up(WRITTEN, "n1", AGAIN)

    assert [len(each) for each in (state.holdings, state.given_up, state.starting.series, state.reports.hits)] == [
        2,
        1,
        1,
        1,
    ]
    assert len(state.reports.counters) > 2
    use(WRITTEN)
