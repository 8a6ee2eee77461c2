# SPDX-License-Identifier: Apache-2.0
"""When a claim is asked for again: its allocation stays as it is while it is reserved, so only on a sign that it is another."""

import random
from typing import NamedTuple

from inferometer.model import AllocatedClaim, Trouble
from inferometer.sources.identity.following import Busy
from inferometer.sources.identity.wanted import Wanted

AGE = (14_400.0, 21_600.0)  # seconds after which a claim is read again without any sign: hours, spread over the nodes
AGAIN = (
    10.0,
    600.0,
)  # seconds, doubled, until what is not found, not allocated or still another one is asked for again
BACKOFF = (5.0, 300.0)  # seconds, doubled, between attempts while the API server refuses


class Read(NamedTuple):
    """What came of the newest question for a claim, which was asked at `at` (monotonic) and will be again at `until`.

    `pause` is how long what the node shows of it is no sign. `users` are the UIDs of the pods that have named the claim without
    a gap since. `prepared` is whether the node showed devices of it then.
    """

    claim: AllocatedClaim | None
    at: float
    until: float
    pause: float = 0.0
    trouble: Trouble | None = None
    users: frozenset[str] = frozenset()
    prepared: bool = True


def is_due(read: Read | None, want: Wanted, now: float) -> bool:
    """Tell whether a claim is to be asked for: it never was, its time is over, or there is a sign that it is another one."""
    if read is None or now >= read.until:
        return True
    if read.trouble is not None or now < read.at + AGAIN[0]:
        return False
    if want.devices and not read.prepared and not (read.claim and read.claim.grants):
        return True  # the kubelet has devices of what nobody had allocated yet
    return not _is_reserved(read.users, want.users) or (now >= read.at + read.pause and _is_another(read.claim, want))


def follow(read: Read, want: Wanted) -> Read:
    """Note which pods name the claim now, if some have named it all the time."""
    if want.users == read.users or not want.users or not _is_reserved(read.users, want.users):
        return read
    return read._replace(users=want.users)


def answered(before: Read | None, want: Wanted, claim: AllocatedClaim | None, now: float) -> Read:
    """Keep an answer; None is that there is no claim of that name.

    One that was deleted by force is still what its pods have, as long as the node shows its UID.
    """
    earlier = before if before and before.trouble is None else None
    if claim is None and before is not None and before.claim is not None and before.claim.uid == want.uid:
        claim = before.claim
    is_good = claim is not None and bool(claim.grants)
    pause = 0.0 if is_good and not _is_another(claim, want) else _longer(earlier, AGAIN)
    lasting = random.uniform(*AGE) if is_good else pause  # noqa: S311  # spread over the nodes, no secret
    return Read(claim, now, now + lasting, pause, users=want.users, prepared=bool(want.devices))


def failed(before: Read | None, trouble: Trouble, now: float) -> Read:
    """Keep what was known, and the trouble; the next attempt is later than this one was."""
    pause = _longer(before if before and before.trouble else None, BACKOFF)
    if isinstance(trouble, Busy):
        pause = max(pause, trouble.pause)
    known, users = (before.claim, before.users) if before else (None, frozenset())
    return Read(known, now, now + pause, pause, trouble.bare(), users)


def _longer(before: Read | None, bounds: tuple[float, float]) -> float:
    first, longest = bounds
    return min(longest, max(first, 2 * before.pause if before else 0.0))


def _is_another(claim: AllocatedClaim | None, want: Wanted) -> bool:
    """Tell whether the node shows another claim of that name, or other devices of it."""
    if claim is None:
        return False
    if want.uid is not None and want.uid != claim.uid:
        return True
    return not want.devices <= {(grant.driver, grant.pool, grant.device) for grant in claim.grants}


def _is_reserved(before: frozenset[str], now: frozenset[str]) -> bool:
    """Tell whether a pod has named it from then until now: only what nobody has reserved can be given back (KEP-4381)."""
    return not before or not now or not before.isdisjoint(now)
