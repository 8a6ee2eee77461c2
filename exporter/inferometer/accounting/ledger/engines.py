# SPDX-License-Identifier: Apache-2.0
"""What is counted of engines here and not there: requests that were given up, and how long the engines took to start.

The count of what was given up follows from an engine's own counters, and those of the meantime are in it. Of a start that nobody
saw, only the phases that were known before are.
"""

from collections.abc import Mapping
from typing import Any

from inferometer import catalog
from inferometer.accounting import aborts, startups
from inferometer.accounting.ledger.cells import (
    Columns,
    Moment,
    UnusableError,
    flag,
    mapping,
    maybe,
    number,
    rows,
    several,
    text,
    to_steady,
    to_unix,
    whole,
)
from inferometer.model import Balance, Histogram, Resource, Start

_PHASES = catalog.STARTUP_PHASE.values
_ABORT_CELLS, _SERIES_CELLS, _ENGINE_CELLS = 14, 6, 6


def write_down(given_up: Mapping[aborts.Key, aborts.Aborts], starting: startups.State, now: Moment) -> dict[str, Any]:
    """Write down both."""
    return {
        "aborted": {
            "keys": catalog.REQUESTS_ABORTED.keys,
            "rows": [_aborts_row(key, each, now) for key, each in given_up.items()],
        },
        "startups": {
            "keys": catalog.STARTUP_DURATION.keys,
            "bounds": startups.BOUNDS,
            "rows": [
                (key, each.value.counts, each.value.sum, each.start, each.at, to_unix(each.ended, now))
                for key, each in starting.series.items()
            ],
        },
        "engines": [
            (*engine, each.start.started, dict(each.phases), sorted(each.entered), each.over)
            for engine, each in starting.engines.items()
        ],
    }


def take_up(
    section: Mapping[str, Any], latest: float, now: Moment
) -> tuple[dict[aborts.Key, aborts.Aborts], startups.State]:
    """Take up both. `latest` is when it was written down: nothing began after that."""
    aborted, durations = mapping(section.get("aborted")), mapping(section.get("startups"))
    given_up: dict[aborts.Key, aborts.Aborts] = {}
    columns = Columns(aborted.get("keys"), catalog.REQUESTS_ABORTED.keys)
    for row in rows(aborted.get("rows"), _ABORT_CELLS):
        key, each = columns.read(row[0]), _aborts(row, latest, now)
        if key is not None:
            given_up[key] = each._replace(latest=each.latest._replace(attributes=key))
    engines = {
        (text(row[0]), text(row[1])): startups.Startup(
            Start((text(row[0]), text(row[1])), 0.0, number(row[2]), 0.0, 0.0, None, 0.0, None, None, Resource(())),
            {_phase(phase): number(seconds) for phase, seconds in mapping(row[3]).items()},
            frozenset(_phase(phase) for phase in several(row[4])),
            over=flag(row[5]),
        )
        for row in rows(section.get("engines"), _ENGINE_CELLS)
    }
    return given_up, startups.State(engines, _series(durations, latest, now))


def _aborts_row(key: aborts.Key, each: aborts.Aborts, now: Moment) -> tuple[Any, ...]:
    page = each.latest
    return (
        key,
        page.resource.attributes,
        page.at,
        page.first,
        page.finished,
        page.aborted,
        page.pending,
        page.start,
        *each.since,
        each.surplus,
        each.total,
        each.start,
        to_unix(each.ended, now),
    )


def _aborts(row: list[Any], latest: float, now: Moment) -> aborts.Aborts:
    resource = Resource(tuple((text(key), text(value)) for key, value in rows(row[1], 2)))
    at, first, finished, aborted, pending = (number(cell) for cell in row[2:7])
    page = Balance((), resource, min(at, latest), first, finished, aborted, pending, maybe(number, row[7]))
    return aborts.Aborts(
        total=number(row[11]),
        latest=page,
        since=(number(row[8]), number(row[9])),
        surplus=_balance(row[10]),
        start=min(number(row[12]), latest),
        ended=to_steady(row[13], now),
    )


def _series(durations: Mapping[str, Any], latest: float, now: Moment) -> dict[tuple[str | None, ...], startups.Series]:
    """Take up the histograms, unless their bounds are others now (law 7)."""
    found: dict[tuple[str | None, ...], startups.Series] = {}
    bounds = tuple(number(bound) for bound in several(durations.get("bounds")))
    columns = Columns(durations.get("keys"), catalog.STARTUP_DURATION.keys)
    for row in rows(durations.get("rows"), _SERIES_CELLS):
        counts = tuple(whole(count) for count in several(row[1], len(bounds) + 1))
        start, at = min(number(row[3]), latest), min(number(row[4]), latest)
        series = startups.Series(Histogram(bounds, counts, number(row[2])), start, at, to_steady(row[5], now))
        key = columns.read(row[0])
        if key is not None and bounds == startups.BOUNDS:
            found[key] = series
    return found


def _balance(cell: object) -> float:
    """Read a number that may be negative."""
    return -number(-cell) if isinstance(cell, int | float) and cell < 0 else number(cell)


def _phase(cell: object) -> str:
    if (phase := text(cell)) not in _PHASES:
        raise UnusableError("a phase of a start is none")
    return phase
