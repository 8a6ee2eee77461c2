# SPDX-License-Identifier: Apache-2.0
"""How cells are tried: what is said while the machine stands still is tried again, and what is said in peace counts."""

from collections import Counter
from typing import Any

import pytest

from faults.cells import ALONE, Cell, try_all
from faults.pulse import Pulse
from faults.scene import Target

CELLS = [Cell(Target(f"call {number}", "whole", "gpu0"), "error") for number in range(ALONE + 10)]


class _Ward:
    def close(self) -> None:
        pass


def tried(monkeypatch: pytest.MonkeyPatch, *, stands_still: bool, wrong: int) -> tuple[set[int], bool]:
    """Try cells that are wrong so many times; give how often each was tried, and whether any still complains."""
    monkeypatch.setattr(Pulse, "stood_since", lambda *_: stands_still)
    times: Counter[Cell] = Counter()

    def attempt(_: object, cell: Cell) -> list[str]:
        times[cell] += 1
        return ["wrong"] if times[cell] <= wrong else []

    ward: Any = _Ward
    found = try_all(CELLS, attempt, ward, 4)
    assert found.keys() == times.keys() == set(CELLS)
    return set(times.values()), any(found.values())


def test_a_machine_that_stands_still_says_nothing_of_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells complain five times while it does, and none in peace."""
    assert tried(monkeypatch, stands_still=True, wrong=5) == ({6}, False)


def test_what_many_say_in_peace_is_not_tried_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is tried once, though all of them would be well the second time."""
    assert tried(monkeypatch, stands_still=False, wrong=1) == ({1}, True)


def test_a_machine_that_never_has_time_does_not_hide_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is always said is said in the end."""
    assert tried(monkeypatch, stands_still=True, wrong=1_000)[1]
