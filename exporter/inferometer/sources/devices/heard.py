# SPDX-License-Identifier: Apache-2.0
"""What a sampler has told of one GPU and will not tell again until it changes: the other end of `telling`."""

from collections.abc import Mapping
from typing import Any

from inferometer.model import Unsupported
from inferometer.sources.devices import report
from inferometer.sources.devices.layout import Layout, lay_out
from inferometer.sources.devices.report import About
from inferometer.sources.devices.telling import MOST_LAYOUTS


class Heard:
    """What one GPU and its instances are, how their numbers may lie, and what failed."""

    def __init__(self) -> None:
        self.failed: tuple[Unsupported, ...] = ()
        self._about: About | None = None
        self._layouts: dict[int, Layout] = {}

    @property
    def about(self) -> About:
        """What it is. Raises ValueError where that was never told."""
        if self._about is None:
            raise ValueError("a GPU has not said which one it is")
        return self._about

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take a GPU's frame of what has changed.

        Raises KeyError, IndexError, TypeError or ValueError for what the sampler would never send.
        """
        if "about" in frame:
            self._about, self._layouts = report.about(frame), {}
        if "layout" in frame:
            number, told = frame["layout"]
            if not 0 <= number < MOST_LAYOUTS:
                raise ValueError(f"{number} is no number of a layout")
            uuids = [device.uuid for device in self.about.devices]
            self._layouts[number] = lay_out(told, uuids, self._layouts.values())
        if "failed" in frame:
            self.failed = report.complaints(frame["failed"])

    def layout(self, frame: Mapping[str, Any]) -> Layout:
        """Give the layout of a frame of numbers. Raises LookupError or ValueError for what the sampler would never send."""
        layout = self._layouts[frame["layout"]]
        if len(frame["numbers"]) != layout.size:
            raise ValueError(f"{len(frame['numbers'])} numbers are not the {layout.size} that were told")
        return layout
