# SPDX-License-Identifier: Apache-2.0
"""The cells of the matrix: what is done to the driver, and what must be so then; and many wards to try them in at once."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fakenvml.fakenvml import Fault
from faults.pulse import Pulse
from faults.scene import WITNESSES, Target
from faults.ward import INFOS, Page, Ward, names
from inferometer.model import Reason
from inferometer.sources.devices import calls

log = logging.getLogger(__name__)

UNKNOWN, REFUSED, NOT_LOADED, LOST = 999, 3, 9, 15  # nvmlReturn_t


@dataclass(frozen=True)
class Cell:
    """A call, and what it does instead of answering."""

    target: Target
    fault: str  # as `Fault.kind`
    number: int = 0

    def __str__(self) -> str:
        return f"{self.target.name} {self.fault} {self.number}"

    @property
    def whole(self) -> bool:
        """Tell whether it concerns the driver, and not one GPU."""
        return self.target.subject == "system" or self.fault == "missing"


def begin(ward: Ward, cell: Cell) -> None:
    """Have the driver do it. What is called only at first is called anew."""
    fault = Fault(cell.fault, cell.target.subject, cell.target.name, cell.number)
    if cell.target.kind != ward.scene.kind:
        if ward.has_less:
            ward.lacks()
            ward.restart()
        ward.admit(cell.target.kind)
    first = cell.target.first and not cell.whole
    if cell.fault == "missing":
        ward.lacks(cell.target.name)
        ward.is_now()
    else:
        ward.is_now(fault, another=cell.target.kind if first else "")
    if cell.whole:
        ward.restart()


# Calls whose failure nobody need be told of: they let go of something, or ask for what may be missing anyway.
UNTOLD = frozenset(
    {
        "nvmlShutdown",
        "nvmlGpmSampleFree",
        "nvmlEventSetFree",
        *calls.UNBIND,
        *(fact.call for fact in calls.DRIVER_FACTS),
        "nvmlGetExcludedDeviceCount",
        "nvmlGetExcludedDeviceInfoByIndex",
    }
)


def told(cell: Cell, page: Page) -> bool:
    """Tell whether the call is named, or the GPU, or the driver, is said not to answer."""
    if cell.number == LOST and cell.target.name in (*calls.PROCESSES, *calls.VGPUS):
        return True  # of who uses the GPU, and that it is lost is for its own calls to say
    if cell.target.name in UNTOLD:
        return not page.trouble or (cell.fault in ("hang", "slow", "crash", "missing") and is_broken(page))
    return bool(page.complaints & cell.target.told or page.silent or is_broken(page))


def is_broken(page: Page) -> bool:
    return bool(page.trouble) and not page.trouble.startswith(Reason.RELEASED)


def unharmed(ward: Ward, cell: Cell) -> list[str]:
    """Say what a fault has done, since it began or ended, that it must not."""
    said = []
    for page in ward.pages:
        said += ward.wrong(page)
        if page.engine != ward.truth.engine:
            said.append(f"the engine's values: {page.engine}")
        if not cell.whole:
            said += [f"of another device: {series}" for series in ward.missing(page, *WITNESSES)]
    return list(dict.fromkeys(said))


def is_local(ward: Ward, cell: Cell, page: Page) -> bool:
    """Tell whether every value is there, by number, but those that the call feeds; or why there is none at all."""
    gone = names(ward.missing(page, *(WITNESSES if cell.whole or page.silent else ward.everyone)))
    return is_broken(page) or not any(metric not in INFOS and not cell.target.costs(metric) for metric in gone)


def is_well(ward: Ward, page: Page) -> bool:
    """Tell whether everything is there, by number."""
    return not page.trouble and not ward.missing(page, *ward.everyone)


def recover(ward: Ward, cell: Cell, periods: int) -> list[str]:
    """End the fault; say what is not back in time."""
    if cell.fault == "missing":
        ward.lacks()
    ward.is_now()
    if cell.whole:
        ward.restart()
    _, took = ward.until(lambda page: is_well(ward, page))
    said = unharmed(ward, cell)
    return [*said, f"it took {took} periods"] if took > periods and not cell.whole else said


Attempt = Callable[[Ward, Cell], list[str]]

# What is said against the sampler while the machine stood still is tried again beside the others, until it was tried in peace,
# but not for ever. And a machine that is busy elsewhere for half a second looks like a driver that is: what a few cells have to
# say beside a dozen others counts if they say it alone too. What is wrong in the sampler, or said by many, does not go away.
ROUNDS, ALONE, TIMES = 8, 30, 2


def try_all(
    cells: Sequence[Cell], attempt: Attempt, open_ward: Callable[[], Ward], lanes: int
) -> dict[Cell, list[str]]:
    """Try cells in several wards at once, and a few that complain alone; give what each has to say against the sampler."""
    found: dict[Cell, list[str]] = {}
    disturbed: set[Cell] = set()

    def work(share: Sequence[Cell]) -> None:
        ward = open_ward()
        try:
            for cell in share:
                began = time.monotonic()
                try:
                    found[cell] = attempt(ward, cell)
                except AssertionError as error:
                    found[cell] = [str(error)]
                disturbed.discard(cell)
                if found[cell]:
                    if pulse.stood_since(began):
                        disturbed.add(cell)
                    ward.close()
                    ward = open_ward()
        finally:
            ward.close()

    def work_at_once(todo: Sequence[Cell]) -> None:
        with ThreadPoolExecutor(lanes) as pool:
            for done in [pool.submit(work, todo[i::lanes]) for i in range(min(lanes, len(todo)))]:
                done.result()

    ordered = sorted(cells, key=lambda cell: (cell.whole, cell.target.kind))
    with Pulse() as pulse:
        work_at_once(ordered)
        for _ in range(ROUNDS):
            work_at_once([cell for cell in ordered if cell in disturbed])
        for _ in range(TIMES):
            complaining = [cell for cell in ordered if found[cell]]
            if len(complaining) > ALONE:
                break
            for cell in complaining:
                log.warning("%s, beside others: %s", cell, found[cell])
                work([cell])
                for _ in range(ROUNDS):
                    if cell in disturbed:
                        work([cell])
    return found
