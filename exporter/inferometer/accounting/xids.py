# SPDX-License-Identifier: Apache-2.0
"""XIDs by GPU and code."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.accounting.linger import Rules, keep
from inferometer.model import Snapshot

Key = tuple[str, int]  # GPU, code


class Reported(NamedTuple):
    """How many XIDs of one code a GPU has had: those that are `told`, and those `held` back until the next snapshot.

    `start` and `at` are Unix seconds: when the count was surely 0, and when it last stood. `gone` is monotonic seconds:
    since when the GPU is not there.
    """

    gpu: str  # its index
    action: str
    told: int
    held: int
    start: float
    at: float
    gone: float | None = None


def count(
    xids: Mapping[Key, Reported], snapshot: Snapshot, rules: Rules, *, counted: int, since: float
) -> tuple[dict[Key, Reported], int, int, int]:
    """Count each XID once; give the counts, the newest XID's number, and how many XIDs and ended counts the limits dropped.

    XIDs up to the number `counted` have been counted; `since` is Unix seconds of the snapshot before, when a count that is
    new was surely 0.

    Almost every XID is the first of its code on its GPU. Prometheus sees no increase in a counter that is born at 1, so a
    new one is born at 0 and the XID counts in the next snapshot. A GPU that is gone keeps its counts for the linger.
    """
    there = {device.uuid: str(device.index) for device in snapshot.devices}
    lasting, gone = {}, []
    for key, before in xids.items():
        now = before._replace(told=before.told + before.held, held=0, at=snapshot.at) if before.held else before
        if key[0] in there:
            lasting[key] = now._replace(gpu=there[key[0]], at=snapshot.at, gone=None)
        else:
            gone.append((key, now if now.gone is not None else now._replace(gone=snapshot.steady)))
    staying, excess = keep(gone, lambda item: item.gone or 0.0, snapshot.steady, rules)
    after = {**lasting, **staying}

    fresh = [xid for xid in snapshot.xids if xid.number > counted]
    # Their numbers are consecutive: what is missing was pushed out by newer ones before it could be counted.
    dropped = fresh[0].number - counted - 1 if fresh and counted else 0
    for xid in fresh:
        key = (xid.device, xid.code)
        if (known := after.get(key)) is not None:
            if known.held:  # it was born in this same snapshot
                after[key] = known._replace(held=known.held + xid.times)
            else:
                after[key] = known._replace(told=known.told + xid.times, at=snapshot.at)
        elif sum(device == xid.device for device, _ in after) < rules.max_codes:
            after[key] = Reported(there.get(xid.device, ""), xid.action, 0, xid.times, since, snapshot.at)
        else:
            dropped += xid.times
    return after, max([counted, *(xid.number for xid in fresh)]), dropped, excess
