# SPDX-License-Identifier: Apache-2.0
"""What is written down of the counters when an agent ends, and taken up when the next one starts. Pure.

Written down is what the agent itself has counted of the world: owners' time, energy and XIDs, XIDs and SXIDs of devices, requests
that were given up, how long engines took to start. Its own health (`inferometer.*`) begins again with each process.

The time between two processes is nobody's: what GPUs said last is not written down, and the first snapshot ends no interval,
so that nothing of it is put down to an owner or to the residual (law 3). A start stays that of before: to whoever reads it,
the counter goes on.

That the node was started again meanwhile changes nothing of what was counted: a pod's UID never comes back as another pod's, nor a
GPU's. Who is gone meanwhile has ended at the first snapshot, and stays for the linger. But another node's counts are refused,
and those of more than an hour ago: another agent may have counted since, such as one of a version that knows nothing of them,
from 0, and a counter that leaps from its value to an older one's would seem to have counted the difference. To begin at 0
misleads nobody.
"""

from collections.abc import Mapping
from typing import Any

from inferometer.accounting.fold import State
from inferometer.accounting.ledger import engines, owners, xids
from inferometer.accounting.ledger.cells import Moment, UnusableError, mapping, number, text

_OLDEST = 3600.0  # seconds: longer than an upgrade, its downloads and a reboot take

__all__ = ["Moment", "UnusableError", "take_up", "write_down"]


def write_down(state: State, node: str, now: Moment) -> dict[str, Any]:
    """Give what JSON can hold of a state. Its clock times are Unix seconds: a monotonic clock does not outlive the node."""
    return {
        "node": node,
        "at": max(now.at, state.latest, state.past),
        "owners": owners.write_down(state.holdings, state.reports.hits, now),
        "xids": xids.write_down(state.reports, now),
        "engines": engines.write_down(state.given_up, state.starting, now),
    }


def take_up(document: object, node: str, now: Moment) -> State:
    """Give the state to begin with. Raises UnusableError for what `write_down` would not have given, on this node and lately.

    A series with an attribute that is not known here, as after a rollback, is not taken up: it would be taken for another.
    """
    written = mapping(document)
    whose = text(written.get("node"))
    if whose != node:
        raise UnusableError(f"it is of the node {whose[:253]!r}, and this one is {node!r}")
    at = number(written.get("at"))
    if abs(now.at - at) > _OLDEST:
        ago = "ago" if now.at > at else "ahead"
        raise UnusableError(f"it was written {abs(now.at - at) / 3600:.1f} h {ago}, and may be so for 1 h at most")
    holdings, hits = owners.take_up(_section(written, "owners"), at, now)
    given_up, starting = engines.take_up(_section(written, "engines"), at, now)
    reports = xids.take_up(_section(written, "xids"), hits, at, now)
    return State(past=at, holdings=holdings, reports=reports, given_up=given_up, starting=starting)


def _section(written: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping(written.get(name))
