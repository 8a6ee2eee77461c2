# SPDX-License-Identifier: Apache-2.0
"""How many GPUs and MIG instances there are, by state: each once, so that the sum is the number of them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from inferometer import catalog
from inferometer.join.ownership import Ownership
from inferometer.join.sheet import Sheet
from inferometer.model import Device, Role

HELD, FREE, UNHEALTHY, EXCLUDED, UNKNOWN = catalog.GPU_STATE.values


def put_counts(
    sheet: Sheet,
    devices: Sequence[Device],
    excluded: Mapping[str, str],
    nameless: int,
    ownership: Ownership,
    failed: Collection[str],
) -> None:
    """Put the numbers of GPUs and instances by state, zeros included for what exists here.

    `failed` are the UUIDs of the GPUs that cannot be used, whoever holds them, with their instances. A GPU in MIG mode is
    held if one of its instances is. Who only looks by a claim, for all one knows, holds nothing; what a device plugin gave is given. Where no source tells who holds what, or
    nobody knows which of several devices a pod has, nothing is free for all one knows.
    """
    held = {h.device for h in ownership.holdings if h.role is Role.OWNER or h.claim is None} | ownership.stakes.keys()
    held |= ownership.reserved
    held |= {device.parent for device in devices if device.parent and device.uuid in held}

    def state_of(uuid: str, gpu: str) -> str:
        if gpu in failed:
            return UNHEALTHY
        if ownership.level == "none":
            return UNKNOWN
        if uuid in ownership.veiled and uuid not in held:
            return UNKNOWN
        return HELD if uuid in held else FREE

    gpus: Counter[tuple[str, str]] = Counter()
    instances: Counter[tuple[str, str]] = Counter()
    shown: set[str | None] = set()
    for device in {device.uuid: device for device in devices}.values():  # the driver may list one twice
        if device.is_instance:
            instances[device.profile or "", state_of(device.uuid, device.parent or "")] += 1
        else:
            gpus[device.details.get(catalog.HW_MODEL.key, ""), state_of(device.uuid, device.uuid)] += 1
            shown |= {device.uuid, device.pci_address}
    for key, model in excluded.items():
        if key not in shown:
            gpus[model, EXCLUDED] += 1
    if nameless:
        gpus["", UNHEALTHY] += nameless
    if not gpus:
        sheet.put(catalog.GPU_DEVICES, {}, 0.0)
    for model in sorted({model for model, _ in gpus}):
        for state in catalog.GPU_STATE.values:
            told = {catalog.HW_MODEL.key: model, catalog.GPU_STATE.key: state}
            sheet.put(catalog.GPU_DEVICES, told, float(gpus[model, state]))
    for profile in sorted({profile for profile, _ in instances}):
        for state in (HELD, FREE, UNHEALTHY, UNKNOWN):
            told = {catalog.MIG_PROFILE.key: profile, catalog.GPU_STATE.key: state}
            sheet.put(catalog.MIG_DEVICES, told, float(instances[profile, state]))
