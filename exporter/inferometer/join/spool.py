# SPDX-License-Identifier: Apache-2.0
"""What waits to be pushed, on the points."""

from inferometer import catalog
from inferometer.join.draft import Draft
from inferometer.model import SpoolState


def put_spool(draft: Draft, spool: SpoolState) -> None:
    """Put how much waits and where, and what was dropped since the agent started."""
    draft.put(catalog.SPOOL_REQUESTS, {}, float(spool.requests))
    draft.put(catalog.SPOOL_AGE, {}, spool.age)
    for storage, limit in sorted(spool.limit.items()):
        attributes = {catalog.STORAGE.key: storage}
        draft.put(catalog.SPOOL_LIMIT, attributes, float(limit))
        draft.put(catalog.SPOOL_USAGE, attributes, float(spool.usage.get(storage, 0)))
        draft.put(catalog.SPOOL_STATE, attributes, float(storage == spool.storage))
    for reason, (requests, points) in sorted(spool.dropped.items()):
        attributes = {catalog.REASON.key: reason}
        draft.put(catalog.SPOOL_DROPPED_REQUESTS, attributes, float(requests))
        draft.put(catalog.SPOOL_DROPPED_POINTS, attributes, float(points))
