# SPDX-License-Identifier: Apache-2.0
"""When a claim is asked for again."""

import pytest

from inferometer.model import AllocatedClaim, Grant, Reason, Trouble
from inferometer.sources.identity import refreshing
from inferometer.sources.identity.following import Busy
from inferometer.sources.identity.refreshing import AGAIN, AGE, BACKOFF, Read, answered, failed, follow, is_due
from inferometer.sources.identity.wanted import Wanted

WANT = Wanted("ns", "x", "uid-x")
CLAIM = AllocatedClaim("ns", "x", "uid-x", (Grant("r", "d", "p", "gpu-0"),))
PENDING = AllocatedClaim("ns", "x", "uid-x", ())


def pauses(claim: AllocatedClaim | None, want: Wanted, times: int = 9) -> list[float]:
    """Give the seconds between questions that are always answered so."""
    read: Read | None = None
    now, found = 0.0, []
    for _ in range(times):
        read = answered(read, want, claim, now)
        asked = now
        while not is_due(read, want, now):
            now += 1.0
        found.append(now - asked)
    return found


def test_an_allocation_is_good_for_hours() -> None:
    """Without any sign it is read again after hours, at another time on each node."""
    reads = [answered(None, WANT, CLAIM, 0.0).until for _ in range(20)]

    assert all(AGE[0] <= until <= AGE[1] for until in reads)
    assert len(set(reads)) == 20


@pytest.mark.parametrize(
    ("claim", "want"),
    [
        (None, WANT),  # there is none of that name
        (PENDING, WANT),  # nothing is allocated
        (CLAIM, WANT._replace(uid="uid-of-another")),
        (CLAIM, WANT._replace(devices=frozenset({("d", "p", "gpu-1")}))),
    ],
)
def test_what_stays_wrong_is_asked_for_ever_more_rarely(claim: AllocatedClaim | None, want: Wanted) -> None:
    """First after ten seconds, then after twice as long, at last every ten minutes."""
    assert pauses(claim, want) == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_failures_are_tried_ever_more_rarely_and_forget_nothing() -> None:
    """What was known stays, and the pause begins anew after an answer."""
    read = failed(answered(None, WANT, CLAIM, 0.0), Trouble(Reason.REFUSED, "no"), 0.0)
    found = []
    for _ in range(8):
        found.append(read.until)
        read = failed(read, Trouble(Reason.REFUSED, "no"), 0.0)

    assert found == [5, 10, 20, 40, 80, 160, 300, 300]
    assert read.claim is CLAIM
    assert failed(answered(read, WANT, CLAIM, 0.0), Trouble(Reason.REFUSED, "no"), 0.0).pause == BACKOFF[0]
    assert answered(read, WANT, None, 0.0).claim is CLAIM
    assert answered(read, WANT._replace(uid=None), None, 0.0).pause == AGAIN[0]


def test_a_server_that_asks_for_more_time_gets_it() -> None:
    """Its Retry-After counts where it is longer than our own pause."""
    assert failed(None, Busy("429", "wait", 60.0), 0.0).until == 60
    assert failed(None, Busy("429", "wait", 1.0), 0.0).until == BACKOFF[0]


def test_pods_that_follow_one_another_are_followed() -> None:
    """Each overlaps with those before; a moment without any is no end, as a kubelet may be silent."""
    read = answered(None, WANT._replace(users=frozenset("a")), CLAIM, 0.0)
    for users in ("ab", "b", "", "bc", "c"):
        want = WANT._replace(users=frozenset(users))
        read = follow(read, want)
        assert not is_due(read, want, 100.0), users

    other = WANT._replace(users=frozenset("d"))
    assert is_due(follow(read, other), other, 100.0)
    assert not is_due(read, other, refreshing.AGAIN[0] - 1)


@pytest.mark.parametrize("claim", [None, PENDING])
def test_what_the_kubelet_prepares_after_all_is_asked_for_at_once(claim: AllocatedClaim | None) -> None:
    """However long nobody had allocated the claim: its devices on the node are a sign that somebody has now."""
    read: Read | None = None
    now = 0.0
    for _ in range(8):
        read = answered(read, WANT, claim, now)
        now = read.until
    assert read is not None
    shown = WANT._replace(devices=frozenset({("d", "p", "gpu-0")}))

    assert not is_due(read, WANT, read.at + 60)
    assert is_due(read, shown, read.at + 60)
    assert not is_due(answered(read, shown, claim, read.at + 60), shown, read.at + 120)  # once
