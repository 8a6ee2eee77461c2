# SPDX-License-Identifier: Apache-2.0
"""Reads that failed, by source and reason."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.accounting.linger import Rules, keep_departed
from inferometer.model import Snapshot

Key = tuple[str, str, str]  # source, instance, reason


class Failures(NamedTuple):
    """How many reads of a source failed for one reason.

    `start` is Unix seconds: when it was surely 0. `ended` is monotonic seconds: since when the source is not there.
    """

    total: int
    start: float
    ended: float | None = None


def count(
    errors: Mapping[Key, Failures], snapshot: Snapshot, rules: Rules, *, counted: int, since: float
) -> tuple[dict[Key, Failures], int]:
    """Count each failed read once; give the counts, and how many of them the limit dropped.

    Frames up to the number `counted` have been counted; `since` is Unix seconds of the snapshot before, when a count that
    is new was surely 0.
    The count of a source that is no more stays for the linger: after a reload, or as a pod of the same name, it is back.
    """
    alive = {(s.source, s.instance) for s in snapshot.sources}
    lasting = {key: failures._replace(ended=None) for key, failures in errors.items() if key[:2] in alive}
    staying, excess = keep_departed(errors, lasting, snapshot.steady, rules)
    after = {**lasting, **staying}
    for source, instance, sequence, reason in snapshot.failures:
        if sequence > counted:
            key = (source, instance, reason.value)
            total, start, _ = after.get(key, Failures(0, since))
            after[key] = Failures(total + 1, start)
    return after, excess
