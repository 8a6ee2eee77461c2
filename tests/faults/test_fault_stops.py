# SPDX-License-Identifier: Apache-2.0
"""Every call of the sampler's table that hangs, is slow, crashes, loses its GPU, or is not there: it costs one GPU, for a while.

What is promised of the end: a call that returns after all, within two periods. A GPU that crashed the sampler, or was lost,
is tried by a probe: after a second, or `kill_after`, and then after twice as long each time. A driver as a whole: after its
back-off, of a second at first.
"""

import time
from collections.abc import Sequence

import pytest

from faults.cells import (
    LOST,
    UNTOLD,
    Attempt,
    Cell,
    begin,
    is_broken,
    is_local,
    is_well,
    recover,
    told,
    try_all,
    unharmed,
)
from faults.conftest import OpenWard
from faults.scene import WITNESSES, Target, needs_two_reads
from faults.ward import Page, Ward, names
from inferometer.model import Reason
from inferometer.sources.devices import backoff

LANES = 12  # a cell mostly waits
DEADLINE = 0.4
KILL_AFTER = 1.5
FOREVER = 60.0
MILLISECONDS = 500


def try_functions(
    fault: str,
    number: int,
    attempt: Attempt,
    targets: Sequence[Target],
    open_ward: OpenWard,
    subtests: pytest.Subtests,
    *,
    deadline: float = 5.0,
    kill_after: float = FOREVER,
) -> None:
    """Try every function of the table, and tell of each by its name."""
    cells = [Cell(target, fault, number) for target in targets if target.is_function]
    found = try_all(cells, attempt, lambda: open_ward(deadline, kill_after), LANES)
    for cell in cells:
        with subtests.test(str(cell)):
            assert not found[cell]


def stalls(ward: Ward, cell: Cell) -> list[str]:
    """Have a call not return in time."""
    begin(ward, cell)

    def is_seen(page: Page) -> bool:
        aged = not page.silent or page.age > 0 or cell.target.first or cell.whole
        return told(cell, page) and aged and (cell.whole or not ward.missing(page, *WITNESSES))

    ward.until(is_seen)
    ward.until(is_seen)  # and still
    return [*unharmed(ward, cell), *recover(ward, cell, 2)]


def drags(ward: Ward, cell: Cell) -> list[str]:
    """Have a call return too late. What is promised of the end counts from the return of the last one."""
    begin(ward, cell)
    # What is called only at first is told of on one page.
    ward.until(
        lambda page: any(told(cell, one) for one in ward.pages) and (cell.whole or not ward.missing(page, *WITNESSES))
    )
    said = unharmed(ward, cell)
    ward.is_now()
    time.sleep(MILLISECONDS / 1000)  # what is asked for here: that it is late
    return [*said, *recover(ward, cell, 2)]


def test_a_call_that_hangs_costs_its_gpu(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """The GPU is silent, with its age; all others are read at every period; when the call returns it is back within two."""
    try_functions("hang", 0, stalls, targets, open_ward, subtests, deadline=DEADLINE)


def test_a_call_that_is_slow_costs_its_gpu(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """A call that takes longer than the deadline is no other case, though it always returns."""
    try_functions("slow", MILLISECONDS, drags, targets, open_ward, subtests, deadline=DEADLINE)


def crashes(ward: Ward, cell: Cell) -> list[str]:
    """Have a call crash the sampler. The first page that is made of the next one has no values that take two reads."""
    begin(ward, cell)
    ward.until(lambda page: _is_told(cell, page) or (cell.target.name in UNTOLD and not page.trouble))
    if not cell.whole:
        ward.until(lambda page: not page.trouble and not ward.missing(page, *WITNESSES))
    said = [one for one in unharmed(ward, cell) if not one.startswith("of another device")]
    if not cell.whole:
        later = needs_two_reads()
        said += [page.trouble for page in ward.pages if page.trouble]
        said += [
            f"of another device: {name}"
            for page in ward.pages
            for name in names(ward.missing(page, *WITNESSES)) - later
        ]
    ward.is_now()
    ward.until(lambda page: is_well(ward, page))
    return said


def _is_told(cell: Cell, page: Page) -> bool:
    """Tell whether the crash is told by the name of its call."""
    told = [page.trouble] if page.trouble.startswith(Reason.CRASHED) else page.complaints
    return any(cell.target.name in one for one in told)


def test_a_call_that_crashes_costs_its_gpu(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crash is told by the name of its call; all others are read at every period; the GPU is back after a probe."""
    monkeypatch.setattr(backoff, "APART", 0.0)  # each is as the first in a while
    try_functions("crash", 0, crashes, targets, open_ward, subtests, kill_after=KILL_AFTER)


def loses(ward: Ward, cell: Cell) -> list[str]:
    """Have a call say that its GPU is lost, and that it is back."""
    begin(ward, cell)
    ward.until(lambda page: told(cell, page) and (cell.whole or not ward.missing(page, *WITNESSES)))
    said = unharmed(ward, cell)
    ward.is_now()
    if cell.whole:
        ward.restart()
    ward.until(lambda page: is_well(ward, page))
    return said


def test_a_lost_gpu_comes_back(targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests) -> None:
    """Whichever call says so, the GPU is silent and all others are read; when it is there again it is back after a probe."""
    try_functions("error", LOST, loses, targets, open_ward, subtests, kill_after=KILL_AFTER)


def lacks(ward: Ward, cell: Cell) -> list[str]:
    """Have a driver that does not know a call; the next cell's is another one, and knows it."""
    begin(ward, cell)
    ward.until(lambda page: is_broken(page) or is_local(ward, cell, page))
    return unharmed(ward, cell)


def test_a_missing_symbol_costs_what_the_call_feeds(
    targets: Sequence[Target], open_ward: OpenWard, subtests: pytest.Subtests
) -> None:
    """A library that was built without the call: every other value stands, by number."""
    try_functions("missing", 0, lacks, targets, open_ward, subtests)
