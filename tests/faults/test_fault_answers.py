# SPDX-License-Identifier: Apache-2.0
"""Every call and value of the sampler's table, answered with an error, a refusal or garbage: it costs what the call feeds.

In every cell the values of the GPU itself, of two others and an instance, and of an engine are compared by number, on the page.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from faults.cells import (
    NOT_LOADED,
    REFUSED,
    UNKNOWN,
    Attempt,
    Cell,
    begin,
    is_local,
    is_well,
    recover,
    told,
    try_all,
    unharmed,
)
from faults.conftest import OpenWard
from faults.scene import Target
from faults.ward import Ward
from inferometer.sources.devices import calls

LANES = 12  # a cell mostly waits for the next period
PATTERNS = (
    0,
    1,
    2,
)  # of garbage: every bit set; negative numbers and empty text; the bits of a NaN, and text that is none


def try_in_wards(cells: Sequence[Cell], attempt: Attempt, open_ward: OpenWard, subtests: pytest.Subtests) -> None:
    """Try the cells, and tell of each by its name."""
    found = try_all(cells, attempt, open_ward, LANES)
    for cell in cells:
        with subtests.test(str(cell)):
            assert not found[cell]


def test_every_call_of_the_table_is_in_the_matrix(targets: Sequence[Target]) -> None:
    """A call, a field or a metric that the sampler knows and that no scene reaches fails here: it would be a cell that cannot fail."""
    reached = {target.name for target in targets}
    gpm = {f"gpm.{way.gpm}" for row in calls.ROWS for way in row.ways if way.gpm}
    assert {*calls.CALLS[1:], *(f"field.{id_}" for id_ in calls.FIELDS), *gpm} <= reached


def fails(ward: Ward, cell: Cell) -> list[str]:
    """Have a call fail, in a way that may pass."""
    return [*fail(ward, cell), *recover(ward, cell, 2)]


def fail(ward: Ward, cell: Cell) -> list[str]:
    begin(ward, cell)
    ward.until(lambda page: told(cell, page) and is_local(ward, cell, page))
    return unharmed(ward, cell)


def rambles(ward: Ward, cell: Cell) -> list[str]:
    """Have a call answer garbage, for as long as a new value may take to come, and a kept one to go."""
    return [*ramble(ward, cell), *recover(ward, cell, 2)]


def ramble(ward: Ward, cell: Cell) -> list[str]:
    begin(ward, cell)
    ward.step()
    ward.until(lambda page: is_local(ward, cell, page))
    return unharmed(ward, cell)


def fails_and_rambles(ward: Ward, cell: Cell) -> list[str]:
    """Have one value of a batch fail, then be garbage of every kind, and then be well."""
    said = fail(ward, cell)
    for pattern in PATTERNS:
        said += ramble(ward, replace(cell, fault="absurd", number=pattern))
    return [*said, *recover(ward, cell, 2)]


def refuses(ward: Ward, cell: Cell) -> list[str]:
    """Have a call refused, which is believed for as long as the GPU is the same; then have another GPU in its place."""
    begin(ward, cell)
    ward.until(lambda page: told(cell, page) or cell.target.has_another_way)
    ward.until(lambda page: is_local(ward, cell, page))
    said = unharmed(ward, cell)
    if cell.whole:
        return [*said, *recover(ward, cell, 0)]
    ward.is_now(another=cell.target.kind)
    ward.until(lambda page: is_well(ward, page))
    return said


def test_an_error_of_a_call_costs_what_the_call_feeds(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """An error is told by the name of its call; every other value stands, by number; and it is back within two periods."""
    try_in_wards([Cell(t, "error", UNKNOWN) for t in targets if t.is_function], fails, open_ward, subtests)


def test_a_call_that_says_that_the_driver_is_gone_costs_what_it_feeds(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """While the library and the other GPUs say otherwise, what one GPU's call says of the driver is an error like another."""
    cells = [Cell(t, "error", NOT_LOADED) for t in targets if t.is_function and t.subject != "system"]
    try_in_wards(cells, fails, open_ward, subtests)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_garbage_of_a_call_is_never_published(
    pattern: int, targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """Whatever a call answers, what is on the page is true or absent, the rest stands, and it is back within two periods."""
    try_in_wards([Cell(t, "absurd", pattern) for t in targets if t.is_function], rambles, open_ward, subtests)


def test_an_error_and_garbage_of_a_value_cost_it_alone(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """A field or a metric that fails in a batch that succeeds is told by its name; garbage is not published; all else stands."""
    cells = [Cell(t, "error", UNKNOWN) for t in targets if not t.is_function]
    try_in_wards(cells, fails_and_rambles, open_ward, subtests)


def test_what_is_not_supported_costs_what_the_call_feeds(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """A refusal is told by the name of its call; every other value stands, by number; and the next GPU is asked anew."""
    try_in_wards([Cell(target, "error", REFUSED) for target in targets], refuses, open_ward, subtests)
