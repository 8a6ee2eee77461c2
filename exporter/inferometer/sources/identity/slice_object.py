# SPDX-License-Identifier: Apache-2.0
"""ResourceSlices (resource.k8s.io/v1) as the devices of a node; pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from inferometer.model import PooledDevice
from inferometer.sources.identity.claim_object import quantities

# The attributes that name a device's place, the standard one (KEP-4381) first. A partition of an AMD GPU has its GPU's.
PCI_ADDRESSES = ("resource.kubernetes.io/pciBusID", "pciAddr", "pciAddress", "parentPciAddr")
PROFILES = ("profile", "partitionProfile")
MOST = 20_000  # devices
_LONGEST = 21  # digits of a resourceVersion, an unsigned number of 64 bits, and one more


class Pools(NamedTuple):
    """The devices of all pools whose newest generation is here as a whole, and which pools, by driver and name, are not.

    `version` is the list's resourceVersion, of two answers the higher is the newer one (KEP-5504); 0 where it is not told.
    """

    devices: tuple[PooledDevice, ...]
    partial: frozenset[tuple[str, str]]
    version: int = 0


class _Slice(NamedTuple):
    pool: tuple[str, str]  # driver, pool
    generation: int
    of: int  # slices of that generation
    devices: list[Any]


def pooled(listed: Any, drivers: Collection[str]) -> Pools:
    """Take the devices of some drivers out of a decoded ResourceSliceList, sorted. Raises ValueError for another form.

    Of a pool only the highest generation counts, and only once all of its slices are there (`ResourcePool` in
    `resource/v1/types.go`): before, a device may stand in none of them, or in a slice of the past.
    """
    try:
        pools = _pools([each for each in map(_slice, listed["items"] or ()) if each.pool[0] in drivers])
        return pools._replace(version=_version(listed.get("metadata")))
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a list of ResourceSlices: {error}") from None


def _pools(slices: list[_Slice]) -> Pools:
    newest: dict[tuple[str, str], list[_Slice]] = {}
    for each in slices:
        known = newest.setdefault(each.pool, [])
        if known and each.generation > known[0].generation:
            known.clear()
        if not known or each.generation == known[0].generation:
            known.append(each)
    whole = [known for known in newest.values() if len(known) == known[0].of]
    devices = sorted(
        (device for known in whole for each in known for device in _devices(each)),
        key=lambda device: (device.driver, device.pool, device.device),
    )
    if len(devices) > MOST:
        raise ValueError(f"more than {MOST} devices on one node")
    return Pools(tuple(devices), frozenset(newest) - {known[0].pool for known in whole})


def _version(metadata: Any) -> int:
    told = metadata.get("resourceVersion") if isinstance(metadata, dict) else ""
    return int(told) if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) < _LONGEST else 0


def _slice(told: Any) -> _Slice:
    spec = told["spec"]
    pool = spec["pool"]
    return _Slice(
        (str(spec["driver"]), str(pool["name"])),
        int(pool["generation"]),
        int(pool["resourceSliceCount"]),
        spec.get("devices") or [],
    )


def _devices(told: _Slice) -> Iterator[PooledDevice]:
    driver, pool = told.pool
    for device in told.devices:
        attributes = device.get("attributes") or {}

        def first(*names: str, attributes: Mapping[str, Any] = attributes) -> str:
            return next(filter(None, (_attribute(attributes, driver, name) for name in names)), "")

        yield PooledDevice(
            driver,
            pool,
            str(device["name"]),
            kind=first("type"),
            uuid=first("uuid"),
            pci_address=first(*PCI_ADDRESSES).lower(),
            parent_uuid=first("parentUUID"),
            profile=first(*PROFILES),
            capacity=quantities(
                {name: value.get("value") for name, value in (device.get("capacity") or {}).items()}, driver
            ),
            shared=device.get("allowMultipleAllocations") is True,
        )


def _attribute(attributes: Mapping[str, Any], driver: str, name: str) -> str:
    """Give a text attribute; a name without a domain is the driver's own, and may be written with it."""
    value = attributes.get(name) or attributes.get(f"{driver}/{name}") or {}
    text = value.get("string", "")
    return text if isinstance(text, str) else ""
