# SPDX-License-Identifier: Apache-2.0
"""What waits to be pushed, on the points."""

from inferometer import catalog
from inferometer.join.sheet import Sheet
from inferometer.model import SpoolState


def put_spool(sheet: Sheet, spool: SpoolState) -> None:
    """Put how much waits and where, and what was dropped since the agent started."""
    sheet.put(catalog.SPOOL_REQUESTS, {}, float(spool.requests))
    sheet.put(catalog.SPOOL_AGE, {}, spool.age)
    for storage, limit in sorted(spool.limit.items()):
        attributes = {catalog.STORAGE.key: storage}
        sheet.put(catalog.SPOOL_LIMIT, attributes, float(limit))
        sheet.put(catalog.SPOOL_USAGE, attributes, float(spool.usage.get(storage, 0)))
        sheet.put(catalog.SPOOL_STATE, attributes, float(storage == spool.storage))
    for reason, (requests, points) in sorted(spool.dropped.items()):
        attributes = {catalog.REASON.key: reason}
        sheet.put(catalog.SPOOL_DROPPED_REQUESTS, attributes, float(requests))
        sheet.put(catalog.SPOOL_DROPPED_POINTS, attributes, float(points))
