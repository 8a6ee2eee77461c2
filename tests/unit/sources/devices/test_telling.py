# SPDX-License-Identifier: Apache-2.0
"""What the sampler tells of a GPU, and what the agent makes of it: names once, numbers each time."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from inferometer.model import Reading
from inferometer.sources.devices import calls, frames
from inferometer.sources.devices.heard import Heard
from inferometer.sources.devices.layout import Said, lay_out, say
from inferometer.sources.devices.roll import Roll
from inferometer.sources.devices.telling import MOST_LAYOUTS, DriverTelling, Telling
from inferometer.sources.devices.words import NVIDIA


def slot(metric: str) -> int:
    """Give the place of a metric's first quantity in the table."""
    return next(i for i, (quantity, _) in enumerate(calls.QUANTITIES) if quantity.metric == metric)


POWER, ENERGY, FAN, LINK = slot("hw.power"), slot("hw.energy"), slot("gpu.fan.speed"), slot("gpu.nvlink.up")


def frame(values: Sequence[tuple[float, ...]], tiers: Sequence[str] = ("fast",), **changed: object) -> dict[str, Any]:
    """Give what a GPU without instances was read as."""
    about = {"uuid": "GPU-0", "mig": False, "details": {"gpu.minor": "3"}, "instances": [], "unsupported": []}
    told = {"n": 1, "gpu": 0, "tiers": list(tiers), "values": values, "instances": [], "failed": [], "latencies": []}
    return {**told, "about": about, **changed}


def sent(telling: Telling, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the frames as the agent reads them."""
    rest = telling.tell(told)
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        yield frames.read(rest[4:end])
        rest = rest[end:]


def hear(telling: Telling, heard: Heard, told: dict[str, Any], before: Said | None = None) -> Said:
    """Give the fast readings that the agent makes of a frame."""
    *changed, numbers = sent(telling, told)
    for each in changed:
        heard.take(each)
    return say(heard.layout(numbers).fast, numbers["numbers"], before)


def values(readings: Sequence[Reading]) -> dict[str, object]:
    """Give what readings say, by metric."""
    return {reading.metric.name: reading.value for reading in readings}


def test_names_are_told_once() -> None:
    """What is as it was told is not told again: then there are but numbers."""
    telling = Telling()

    first, numbers = sent(telling, frame([(POWER, 300.0)]))
    assert (set(first), numbers["numbers"]) == ({"n", "gpu", "about", "layout"}, [300.0])
    assert [set(told) for told in sent(telling, frame([(POWER, 301.0)]))] == [{"n", "gpu", "layout", "numbers"}]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (frame([(POWER, 1.0)], failed=[("GPU-0", "hw.energy", "x", "y")]), {"failed"}),
        (frame([(POWER, 1.0), (ENERGY, 1.0)]), {"layout"}),
        (frame([(ENERGY, 1.0)]), {"layout"}),
        (frame([(POWER, 1.0)], ["fast", "medium"]), {"layout", "latencies"}),
        (frame([(POWER, 1.0)], about={**frame([])["about"], "mig": True}), {"about", "layout"}),
    ],
)
def test_what_changes_is_told(changed: dict[str, Any], told: set[str]) -> None:
    """And nothing else; afterwards it is not told either, but for latencies, and what was known before is known still."""
    telling = Telling()
    list(sent(telling, frame([(POWER, 1.0)])))

    first, _ = sent(telling, changed)
    assert set(first) - {"n", "gpu"} == told
    *again, _ = sent(telling, changed)
    assert [set(each) - {"n", "gpu"} for each in again] == ([{"latencies"}] if "latencies" in told else [])
    if told == {"layout"}:
        assert len(list(sent(telling, frame([(POWER, 2.0)])))) == 1


def test_a_link_with_another_number_is_another_name() -> None:
    """Numbers of links and fans are told as names are."""
    telling, heard = Telling(), Heard()
    tiers = ["fast", "medium"]

    for links in ((0, 1), (0, 2), (0, 1)):
        told = frame([(LINK, 1.0, link) for link in links], tiers)
        changed, numbers = sent(telling, told)
        heard.take(changed)
        layout = heard.layout(numbers)
        assert layout.links == tuple((place, str(link)) for place, link in enumerate(links))


def test_answers_that_come_and_go_are_bounded() -> None:
    """However many layouts there are, the agent knows the one that is used, and keeps no more than so many."""
    telling, heard = Telling(), Heard()
    slots = [i for i, (_, row) in enumerate(calls.QUANTITIES) if row.tier == "fast" and row.each is None]
    ways = [slots[i : i + n] for n in (3, 5, 8) for i in range(20)]
    assert len(ways) > MOST_LAYOUTS

    for way in (*ways, *ways[::-1]):
        said = hear(telling, heard, frame([(i, float(i)) for i in way]))
        assert [reading.value for reading in said.readings] == way


@pytest.mark.parametrize(
    "told",
    [
        [(POWER, 300.0), (ENERGY, 7.0)],
        [(POWER, 301.0), (ENERGY, 7.0)],
        [(ENERGY, 7.0), (POWER, 300.0)],
        [(ENERGY, 7.0)],
        [(POWER, 300.0), (FAN, 0.5, 0)],
        [(POWER, 300.0), (ENERGY, 7.0), (FAN, 0.5, 0)],
        [],
    ],
)
def test_readings_do_not_depend_on_those_before(told: list[tuple[float, ...]]) -> None:
    """Whatever the answer before, and whichever tiers are read with the fast one, the readings are those of the frame."""
    tiers = ["fast", "slow"]
    alone = hear(Telling(), Heard(), frame(told, tiers))

    for first in ([(POWER, 300.0), (ENERGY, 7.0)], [(POWER, 300.0), (FAN, 0.5, 0)], []):
        telling, heard = Telling(), Heard()
        before = hear(telling, heard, frame(first, tiers))
        assert hear(telling, heard, frame(told, tiers), before).readings == alone.readings


def test_a_reading_that_says_the_same_is_the_same() -> None:
    """Of two values of which one has moved the other's reading is not made again, whichever tiers are read; another GPU's are."""
    telling, heard = Telling(), Heard()
    before = hear(telling, heard, frame([(POWER, 300.0), (ENERGY, 7.0)]))
    same = hear(telling, heard, frame([(POWER, 300.0), (ENERGY, 7.0)]), before)
    after = hear(telling, heard, frame([(POWER, 300.0), (ENERGY, 8.0), (FAN, 0.5, 0)], ["fast", "slow"]), before)
    other = hear(telling, heard, frame([(POWER, 300.0)], about={**frame([])["about"], "uuid": "GPU-1"}), before)

    assert same is before
    assert after.readings[0] is before.readings[0]
    assert values(after.readings) == {"hw.power": 300.0, "hw.energy": 8.0}
    assert [reading.subject for reading in other.readings] == ["GPU-1"]


def test_the_driver_is_told_when_it_changes() -> None:
    """At the end of a sample there are but the costs, unless the driver is another one."""
    telling = DriverTelling()
    about = {"driver": {"hw.driver_version": "575"}, "excluded": []}

    sizes = [len(telling.tell(1, 8, {}, each)) for each in (about, dict(about), {**about, "excluded": ["0"]})]

    assert sizes[0] > sizes[1] < sizes[2]


GOOD = frame([(POWER, 300.0)])["about"]


@pytest.mark.parametrize(
    "told",
    [
        {"layout": [0, [[["fast"], [[POWER]]]]]},  # of a GPU that has not said which one it is
        {"about": GOOD, "layout": [0, []]},
        {"about": GOOD, "layout": [0, [[["fast"], [[POWER]]]] * 2]},
        {"about": GOOD, "layout": [0, [[["fast"], [[10**6]]]]]},
        {"about": GOOD, "layout": [0, [[["fast"], [[-1]]]]]},
        {"about": GOOD, "layout": [0, [[["fast"], [["x"]]]]]},
        {"about": GOOD, "layout": [0, [[["fast"], [[]]]]]},
        {"about": GOOD, "layout": [0, [[["medium"], [[LINK]]]]]},
        {"about": GOOD, "layout": [0, [[["medium"], [[LINK, "x"]]]]]},
        {"about": GOOD, "layout": [MOST_LAYOUTS, [[["fast"], [[POWER]]]]]},
        {"about": GOOD, "layout": [-1, [[["fast"], [[POWER]]]]]},
        {"about": GOOD, "layout": ["0", [[["fast"], [[POWER]]]]]},
        {"about": GOOD, "layout": 7},
        {"about": 7},
        {"about": {}},
        {"about": GOOD, "failed": [[1]]},
    ],
)
def test_what_the_sampler_would_never_tell_is_refused(told: dict[str, Any]) -> None:
    """By one of the errors that the source knows as such."""
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError, OverflowError)):
        Heard().take({"gpu": 0, **told})


@pytest.mark.parametrize(("layout", "numbers"), [(1, [1.0]), (0, []), (0, [1.0, 2.0])])
def test_numbers_without_their_names_are_refused(layout: int, numbers: list[float]) -> None:
    """Those of a layout that was never told, or of another size than was told."""
    heard = Heard()
    heard.take({"gpu": 0, "about": GOOD, "layout": [0, [[["fast"], [[POWER]]]]]})

    with pytest.raises((LookupError, ValueError)):
        heard.layout({"layout": layout, "numbers": numbers})


def test_tiers_that_nobody_knows_are_nothing() -> None:
    """A name that is no tier's has no readings of its own."""
    assert lay_out([(["fast", "nightly"], [(POWER,)])], ["GPU-0"]).slower == {}


@pytest.mark.parametrize("index", [-1, 10**6, "x"])
def test_a_gpu_that_no_node_has_is_refused(index: object) -> None:
    """A sampler that goes mad fills no memory with GPUs."""
    with pytest.raises(ValueError, match=r"no GPU|invalid literal"):
        Roll(NVIDIA).hear({"gpu": index, "about": GOOD})
