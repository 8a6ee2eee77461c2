# SPDX-License-Identifier: Apache-2.0
"""What owners held and spent, and the XIDs that hit them, one row for each series of their time."""

from collections.abc import Mapping
from typing import Any

from inferometer import catalog
from inferometer.accounting.held import Attributes, Held
from inferometer.accounting.ledger.cells import (
    Columns,
    Moment,
    UnusableError,
    flag,
    mapping,
    maybe,
    number,
    rows,
    text,
    to_steady,
    to_unix,
    whole,
)
from inferometer.accounting.xids.owners import SEVERITIES, Hits

_KEYS = catalog.OWNER_TIME.keys
_DEVICE = _KEYS.index(catalog.HW_ID.key)
_CELLS = 11


def write_down(holdings: Mapping[Attributes, Held], hits: Hits, now: Moment) -> dict[str, Any]:
    """Write down every series; whether the GPU was had alone since its counter moved is of that process only."""
    return {
        "keys": _KEYS,
        "rows": [
            (
                attributes,
                held.holder[1],
                held.total,
                held.start,
                held.at,
                to_unix(held.ended, now),
                held.fraction,
                held.sole,
                held.joules,
                held.timed,
                dict(zip(SEVERITIES, hits[attributes], strict=True)) if attributes in hits else None,
            )
            for attributes, held in holdings.items()
        ],
    }


def take_up(section: Mapping[str, Any], latest: float, now: Moment) -> tuple[dict[Attributes, Held], Hits]:
    """Take up what holders had, and what hit them. `latest` is when it was written down: nothing began after that.

    A holder is there as long as the first snapshot does not say otherwise: what hit its device meanwhile is then its.
    """
    holdings: dict[Attributes, Held] = {}
    hits: dict[Attributes, tuple[int, ...]] = {}
    columns = Columns(section.get("keys"), _KEYS)
    for row in rows(section.get("rows"), _CELLS):
        attributes = columns.read(row[0])
        held = Held(
            ("", maybe(text, row[1])),
            total=number(row[2]),
            start=min(number(row[3]), latest),
            at=min(number(row[4]), latest),
            ended=to_steady(row[5], now),
            fraction=_fraction(row[6]),
            sole=flag(row[7]),
            joules=maybe(number, row[8]),
            timed=flag(row[9]),
            metered=False,
        )
        counts = None if row[10] is None else _counts(row[10])
        device = attributes[_DEVICE] if attributes else None
        if attributes is None or device is None:
            continue
        holdings[attributes] = held._replace(holder=(device, held.holder[1]))
        if counts:
            hits[attributes] = counts
    return holdings, hits


def _fraction(cell: object) -> float:
    fraction = number(cell)
    if fraction > 1.0:
        raise UnusableError("a part of a device is more than all of it")
    return fraction


def _counts(cell: object) -> tuple[int, ...]:
    found = mapping(cell)
    return tuple(whole(found.get(severity, 0)) for severity in SEVERITIES)
