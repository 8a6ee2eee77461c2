# SPDX-License-Identifier: Apache-2.0
"""The counters of XIDs by GPU and code, and of SXIDs by NVSwitch and code.

What two tellers told is not held against one another over an end: an XID of its last moment that NVML told and the kernel's
log tells only to the next agent counts twice.
"""

from collections.abc import Mapping
from typing import Any

from inferometer.accounting.ledger.cells import (
    Moment,
    UnusableError,
    flag,
    maybe,
    number,
    rows,
    text,
    to_steady,
    to_unix,
    whole,
)
from inferometer.accounting.xids.counts import ANY, Reported
from inferometer.accounting.xids.fold import State
from inferometer.accounting.xids.owners import Hits
from inferometer.accounting.xids.switches import Reported as OfSwitch

_CELLS, _SWITCH_CELLS = 9, 6


def write_down(state: State, now: Moment) -> dict[str, Any]:
    """Write down what was told and what is held back until the next snapshot, which is the next agent's first."""
    return {
        "gpus": [
            (
                device,
                None if code == ANY else code,
                known.gpu,
                known.start,
                known.at,
                known.told,
                known.held,
                known.newest,
                to_unix(known.gone, now),
            )
            for (device, code), known in state.counters.items()
        ],
        "switches": [
            (address, code, fatal, known.start, known.told, known.held)
            for (address, code, fatal), known in state.sxids.items()
        ],
    }


def take_up(section: Mapping[str, Any], hits: Hits, latest: float, now: Moment) -> State:
    """Take up the counters, and those of owners. `latest` is when it was written down: nothing began after that."""
    counters: dict[tuple[str, int], Reported] = {}
    for row in rows(section.get("gpus"), _CELLS):
        code = maybe(whole, row[1])
        key = (text(row[0]), ANY if code is None else code)
        counters[key] = Reported(
            gpu=text(row[2]),
            start=min(number(row[3]), latest),
            at=min(number(row[4]), latest),
            told=whole(row[5]),
            held=whole(row[6]),
            newest=maybe(number, row[7]),
            gone=to_steady(row[8], now),
        )
    for device in {device for device, _ in counters}:
        # The total is counted with every XID, and a code's with most: it is never less.
        codes = sum(each.told + each.held for (of, code), each in counters.items() if of == device and code != ANY)
        total = counters.get((device, ANY))
        if total is not None and total.told + total.held < codes:
            raise UnusableError("a GPU has more XIDs by code than in all")
    switches = {
        (text(row[0]), whole(row[1]), flag(row[2])): OfSwitch(min(number(row[3]), latest), whole(row[4]), whole(row[5]))
        for row in rows(section.get("switches"), _SWITCH_CELLS)
    }
    return State(counters=counters, hits=hits, sxids=switches)
