# SPDX-License-Identifier: Apache-2.0
"""Frames of the sampler become values of the model: devices, and what is unsupported or failed."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from inferometer.model import Device, Unsupported
from inferometer.sources.devices.layout import Said


class About(NamedTuple):
    """What one GPU is, which hardly changes: itself and its instances, in NVML order, and what they do not tell."""

    devices: tuple[Device, ...]
    unsupported: tuple[Unsupported, ...]


class Answer(NamedTuple):
    """What one GPU answered at a monotonic time: what it is, its and its instances' fast readings, and what failed."""

    at: float
    about: About
    said: Said
    failed: tuple[Unsupported, ...]

    @property
    def uuid(self) -> str:
        """The GPU's UUID."""
        return self.about.devices[0].uuid


def about(frame: Mapping[str, Any]) -> About:
    """Read what a GPU's frame says of what it is.

    Raises KeyError, TypeError or ValueError for what the sampler would never send.
    """
    told = frame["about"]
    details: Mapping[str, str] = MappingProxyType(dict(told["details"]))
    minor = int(details["gpu.minor"]) if "gpu.minor" in details else None
    gpu = Device(
        uuid=str(told["uuid"]),
        index=int(frame["gpu"]),
        minor=minor,
        mig_enabled=bool(told["mig"]),
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
        for instance in told["instances"]
    ]
    return About((gpu, *instances), complaints(told["unsupported"]))


def complaints(told: Sequence[Sequence[str]]) -> tuple[Unsupported, ...]:
    """Read what the sampler complains of. Raises TypeError for what it would never send."""
    return tuple(_complaint(*map(str, complaint)) for complaint in told)


@lru_cache(4096)  # what is unsupported is told again whenever some of it changes, and kept once
def _complaint(device: str, metric: str, call: str, reason: str) -> Unsupported:
    return Unsupported(device, metric, call, reason)
