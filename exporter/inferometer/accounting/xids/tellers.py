# SPDX-License-Identifier: Apache-2.0
"""Two tellers, one XID: what NVML's events and the kernel's log both tell of a GPU counts once."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.accounting.linger import Rules
from inferometer.model import Xid

Key = tuple[str, int]  # GPU, code

_TOGETHER = 1.0  # seconds: XIDs of one teller that are so close are kept as one, so that a storm costs little memory
_KEPT = 600.0  # seconds: how long a teller may be held up
_MOST = 4096  # of all GPUs and codes together


class Told(NamedTuple):
    """XIDs of one teller that have been counted, and that the other teller has not told: `times` at Unix seconds `at`.

    They were at most `late` seconds before. `owned` tells whether they have counted for an owner too.
    """

    teller: str
    at: float
    late: float
    times: int
    owned: bool


Unmatched = dict[Key, tuple[Told, ...]]  # for each key by each teller's own order


def match(unmatched: Unmatched, xid: Xid, rules: Rules, *, owned: bool) -> tuple[int, int]:
    """Hold an XID against what the other teller told; keep in `unmatched` what is left of it.

    Gives how many are new, and how many were counted before but for no owner. Each takes the oldest that fits: as both
    tellers tell in order, no other choice would match more.
    """
    key = (xid.device, xid.code)
    left, unowned = xid.times, 0
    staying: list[Told] = []
    for told in unmatched.get(key, ()):
        same = min(left, told.times) if told.teller != xid.teller and _may_be_one(told, xid, rules.same_xid) else 0
        left -= same
        unowned += 0 if told.owned else same
        if same < told.times:
            staying.append(told._replace(times=told.times - same))
    if left:
        last = staying[-1] if staying else None
        if last and (last.teller, last.owned) == (xid.teller, owned) and 0 <= xid.at - last.at < _TOGETHER:
            staying[-1] = last._replace(times=last.times + left)
        else:
            staying.append(Told(xid.teller, xid.at, xid.late, left, owned))
    unmatched[key] = tuple(staying)
    return left, unowned


def _may_be_one(told: Told, xid: Xid, apart: float) -> bool:
    """Tell whether the times when they can have been come so close."""
    return told.at - told.late - apart <= xid.at and xid.at - xid.late - apart <= told.at


def recent(unmatched: Mapping[Key, tuple[Told, ...]], at: float) -> Unmatched:
    """Forget what is too old to be told again; `at` is now, in Unix seconds."""
    if not unmatched:
        return {}
    staying = {key: tuple(t for t in told if t.at >= at - _KEPT) for key, told in unmatched.items()}
    excess = sum(map(len, staying.values())) - _MOST
    if excess > 0:
        limit = sorted(t.at for told in staying.values() for t in told)[excess]
        staying = {key: tuple(t for t in told if t.at >= limit) for key, told in staying.items()}
    return {key: told for key, told in staying.items() if told}
