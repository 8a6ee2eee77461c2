# SPDX-License-Identifier: Apache-2.0
"""Where the requests of an engine are, one page at a time: what is in no place hung up."""

from collections.abc import Iterator, Sequence

from inferometer import catalog
from inferometer.join.shapes import Shape
from inferometer.model import Balance, EngineReport, Histogram, Reading, Resource

_GIVEN_UP = (catalog.FINISH_REASON.key, "abort")


def find_balances(report: EngineReport, shape: Shape, at: float, resource: Resource) -> Iterator[Balance]:
    """Give a balance for each model and rank of a page that says of all four places how many requests are there.

    A page of which a series was not believed may lack a part of a sum, and gives none; nor does what limits made one, which
    counts from another time, and loses a part when a model goes; nor one that says itself who hung up, as that of an engine
    behind Dynamo does: both together would count them twice.
    """
    if not report.balanced or report.dropped:
        return
    for attributes, pick in shape.balances:
        yield _balance(attributes, resource, at, pick(report.readings))


def _balance(attributes: tuple[str | None, ...], resource: Resource, at: float, readings: Sequence[Reading]) -> Balance:
    first = finished = aborted = pending = 0.0
    start = None
    for _, metric, added, value, began, _ in readings:
        if isinstance(value, Histogram):
            first += value.observations
            start = began
        elif metric is catalog.REQUESTS_FINISHED:
            finished += value
            aborted += value if _GIVEN_UP in added else 0.0
        else:
            pending += value
    return Balance(attributes, resource, at, first, finished, aborted, pending, start)
