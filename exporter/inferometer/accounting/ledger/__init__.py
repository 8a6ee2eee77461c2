# SPDX-License-Identifier: Apache-2.0
"""What is written down of the counters when an agent ends, and taken up when the next one starts. Pure.

Written down is what the agent itself has counted of the world: owners' time, energy and XIDs, XIDs and SXIDs of devices, requests
that were given up, how long engines took to start. Its own health (`inferometer.*`) begins again with each process.

The time between two processes is nobody's: what GPUs said last is not written down, and the first snapshot ends no interval,
so that nothing of it is put down to an owner or to the residual (law 3). A start stays that of before: to whoever reads it,
the counter goes on.

How old it is and whether the node was started again meanwhile change nothing of what was counted: a pod's UID never comes back as
another pod's, nor a GPU's. Who is gone meanwhile has ended at the first snapshot, and stays for the linger. But another
node's counts are refused.
"""

from collections.abc import Mapping
from typing import Any

from inferometer.accounting.fold import State
from inferometer.accounting.ledger import engines, owners, xids
from inferometer.accounting.ledger.cells import MalformedError, Moment, mapping, number, text

__all__ = ["MalformedError", "Moment", "take_up", "write_down"]


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
    """Give the state to begin with. Raises MalformedError for what `write_down` would not have given, on this node.

    A series with an attribute that is not known here, as after a rollback, is not taken up: it would be taken for another.
    """
    written = mapping(document)
    whose = text(written.get("node"))
    if whose != node:
        raise MalformedError(f"it is of the node {whose[:253]!r}, and this one is {node!r}")
    at = number(written.get("at"))
    holdings, hits = owners.take_up(_section(written, "owners"), at, now)
    given_up, starting = engines.take_up(_section(written, "engines"), at, now)
    reports = xids.take_up(_section(written, "xids"), hits, at, now)
    return State(past=at, holdings=holdings, reports=reports, given_up=given_up, starting=starting)


def _section(written: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping(written.get(name))
