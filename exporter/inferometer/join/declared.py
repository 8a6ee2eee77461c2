# SPDX-License-Identifier: Apache-2.0
"""What schedulers that share GPUs say of each pod's part: KAI's fractions, HAMi's and Volcano's vGPUs. Pure.

The kubelet does not know: it names KAI's reservation pod instead of the pods that share its GPU, and HAMi's device ids need
not be those of the card that was chosen. The scheduler writes the truth into the pods' labels and annotations. They are for
anybody to write who may write pods, so what they declare is what is declared, and no more.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from inferometer.model import Allocation, Pod

MOST = 256  # shares of one pod

MIB = 1 << 20
_MOST_MEMORY = 1 << 48  # bytes
_LONGEST_NAME = 128  # characters of a device's UUID, where 40 to 60 are usual
_MOST_NUMBER = 20  # characters

# KAI Scheduler, pkg/common/constants/constants.go and pkg/binder/binding/resourcereservation.
KAI_NAMESPACES = ("kai-resource-reservation", "runai-reservation")
_KAI_RESERVATION = "gpu-reservation-"
_KAI_GROUP = "runai-gpu-group"
_KAI_DEVICE = "run.ai/reserve_for_gpu_index"  # a UUID, in spite of its name
_KAI_RECEIVED = ("received-resource-type", "Fraction")  # what its binder notes of a pod that it gave a part
_NOT_KAI = "default-scheduler"  # the one that knows no fractions; KAI's own may have any name

# HAMi, pkg/device/devices.go (EncodePodSingleDevice) and pkg/device/nvidia/mig_allocations.go.
_HAMI_NVIDIA = "hami.io/vgpu-devices-allocated"
_HAMI_OTHERS = re.compile(r"hami\.io/[A-Za-z0-9_.-]+-devices-allocated\Z")
_HAMI_MIG = "hami.io/vgpu-mig-allocations"
_HAMI_TEMPLATE = re.compile(r"\[[^\]]*\]\Z")  # which older versions append to the UUID of a GPU in MIG mode

# Volcano, pkg/scheduler/api/devices/nvidia/vgpu: the same encoding.
_VOLCANO = "volcano.sh/vgpu-ids-new"

# The kubelet's ids of both: the UUID of a card, a dash and a number (their device plugins' rm.Devices.GetPluginDevices).
_PART = re.compile(r"(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-.+", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Share:
    """A container's declared part of a device: of its memory a fraction (`weight`) or bytes, of its compute a fraction.

    `pod` is a UID. `device` is a UUID as the scheduler has it; `source` is `kai`, `hami` or `volcano`. `container` is empty
    where the pod does not tell which one it is. None is what is not declared.
    """

    pod: str
    container: str
    device: str
    source: str
    weight: float | None = None
    memory: int | None = None
    cores: float | None = None


def declared(pods: Iterable[Pod], held: Mapping[str, str] = MappingProxyType({})) -> tuple[Share, ...]:
    """Give every part that a scheduler declares, in the order of the pods: one for each container, device and scheduler.

    Args:
        pods: of this node, those that have ended left out: their annotations stay.
        held: UUID of the device that the kubelet says a pod has, by the pod's UID: of KAI's reservation pods it is exact.
    """
    listed = tuple(pods)
    devices = _reserved(listed, held)
    return tuple(share for pod in listed for share in _of_pod(pod, devices))


def is_reservation(namespace: str, name: str) -> bool:
    """Tell whether this is a pod of KAI's that only keeps a GPU for those that share it: never an owner."""
    return namespace in KAI_NAMESPACES and name.startswith(_KAI_RESERVATION)


def is_part(allocation: Allocation) -> bool:
    """Tell whether the kubelet's id is of one of the parts that HAMi's or Volcano's plugin makes of all cards.

    Of which card the pod has a part, only its annotation tells.
    """
    return allocation.claim is None and _PART.fullmatch(allocation.device) is not None


def _of_pod(pod: Pod, devices: Mapping[str, str]) -> list[Share]:
    shares: dict[tuple[str, str, str], Share] = {}
    for share in (*_of_kai(pod, devices), *_of_hami(pod), *_of_list(pod, _VOLCANO, "volcano")):
        key = (share.container, share.device, share.source)
        shares[key] = _added(shares[key], share) if key in shares else share
    return list(shares.values())[:MOST]


def _added(share: Share, other: Share) -> Share:
    """Put two slots on one device together."""
    memory = None if share.memory is None or other.memory is None else share.memory + other.memory
    cores = None if share.cores is None or other.cores is None else min(1.0, share.cores + other.cores)
    return replace(share, memory=memory, cores=cores)


# --- KAI ----------------------------------------------------------------------------------------------------------


def _reserved(pods: Sequence[Pod], held: Mapping[str, str]) -> dict[str, str]:
    """Give the device behind each GPU group. Two reservations of one group on different devices are no answer."""
    devices: dict[str, set[str]] = {}
    for pod in pods:
        group = pod.labels.get(_KAI_GROUP, "")
        device = held.get(pod.uid) or _uuid(pod.annotations.get(_KAI_DEVICE, ""))
        if is_reservation(pod.namespace, pod.name) and group and device:
            devices.setdefault(group, set()).add(device)
    return {group: found.pop() for group, found in devices.items() if len(found) == 1}


def _of_kai(pod: Pod, devices: Mapping[str, str]) -> Iterator[Share]:
    """Give the parts of a pod that has the label of a group, and the signs that KAI let it in: the label is soon written."""
    if not devices or is_reservation(pod.namespace, pod.name) or pod.scheduler == _NOT_KAI:
        return
    groups = {value for key, value in pod.labels.items() if key in {_KAI_GROUP, f"{_KAI_GROUP}/{value}"}}
    weight = _number(pod.annotations.get("gpu-fraction", ""), 1.0)
    memory = _number(pod.annotations.get("gpu-memory", ""), _MOST_MEMORY / MIB)
    if weight is None and memory is None and _KAI_RECEIVED not in pod.annotations.items():
        return
    cores = _number(pod.annotations.get("gpu-sm-percentage", ""), 100.0)
    container = pod.annotations.get("gpu-fraction-container-name", "") or _first_container(pod)
    for group in sorted(groups & devices.keys()):
        yield Share(
            pod.uid,
            container if container in _all_containers(pod) else "",
            devices[group],
            "kai",
            weight,
            None if memory is None else int(memory * MIB),
            None if cores is None else cores / 100,
        )


# --- HAMi and Volcano ---------------------------------------------------------------------------------------------


def _of_hami(pod: Pod) -> Iterator[Share]:
    """Read HAMi's lists; in MIG mode a second annotation names the instances, by container and device of the first."""
    instances = _instances(pod.annotations.get(_HAMI_MIG, ""))
    for (container, number), share in _listed(pod, _HAMI_NVIDIA, "hami"):
        instance = instances.get((container, number))
        if instance:
            yield replace(share, device=instance, memory=None, cores=None)  # the instance is all its own
        elif instance is None and not _HAMI_TEMPLATE.search(share.device):
            yield share
    for key in sorted(pod.annotations):
        if key != _HAMI_NVIDIA and _HAMI_OTHERS.match(key):
            yield from _of_list(pod, key, "hami")


def _of_list(pod: Pod, key: str, source: str) -> Iterator[Share]:
    for _, share in _listed(pod, key, source):
        yield share


def _listed(pod: Pod, key: str, source: str) -> Iterator[tuple[tuple[int, int], Share]]:
    """Read `UUID,Type,memory in MiB,percent of cores:...;...`, a part for each container; with the places of both.

    A container without a device has an empty part. A device without the four fields is left out.
    """
    told = pod.annotations.get(key, "")
    if not told:
        return
    parts = told.removesuffix(";").split(";")
    for at, part in enumerate(parts):
        for number, device in enumerate(part.split(":")):
            fields = device.split(",")
            uuid = _uuid(fields[0])
            if len(fields) != 4 or not uuid:
                continue
            memory, cores = _number(fields[2], _MOST_MEMORY / MIB), _number(fields[3], 100.0)
            yield (
                (at, number),
                Share(
                    pod.uid,
                    _container_at(pod, at, len(parts)),
                    uuid,
                    source,
                    memory=None if memory is None else int(memory * MIB),
                    cores=None if cores is None else cores / 100,
                ),
            )


def _instances(told: str) -> dict[tuple[int, int], str]:
    """Give the MIG instance of each container and device: `[{containerIndex, deviceIndex, migUUID, ...}]`.

    The plugin adds the UUID when it has made the instance; until then nothing is held.
    """
    try:
        listed = json.loads(told) if told else []
    except (ValueError, RecursionError):
        return {}
    found: dict[tuple[int, int], str] = {}
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict):
            place: Any = each.get("containerIndex"), each.get("deviceIndex")
            uuid = each.get("migUUID") or ""
            if all(type(number) is int for number in place) and isinstance(uuid, str):
                found[place] = _uuid(uuid)
    return found


# --- containers and numbers ---------------------------------------------------------------------------------------


def _apps(pod: Pod) -> tuple[str, ...]:
    """Give the containers that are no init containers: a pod's first ones are the restartable of those."""
    return tuple(name for name in pod.containers if name not in pod.init_containers)


def _all_containers(pod: Pod) -> tuple[str, ...]:
    return (*pod.init_containers, *_apps(pod))


def _first_container(pod: Pod) -> str:
    return next(iter(_apps(pod)), "")


def _container_at(pod: Pod, at: int, parts: int) -> str:
    """Name the container of a list's part. Lists have all of the pod's containers, or, of older schedulers, no init ones."""
    for containers in (_all_containers(pod), _apps(pod)):
        if len(containers) == parts:
            return containers[at]
    return ""


def _uuid(told: str) -> str:
    """Give what can be a device's name: text without spaces, of its length."""
    return told if 0 < len(told) <= _LONGEST_NAME and told.isascii() and told.isprintable() and " " not in told else ""


def _number(told: str, most: float) -> float | None:
    """Read a number that is above 0 and at most `most`; 0 is how schedulers write that nothing is declared."""
    try:
        number = float(told) if len(told) <= _MOST_NUMBER else math.nan
    except ValueError:
        return None
    return number if 0 < number <= most else None
