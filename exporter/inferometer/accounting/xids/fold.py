# SPDX-License-Identifier: Apache-2.0
"""One snapshot more of XIDs and SXIDs: what is fresh in it is placed, matched, counted, and put down to its owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from inferometer.accounting.held import Attributes, Held
from inferometer.accounting.linger import Rules
from inferometer.accounting.said import Saying
from inferometer.accounting.xids import counts, owners, places, switches, tellers
from inferometer.model import Device, Snapshot, Sxid, Xid
from inferometer.xid_catalog import entry

_TELLERS = ("nvml", "kernel")


@dataclass(frozen=True, slots=True)
class State:
    """What outlives a tick of XIDs. All of it is bounded, by `Rules` or by constants beside it."""

    counted: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # each teller's newest number
    where: places.Places = field(default_factory=places.Places)
    unmatched: Mapping[tellers.Key, tuple[tellers.Told, ...]] = field(default_factory=lambda: MappingProxyType({}))
    counters: Mapping[counts.Key, counts.Reported] = field(default_factory=lambda: MappingProxyType({}))
    rest: tuple[Device, ...] | None = None  # while these are the devices, an XID alone changes the counters
    hits: owners.Hits = field(default_factory=lambda: MappingProxyType({}))
    sxids: Mapping[switches.Key, switches.Reported] = field(default_factory=lambda: MappingProxyType({}))
    lost: int = 0  # records of the kernel's log, as last told


def count(
    state: State,
    snapshot: Snapshot,
    rules: Rules,
    *,
    since: float,
    before: Mapping[Attributes, Held],
    holding: Mapping[Attributes, Held],
) -> tuple[State, dict[str, int], int]:
    """Count each XID and SXID once; give what was dropped, by limit, and how many ended counters the limit dropped.

    `since` is Unix seconds of the snapshot before, when a counter that is new was surely 0. The owners' holdings are given
    up to the snapshot `before` and, as `holding`, with this one.
    """
    counted, fresh, fresh_sxids, pushed_out = _fresh(state.counted, snapshot)
    where, placed, given_up = places.place(state.where, fresh, snapshot, rules)
    hits = state.hits
    if any(holder not in holding for holder in hits):
        hits = {holder: hit for holder, hit in hits.items() if holder in holding}
    unmatched = tellers.recent(state.unmatched, snapshot.at)
    counters, ended, dropped = state.counters, 0, pushed_out
    is_at_rest = not placed and snapshot.devices == state.rest
    if not is_at_rest:
        counting = counts.Counts(state.counters, snapshot, rules, since)
        holders = owners.Holders(before, snapshot, rules)
        hits = dict(hits)
        index = dict(where.known.values())
        for xid in placed:
            holder = holders.find(xid)
            new, unowned = tellers.match(unmatched, xid, rules, owned=holder is not None)
            if new:
                dropped += counting.add(xid, new, index.get(xid.device, ""))
            if holder is not None:
                owners.hit(hits, holder, entry(xid.code).severity, new + unowned)
        counters, ended = counting.counters, counting.ended
        is_at_rest = counting.are_at_rest
    of_switches, too_many = switches.count(state.sxids, fresh_sxids, rules, since)
    drops = {"xid": dropped + too_many, "xid_unresolved": given_up}
    lost = state.lost
    if snapshot.kernel_lost is not None:
        # A source that was made anew may count from 0 again.
        drops["kernel_log"] = snapshot.kernel_lost - (lost if lost <= snapshot.kernel_lost else 0)
        lost = snapshot.kernel_lost
    rest = (
        snapshot.devices if is_at_rest else None
    )  # the newest, which the next are likely to be, and not only to equal
    after = State(counted, where, unmatched, counters, rest, hits, of_switches, lost)
    return after, drops, ended


def say(saying: Saying, state: State, holding: Mapping[Attributes, Held], snapshot: Snapshot, rules: Rules) -> None:
    """Say everything that is about XIDs and SXIDs; `holding` are the holdings that are published."""
    of_all = snapshot.node, snapshot.simulated
    counters = state.counters
    if state.rest is None:  # else no GPU is gone
        counters = counts.shown(counters, snapshot, rules)
    # Mappings are equal in whatever order; the points are in theirs.
    saying.say("xids", (counters, list(counters), *of_all), lambda: counts.points_of(counters, snapshot))
    saying.say("sxids", (state.sxids, *of_all), lambda: switches.points_of(state.sxids, snapshot))
    hits = owners.told(state.hits, holding)
    saying.say("hits", (hits, *of_all), lambda: owners.points_of(hits, snapshot))


def _fresh(
    counted: Mapping[str, int], snapshot: Snapshot
) -> tuple[Mapping[str, int], Sequence[Xid], Sequence[Sxid], int]:
    """Take what has not been counted; give each teller's newest number, and how many were pushed out before they were seen.

    A teller's numbers are consecutive: what is missing was pushed out of its report by newer ones.
    """
    if not (snapshot.xids or snapshot.sxids):
        return counted, (), (), 0
    after, missing = dict(counted), 0
    for teller in _TELLERS:
        told: Sequence[Xid | Sxid] = [x for x in snapshot.xids if x.teller == teller]
        told = [*told, *snapshot.sxids] if teller == "kernel" else told
        numbers = sorted(x.number for x in told if x.number > counted.get(teller, 0))
        if numbers:
            missing += numbers[0] - after[teller] - 1 if teller in after else 0
            after[teller] = numbers[-1]
    xids = [x for x in snapshot.xids if x.number > counted.get(x.teller, 0)]
    return after, xids, [x for x in snapshot.sxids if x.number > counted.get("kernel", 0)], missing
