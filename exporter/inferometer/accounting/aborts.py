# SPDX-License-Identifier: Apache-2.0
"""Requests that were given up, of engines that do not count them: a lower bound that never falls.

Who had a first token runs, waits, finished or hung up. Since the agent saw the engine, or the engine was restarted,

    given up >= first tokens - finished otherwise - running - waiting

because those that run, wait or finish without a first token, or began before, only make the right side smaller. Its running
maximum is the count. Where several processes of an engine write its page, its gauges can be a step behind its counters: what
one page says counts when the next one says so too.
"""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer import catalog
from inferometer.accounting.linger import Rules, keep_departed
from inferometer.model import Balance, Point, Snapshot

Key = tuple[str | None, ...]  # the attributes of the series: what else describes the engine may change


class Aborts(NamedTuple):
    """How many requests of one engine were given up.

    `latest` is its newest page, and `surplus` what that says. `since` is what there was when this began: requests that had a
    first token and had not finished, and requests that the engine counted as given up.
    `start` is Unix seconds. `ended` is monotonic seconds: since when the engine is not there.
    """

    total: float
    latest: Balance
    since: tuple[float, float]
    surplus: float
    start: float
    ended: float | None = None


def count(before: Mapping[Key, Aborts], snapshot: Snapshot, rules: Rules) -> tuple[dict[Key, Aborts], int]:
    """Count what the engines' newest pages say; give it, and how many counts of engines that are gone the limit dropped.

    A page that stands in several snapshots counts once; of two targets that are one engine the first counts.
    """
    now: dict[Key, Aborts] = {}
    for balance in snapshot.balances:
        key = balance.attributes
        if key not in now:
            now[key] = _next(before.get(key), balance)
    staying, excess = keep_departed(before, now, snapshot.steady, rules)
    return {**now, **staying}, excess


def points_of(aborts: Mapping[Key, Aborts]) -> list[Point]:
    """Give the counts; that of an engine which is gone is stamped when it last counted."""
    return [
        Point(catalog.REQUESTS_ABORTED, attributes, each.total, each.latest.at, each.start, each.latest.resource)
        for attributes, each in aborts.items()
    ]


def _next(known: Aborts | None, balance: Balance) -> Aborts:
    if known is None:
        return _begin(balance, (max(0.0, _begun(balance)), balance.aborted), balance.at)
    if balance.at == known.latest.at:
        return known._replace(ended=None)
    if _is_restarted(known.latest, balance):
        began = known.latest.at if balance.start is None else min(max(balance.start, known.latest.at), balance.at)
        return _begin(balance, (0.0, 0.0), began)
    surplus = _surplus(balance, known.since)
    total = max(known.total, min(surplus, known.surplus), balance.aborted - known.since[1])
    return Aborts(total, balance, known.since, surplus, known.start)


def _begin(balance: Balance, since: tuple[float, float], start: float) -> Aborts:
    return Aborts(balance.aborted - since[1], balance, since, _surplus(balance, since), start)


def _begun(balance: Balance) -> float:
    """Give how many had a first token and did not finish: at most so many of those have hung up."""
    return balance.first - (balance.finished - balance.aborted)


def _surplus(balance: Balance, since: tuple[float, float]) -> float:
    """Give how many had a first token and are nowhere now."""
    return _begun(balance) - since[0] - balance.pending


def _is_restarted(before: Balance, after: Balance) -> bool:
    """Tell whether an engine's counters began anew."""
    fell = after.first < before.first or after.finished < before.finished or after.aborted < before.aborted
    return fell or (None not in (before.start, after.start) and after.start != before.start)
