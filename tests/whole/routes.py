# SPDX-License-Identifier: Apache-2.0
"""Two routes out of one agent, compared: what is pushed, scraped or kept by a backend has to be the same."""

from collections.abc import Callable

from whole.agents import tries
from whole.pages import ROUTE_ONLY, Page, Series

# Activity needs two samples, so that the first pages have none of it yet.
_GPM = "gpu_sm_activity_ratio"
# What moves with the clock even where the node's time stands still.
_MOVING = ("inferometer_", "gpu_owner_time_", "gpu_reading_age_")
# The period of agents whose routes are compared: the longer it is, the less is missing for a moment as it was read late.
CALM = 1.0  # seconds
# An outcome is counted from the first push on: each route has met another number of them.
_OUTCOMES = "inferometer_exports"


def still(page: Page) -> Page:
    """Give the agent's series whose values stand still while the node's time does."""
    return {series: page[series] for series in names(page) if not series[0].startswith(_MOVING)}


def same(one: Callable[[], Page], other: Callable[[], Page], seconds: float = 60.0) -> tuple[Page, Page]:
    """Read both routes until they say the same of a complete node, and give the last of each: the test compares them.

    A page of the first ticks lacks what is read later, and a push is a tick behind.
    """
    pages: tuple[Page, Page] | None = None
    complete, failed = False, AssertionError("nothing was read")
    for _ in tries(seconds):
        try:
            pages = one(), other()
        except AssertionError as error:  # a series of an engine whose identity has just changed may stand twice
            failed = error
            continue
        complete = all(any(name == _GPM for name, _ in page) for page in pages)
        if complete and names(pages[0]) == names(pages[1]) and still(pages[0]) == still(pages[1]):
            break
    if pages is None:
        raise failed
    assert complete, f"no {_GPM}"
    return pages


def names(page: Page) -> set[Series]:
    """Give the agent's series that both routes must have, without their values."""
    return {s for s in page if s[0] not in ROUTE_ONLY and not s[0].startswith(_OUTCOMES)}
