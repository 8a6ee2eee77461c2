# SPDX-License-Identifier: Apache-2.0
"""Frames of the sampler become values of the model: devices, readings, and what is unsupported or failed."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import compress
from operator import ne
from types import MappingProxyType
from typing import Any, NamedTuple

from inferometer.catalog import BY_NAME
from inferometer.model import Device, Reading, Unsupported, Value
from inferometer.sources.devices import calls, tables

_SLOTS = tuple(
    (BY_NAME[quantity.metric], quantity.attributes, row.tier, row.each) for quantity, row in tables.QUANTITIES
)
_READING = tuple.__new__  # what Reading() does: this runs for every value that is read


Values = Sequence[Sequence[Any]]  # of one device: slot, value and where there is one index


class About(NamedTuple):
    """What one GPU is, which hardly changes: itself and its instances, in NVML order, and what they do not tell."""

    devices: tuple[Device, ...]
    unsupported: tuple[Unsupported, ...]


class Answer(NamedTuple):
    """What one GPU answered at a monotonic time: what it is, its and its instances' fast readings, and what failed.

    `told` is what the readings were made of.
    """

    at: float
    about: About
    readings: Sequence[Sequence[Reading]]
    failed: tuple[Unsupported, ...]
    told: Sequence[Values]

    @property
    def uuid(self) -> str:
        """The GPU's UUID."""
        return self.about.devices[0].uuid


def about(frame: Mapping[str, Any]) -> About:
    """Read what a GPU's frame says of what it is. Raises as `answer`."""
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


def answer(frame: Mapping[str, Any], known: About, at: float, before: Answer | None = None) -> Answer:
    """Read a GPU's frame; what it is is `known`. What is as it was in the answer `before` is not made again.

    Raises KeyError, IndexError, TypeError or ValueError for what the sampler would never send.
    """
    told = [_fast(device) for device in (frame, *frame["instances"])]
    if before is not None and before.about is known:
        olds = zip(before.told, before.readings, strict=True)
        found = [
            _again(device.uuid, values, *old) for device, values, old in zip(known.devices, told, olds, strict=True)
        ]
    else:
        found = [readings(device.uuid, values, calls.FAST) for device, values in zip(known.devices, told, strict=True)]
    return Answer(at, known, found, complaints(frame["failed"]), told)


def _fast(told: Mapping[str, Any]) -> Values:
    """Give the values of the fast tier that a device told."""
    values: Values = told["values"]
    return (
        values
        if told.get("tiers") == [calls.FAST]
        else [value for value in values if _SLOTS[value[0]][2] == calls.FAST]
    )


def _again(subject: str, values: Values, old_values: Values, old: Sequence[Reading]) -> list[Reading]:
    """Give a device's fast readings; those of values that are what they were are the same ones."""
    if not len(values) == len(old_values) == len(old):
        return readings(subject, values, calls.FAST)
    found = list(old)
    for i in compress(range(len(values)), map(ne, values, old_values)):
        made = readings(subject, values[i : i + 1], calls.FAST)
        if not made:
            return readings(subject, values, calls.FAST)
        found[i] = made[0]
    return found


def readings(
    subject: str,
    values: Values,
    tier: str,
    stamp: float | None = None,
    before: Sequence[Reading] = (),
) -> list[Reading]:
    """Give a device's readings of one tier; `stamp` is when they were read, in Unix seconds.

    A number that is what it was `before` is the very same one, so that nobody writes it anew.

    Raises IndexError, TypeError or ValueError for what the sampler would never send.
    """
    found: list[Reading] = []
    for told in values:
        slot = told[0]
        metric, attributes, of, each = _SLOTS[slot]
        if of != tier:
            continue
        if each is not None:
            attributes = _numbered(slot, int(told[2]))
        value: Value = float(told[1])
        if len(found) < len(before) and before[len(found)][3] == value:
            value = before[len(found)][3]
        found.append(_READING(Reading, (subject, metric, attributes, value, None, stamp)))
    return found


@lru_cache(4096)  # the same at every read, of every device
def _numbered(slot: int, index: int) -> tuple[tuple[str, str], ...]:
    """Give the attributes of a row that is read for each link or fan."""
    _, attributes, _, each = _SLOTS[slot]
    return attributes if each is None else (*attributes, (each.attribute, str(index)))


def complaints(told: Sequence[Sequence[str]]) -> tuple[Unsupported, ...]:
    """Read what the sampler complains of. Raises TypeError for what it would never send."""
    return tuple(_complaint(*map(str, complaint)) for complaint in told)


@lru_cache(4096)  # what is unsupported is told in every frame, and kept once
def _complaint(device: str, metric: str, call: str, reason: str) -> Unsupported:
    return Unsupported(device, metric, call, reason)
