# SPDX-License-Identifier: Apache-2.0
"""Frames of the sampler become values of the model: devices, readings, and what is unsupported or failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from inferometer.catalog import BY_NAME
from inferometer.model import Device, Reading, Unsupported
from inferometer.sources.devices import calls

_SLOTS = tuple((BY_NAME[quantity.metric], quantity.attributes) for quantity in calls.QUANTITIES)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one GPU answered at a monotonic time: itself and its instances, in NVML order, and their readings."""

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
            pci_address=gpu.pci_address,
        )
        for instance in frame["instances"]
    ]
    readings = _readings(gpu.uuid, frame["values"])
    for device, instance in zip(instances, frame["instances"], strict=True):
        readings += _readings(device.uuid, instance["values"])
    return Answer(
        at=at,
        devices=(gpu, *instances),
        readings=tuple(readings),
        unsupported=complaints(frame["unsupported"]),
        failed=complaints(frame["failed"]),
    )


def _readings(subject: str, values: Sequence[tuple[int, float]]) -> list[Reading]:
    return [Reading(subject, *_SLOTS[slot], float(value)) for slot, value in values]


def complaints(told: Sequence[Sequence[str]]) -> tuple[Unsupported, ...]:
    """Read what the sampler complains of. Raises TypeError for what it would never send."""
    return tuple(Unsupported(*map(str, complaint)) for complaint in told)
