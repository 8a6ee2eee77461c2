# SPDX-License-Identifier: Apache-2.0
"""What the sampler child has told, which it does not tell again until it changes; the numbers of a GPU come without names.

What is told stands until it is told anew: the agent takes every frame of a sampler in its order, of whichever sample
(`heard.Heard`). Another sampler tells everything anew.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from inferometer.sources.devices import calls, frames
from inferometer.sources.devices.meter import Spent

MOST_LAYOUTS = 32  # of one GPU; there are a few, unless what it answers comes and goes

_SLOT, _NUMBER = itemgetter(0), itemgetter(1)  # of a `subject.Value`
# The tiers that were read of each device, and the slots of its numbers.
_Shape = tuple[tuple[tuple[str, ...], ...], tuple[tuple[int, ...], ...]]


class _Layout(NamedTuple):
    """The number of a layout; and which of its numbers have an index, by device and place, with these indexes."""

    number: int
    indexed: Sequence[tuple[int, int]]
    indexes: Sequence[int]


class Telling:
    """What one GPU, and its instances, are (`about`), how their numbers may lie, and what failed, as it was told."""

    def __init__(self) -> None:
        self._about: Mapping[str, Any] | None = None
        self._layouts: dict[_Shape, _Layout] = {}
        self._failed: list[Any] = []

    def tell(self, frame: Mapping[str, Any]) -> bytes:
        """Give the frames that tell a GPU's `frame` (`gpu.Gpu.read`): what has changed, if anything has, and the numbers."""
        sample, gpu, about, failed = frame["n"], frame["gpu"], frame["about"], frame["failed"]
        devices = (frame, *frame["instances"])
        changed: dict[str, Any] = {}
        if about != self._about:
            changed["about"] = self._about = about
            self._layouts = {}
        if failed != self._failed:
            changed["failed"] = self._failed = failed
        if frame["tiers"] != [calls.FAST]:  # how long the driver took is not news at every sample
            changed["latencies"] = frame["latencies"]
        slots: list[tuple[int, ...]] = []
        numbers: list[float] = []
        for device in devices:
            slots.append(tuple(map(_SLOT, device["values"])))
            numbers += map(_NUMBER, device["values"])
        shape = tuple([tuple(device["tiers"]) for device in devices]), tuple(slots)
        layout = self._layouts.get(shape)
        if layout is None or layout.indexes != [devices[i]["values"][place][2] for i, place in layout.indexed]:
            layout = self._lay_out(shape, devices)
            names = [(device["tiers"], [value[::2] for value in device["values"]]) for device in devices]
            changed["layout"] = layout.number, names
        told_now = frames.write_numbers(sample, gpu, layout.number, numbers)
        return frames.write({"n": sample, "gpu": gpu, **changed}) + told_now if changed else told_now

    def _lay_out(self, shape: _Shape, devices: Sequence[Mapping[str, Any]]) -> _Layout:
        """Note a layout that is about to be told; one of the same shape, whose indexes were others, is no more."""
        self._layouts.pop(shape, None)
        if len(self._layouts) >= MOST_LAYOUTS:
            self._layouts = {}
        found = [
            (i, place, value[2])
            for i, device in enumerate(devices)
            for place, value in enumerate(device["values"])
            if len(value) > 2
        ]
        taken = {layout.number for layout in self._layouts.values()}
        number = next(number for number in range(MOST_LAYOUTS) if number not in taken)
        layout = self._layouts[shape] = _Layout(
            number, [(i, place) for i, place, _ in found], [index for _, _, index in found]
        )
        return layout


class DriverTelling:
    """What is told at the end of a sample of the driver itself, as it was told last."""

    def __init__(self) -> None:
        self._told: Mapping[str, Any] | None = None

    def tell(self, sample: int, count: int, spent: Spent, about: Mapping[str, Any]) -> bytes:
        """Give the frames that end a sample: what has changed `about` the driver, how many GPUs there are, what calls cost."""
        done = frames.write_done(sample, count, spent)
        if about == self._told:
            return done
        self._told = about
        return frames.write({"n": sample, **about}) + done
