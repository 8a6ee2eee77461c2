# SPDX-License-Identifier: Apache-2.0
"""What the devices' sources say, one a vendor, as one report."""

from collections.abc import Sequence
from typing import NamedTuple

from inferometer.join.valid import good
from inferometer.model import DeviceReport, Frames, Reason

# Every source whose frames are `DeviceReport`s.
SOURCES = ("nvidia", "amd")


class Told(NamedTuple):
    """A report, with its frame's source, time (Unix seconds) and number."""

    source: str
    report: DeviceReport
    at: float
    sequence: int


def find(frames: Frames) -> list[Told]:
    """Give the reports that count, in the order of their sources above."""
    found = (frame for source in SOURCES for frame in good(frames, source, DeviceReport))
    return [Told(frame.source, frame.value, frame.at, frame.sequence) for frame in found if frame.value is not None]


def merge(reports: Sequence[Told]) -> DeviceReport | None:
    """Put together what does not depend on the driver; readings get the time of their own frame. None where there is nothing."""
    if len(reports) <= 1:
        return reports[0].report if reports else None
    return DeviceReport(
        devices=tuple(device for told in reports for device in told.report.devices),
        readings=tuple(
            reading if reading.at is not None else reading._replace(at=told.at)
            for told in reports
            for reading in told.report.readings
        ),
        unsupported=tuple(complaint for told in reports for complaint in told.report.unsupported),
        unresponsive={uuid: age for told in reports for uuid, age in told.report.unresponsive.items()},
        nameless=sum(told.report.nameless for told in reports),
        failed=tuple(complaint for told in reports for complaint in told.report.failed),
        events=tuple(event for told in reports for event in told.report.events),
        processes=tuple(process for told in reports for process in told.report.processes),
        vgpus=tuple(vgpu for told in reports for vgpu in told.report.vgpus),
        excluded={key: model for told in reports for key, model in told.report.excluded.items()},
        linked={uuid: links for told in reports for uuid, links in told.report.linked.items()},
    )


def no_driver(frames: Frames) -> bool:
    """Tell whether the drivers that are looked for are not there: that is an answer, not a failure."""
    outcomes = [frame for frame in frames.outcomes if frame.source in SOURCES]
    return bool(outcomes) and all(f.trouble is not None and f.trouble.reason is Reason.MISSING for f in outcomes)
