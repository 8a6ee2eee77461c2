# SPDX-License-Identifier: Apache-2.0
"""What reading the devices costs, on the points."""

from inferometer import catalog
from inferometer.join.draft import Draft
from inferometer.model import DeviceReport


def put_costs(draft: Draft, source: str, report: DeviceReport, at: float) -> None:
    """Put how often the driver was called and how long that took, and how long it says that its fields took; and the sampler's restarts."""
    for cause, restarts in report.restarts.items():
        told = {catalog.SOURCE.key: source, catalog.RESTART_CAUSE.key: cause}
        draft.put(catalog.SAMPLER_RESTARTS, told, float(restarts), at=at)
    marks = (
        None,
        draft.common.get(catalog.SIMULATED.key),
    )  # overflow and simulation: the last attributes of every metric
    for call, (count, seconds) in report.calls.items():
        draft.put_aligned(catalog.DRIVER_CALLS, (call, *marks), float(count), at=at)
        draft.put_aligned(catalog.DRIVER_CALL_TIME, (call, *marks), seconds, at=at)
    for field, seconds in report.fields.items():
        draft.put_aligned(catalog.DRIVER_FIELD_LATENCY, (field, *marks), seconds, at=at)
