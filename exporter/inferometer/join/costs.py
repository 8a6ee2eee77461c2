# SPDX-License-Identifier: Apache-2.0
"""What reading the devices costs, on the points."""

from collections.abc import Mapping

from inferometer import catalog
from inferometer.join.draft import Draft
from inferometer.join.sheet import Sheet
from inferometer.model import DeviceReport


def put_costs(draft: Draft, source: str, report: DeviceReport, at: float) -> None:
    """Put how often the driver was called and how long that took, and how long it says that its fields took; and the sampler's restarts."""
    draft.say(("restarts", source), _put_restarts, source, report.restarts, at=at)
    calls = tuple(report.calls)
    numbers, seconds = zip(*report.calls.values(), strict=True) if calls else ((), ())
    key = ("calls", source)
    for metric, values in (
        (catalog.DRIVER_CALLS, list(map(float, numbers))),
        (catalog.DRIVER_CALL_TIME, list(seconds)),
    ):
        names = draft.names(key, metric, calls, lambda: [{catalog.DRIVER_CALL.key: call} for call in calls])
        draft.say_column(key, metric, names, values, at)
    draft.say(("fields", source), _put_fields, report.fields, at=at)


def _put_restarts(sheet: Sheet, source: str, restarts: Mapping[str, int]) -> None:
    for cause, number in restarts.items():
        told = {catalog.SOURCE.key: source, catalog.RESTART_CAUSE.key: cause}
        sheet.put(catalog.SAMPLER_RESTARTS, told, float(number))


def _put_fields(sheet: Sheet, fields: Mapping[str, float]) -> None:
    for field, seconds in fields.items():
        sheet.put(catalog.DRIVER_FIELD_LATENCY, {catalog.DRIVER_FIELD.key: field}, seconds)
