# SPDX-License-Identifier: Apache-2.0
"""What the agent costs the API server, and whom its endpoint turned away, on the points."""

from collections.abc import Mapping

from inferometer import catalog
from inferometer.join.sheet import Sheet


def put_traffic(sheet: Sheet, requests: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """Put how often the API server was asked since the agent started, and how much it answered, by verb and resource."""
    for (verb, resource), (count, received) in sorted(requests.items()):
        attributes = {catalog.API_VERB.key: verb, catalog.API_RESOURCE.key: resource}
        sheet.put(catalog.API_REQUESTS, attributes, float(count))
        sheet.put(catalog.API_RECEIVED, attributes, float(received))


def put_refusals(sheet: Sheet, refusals: Mapping[str, int], unusable: Mapping[str, int]) -> None:
    """Put how often the endpoint turned somebody away, by reason, and how often a file of its own could not be used."""
    for reason, count in refusals.items():
        sheet.put(catalog.SERVER_REFUSALS, {catalog.REFUSAL.key: reason}, float(count))
    for file, count in unusable.items():
        sheet.put(catalog.SERVER_FILE_ERRORS, {catalog.SERVER_FILE.key: file}, float(count))
