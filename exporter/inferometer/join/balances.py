# SPDX-License-Identifier: Apache-2.0
"""Where the requests of an engine are, one page at a time: what is in no place hung up."""

from collections.abc import Iterator, Mapping

from inferometer import catalog
from inferometer.model import Balance, EngineReport, Histogram, Reading, Resource

_KEYS = tuple(key for key in catalog.REQUESTS_ABORTED.keys if key != catalog.FINISH_REASON.key)
_PLACES = (catalog.TIME_TO_FIRST_TOKEN, catalog.REQUESTS_FINISHED, catalog.REQUESTS_RUNNING, catalog.REQUESTS_WAITING)
_FOLDED = frozenset((key, catalog.OTHER) for key in (catalog.MODEL.key, catalog.FINISH_REASON.key))
_GIVEN_UP = (catalog.FINISH_REASON.key, "abort")

_Own = tuple[tuple[str, str], ...]  # the attributes that tell the engine cores of one page apart


def find_balances(
    report: EngineReport, named: Mapping[str, str | None], at: float, resource: Resource
) -> Iterator[Balance]:
    """Give a balance for each model and rank of a page that says of all four places how many requests are there.

    A page of which a series was not believed may lack a part of a sum, and gives none; nor does what limits made one, which
    counts from another time, and loses a part when a model goes; nor one that says itself who hung up, as that of an engine
    behind Dynamo does: both together would count them twice. `named` has the engine's attributes.
    """
    if not report.balanced or report.dropped:
        return
    if any(reading.metric is catalog.REQUESTS_ABORTED for reading in report.readings):
        return
    engines: dict[_Own, list[Reading]] = {}
    folded: set[_Own] = set()
    for reading in report.readings:
        if reading.metric in _PLACES:
            own = tuple([pair for pair in reading.attributes if pair[0] in _KEYS])
            engines.setdefault(own, []).append(reading)
            if not _FOLDED.isdisjoint(reading.attributes):
                folded.add(own)
    for own, readings in engines.items():
        if own not in folded and {reading.metric for reading in readings} == set(_PLACES):
            get = {**named, **dict(own), catalog.ABORT_EVIDENCE.key: "derived"}.get
            yield _balance(tuple([get(key) or None for key in catalog.REQUESTS_ABORTED.keys]), resource, at, readings)


def _balance(attributes: tuple[str | None, ...], resource: Resource, at: float, readings: list[Reading]) -> Balance:
    first = finished = aborted = pending = 0.0
    start = None
    for reading in readings:
        value = reading.value
        if isinstance(value, Histogram):
            first += value.observations
            start = reading.start
        elif reading.metric is catalog.REQUESTS_FINISHED:
            finished += value
            aborted += value if _GIVEN_UP in reading.attributes else 0.0
        else:
            pending += value
    return Balance(attributes, resource, at, first, finished, aborted, pending, start)
