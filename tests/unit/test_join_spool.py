# SPDX-License-Identifier: Apache-2.0
"""What waits to be pushed, as the agent says it of itself, and since when its own counters count."""

from frames import CONTEXT, NOW
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Frames, Metric, Snapshot, SpoolState

RULES = Rules(300.0, 2000, max_models=100, max_reasons=100)


def state(dropped: dict[str, tuple[int, int]], storage: str = "disk") -> SpoolState:
    return SpoolState(storage, 3, 12.5, {"memory": 0, "disk": 8192}, {"memory": 1 << 20, "disk": 1 << 26}, dropped)


def values(snapshot: Snapshot, metric: Metric) -> dict[str | None, float]:
    """Give a metric's values by its only attribute that is there."""
    return {
        next(filter(None, point.attributes), None): point.value
        for point in snapshot.points
        if point.metric is metric and isinstance(point.value, float)
    }


def test_what_waits_and_what_was_dropped_is_told() -> None:
    """Each storage has its use and its limit, one of them is the one in use, and each reason its two counters."""
    shown = join(Frames(NOW, 0.0, spool=state({"age": (2, 900), "size": (0, 0)})), CONTEXT)
    assert values(shown, catalog.SPOOL_REQUESTS) == {None: 3.0}
    assert values(shown, catalog.SPOOL_AGE) == {None: 12.5}
    assert values(shown, catalog.SPOOL_USAGE) == {"memory": 0.0, "disk": 8192.0}
    assert values(shown, catalog.SPOOL_LIMIT) == {"memory": float(1 << 20), "disk": float(1 << 26)}
    assert values(shown, catalog.SPOOL_STATE) == {"memory": 0.0, "disk": 1.0}
    assert values(shown, catalog.SPOOL_DROPPED_REQUESTS) == {"age": 2.0, "size": 0.0}
    assert values(shown, catalog.SPOOL_DROPPED_POINTS) == {"age": 900.0, "size": 0.0}


def test_without_a_push_there_is_no_spool() -> None:
    """An agent that pushes nothing says nothing of it."""
    shown = join(Frames(NOW, 0.0), CONTEXT)
    assert not [point for point in shown.points if point.metric.name.startswith("inferometer.spool.")]


def test_the_agents_own_counters_began_with_it() -> None:
    """One that is there from the start, and one that comes later, began with the first snapshot: an agent's successor resets."""
    ledger, first = account(State(), join(Frames(NOW, 0.0, spool=state({"size": (0, 0)})), CONTEXT), RULES)
    later = Frames(NOW + 5, 5.0, spool=state({"size": (4, 40), "internal": (1, 7)}))
    _, second = account(ledger, join(later, CONTEXT), RULES)
    for snapshot, count in ((first, 2), (second, 4)):
        dropped = (catalog.SPOOL_DROPPED_POINTS, catalog.SPOOL_DROPPED_REQUESTS)
        starts = [point.start for point in snapshot.points if point.metric in dropped]
        assert starts == [NOW] * count
