# SPDX-License-Identifier: Apache-2.0
"""Frames of the sampler become values of the model: devices, readings, and what is unsupported or failed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from inferometer.catalog import BY_NAME
from inferometer.model import Device, Reading, Unsupported
from inferometer.sources.devices import calls, tables

_SLOTS = tuple((BY_NAME[quantity.metric], quantity.attributes, row) for quantity, row in tables.QUANTITIES)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one GPU answered at a monotonic time: itself and its instances, in NVML order, and their fast readings."""

    at: float
    devices: tuple[Device, ...]
    readings: tuple[Reading, ...]
    unsupported: tuple[Unsupported, ...]
    failed: tuple[Unsupported, ...]

    @property
    def uuid(self) -> str:
        """The GPU's UUID."""
        return self.devices[0].uuid


def answer(frame: Mapping[str, Any], at: float) -> Answer:
    """Read a GPU's frame. Raises KeyError, IndexError, TypeError or ValueError for what the sampler would never send."""
    details: Mapping[str, str] = MappingProxyType(dict(frame["details"]))
    minor = int(details["gpu.minor"]) if "gpu.minor" in details else None
    gpu = Device(
        uuid=str(frame["uuid"]),
        index=int(frame["gpu"]),
        minor=minor,
        mig_enabled=bool(frame["mig"]),
        pci_address=details.get("gpu.pci.address"),
        details=details,
    )
    instances = [
        Device(
            uuid=str(instance["uuid"]),
            index=gpu.index,
            minor=minor,
            parent=gpu.uuid,
            profile=instance["profile"],
            gpu_instance=instance["gi"],
            compute_instance=instance["ci"],
            profile_id=instance["profile_id"],
            placement=instance["placement"],
            multiprocessors=instance["multiprocessors"],
            pci_address=gpu.pci_address,
        )
        for instance in frame["instances"]
    ]
    told = [frame, *frame["instances"]]
    return Answer(
        at=at,
        devices=(gpu, *instances),
        readings=tuple(
            reading
            for device, values in zip((gpu, *instances), told, strict=True)
            for _, reading in readings(device.uuid, values["values"], (calls.FAST,))
        ),
        unsupported=complaints(frame["unsupported"]),
        failed=complaints(frame["failed"]),
    )


def readings(
    subject: str, values: Sequence[Sequence[Any]], tiers: Collection[str], stamp: float | None = None
) -> Iterator[tuple[str, Reading]]:
    """Give a device's readings of some tiers, with these; `stamp` is when they were read, in Unix seconds.

    Raises IndexError, TypeError or ValueError for what the sampler would never send.
    """
    for slot, value, *index in values:
        metric, attributes, row = _SLOTS[slot]
        if row.each is not None:
            attributes = _numbered(slot, int(index[0]))
        if row.tier in tiers:
            yield row.tier, Reading(subject, metric, attributes, float(value), None, stamp)


@lru_cache(4096)  # the same at every read, of every device
def _numbered(slot: int, index: int) -> tuple[tuple[str, str], ...]:
    """Give the attributes of a row that is read for each link or fan."""
    _, attributes, row = _SLOTS[slot]
    return attributes if row.each is None else (*attributes, (row.each.attribute, str(index)))


def complaints(told: Sequence[Sequence[str]]) -> tuple[Unsupported, ...]:
    """Read what the sampler complains of. Raises TypeError for what it would never send."""
    return tuple(_complaint(*map(str, complaint)) for complaint in told)


@lru_cache(4096)  # what is unsupported is told in every frame, and kept once
def _complaint(device: str, metric: str, call: str, reason: str) -> Unsupported:
    return Unsupported(device, metric, call, reason)
