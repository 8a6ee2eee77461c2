# SPDX-License-Identifier: Apache-2.0
"""Which device an allocation names: by UUID, by what its DRA driver published of it, or by the rule of its name."""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from inferometer.model import Allocation, Claim, Device, PooledDevice

# Device names of NVIDIA's DRA driver, by minor number (dra-driver-nvidia-gpu, ToCanonicalName in mig.go).
_DRA_GPU = re.compile(r"gpu-(\d+)\Z")
_DRA_MIG = re.compile(r"gpu-(\d+)-mig-.+-(\d+)-(\d+)\Z")
_DRA_VFIO = "gpu-vfio-"  # passed through to a virtual machine: no driver of this node's shows it
_NVIDIA = "gpu.nvidia.com"
# MIG ids of drivers before R470: the GPU's UUID with the two instance ids.
_OLD_MIG = re.compile(r"MIG-(GPU-[0-9a-f-]+)/(\d+)/(\d+)\Z")
# Ids of GKE's device plugin: the minor number, the GPU instance, the slot of a shared one.
_GKE = re.compile(r"nvidia(\d+)(?:/gi(\d+))?(?:/vgpu\d+)?\Z")
_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")


class Devices:
    """The node's devices, by every name that an allocation can use."""

    def __init__(self, devices: Iterable[Device] | None, pooled: Iterable[PooledDevice] | None = None) -> None:
        self.known = devices is not None
        listed = tuple(devices or ())
        self.by_uuid = {device.uuid: device for device in listed}
        self.gpus = frozenset(device.uuid for device in listed if not device.is_instance)
        self._gpu_by_minor = {d.minor: d for d in listed if not d.is_instance and d.minor is not None}
        self._gpu_by_pci = {d.pci_address: d for d in listed if not d.is_instance and d.pci_address}
        self._by_placement = {(d.parent, d.profile_id, d.placement): d for d in listed if d.is_instance}
        self._by_instance = {(d.parent, d.gpu_instance, d.compute_instance): d for d in listed if d.is_instance}
        self._instances: dict[str, set[str]] = {gpu: set() for gpu in self.gpus}
        for device in listed:
            if device.parent in self._instances:
                self._instances[device.parent].add(device.uuid)
        self._pooled = {(d.driver, d.pool, d.device): d for d in pooled or ()}

    def resolve(self, allocation: Allocation) -> str | None:
        """Give the id of the device that an allocation names; None if none answers to it.

        It is the UUID of a device here; or, of one that no driver here shows (passed through to a virtual machine, of
        another vendor), what the DRA driver or the device plugin names it by.
        """
        if allocation.claim is not None:
            return self._resolve_claim(allocation.claim)
        return self._resolve_plugin_id(allocation.device)

    def are_all(self, found: AbstractSet[str]) -> bool:
        """Tell whether these are all that there is, of several: each GPU, or all of its instances."""
        several = sum(not device.mig_enabled for device in self.by_uuid.values()) > 1
        return several and all(
            gpu in found or (self.by_uuid[gpu].mig_enabled and instances <= found)
            for gpu, instances in self._instances.items()
        )

    def pooled(self, claim: Claim) -> PooledDevice | None:
        """Give what the claim's driver published of the device."""
        return self._pooled.get((claim.driver, claim.pool, claim.device))

    def _resolve_claim(self, claim: Claim) -> str | None:
        published = self.pooled(claim)
        if published is not None and published.uuid in self.by_uuid:
            return published.uuid
        if claim.driver == _NVIDIA and (device := self._by_rule(claim.device)):
            return device.uuid
        if published is not None:
            if published.kind.endswith("-partition"):  # AMD's; its address is that of the GPU that it is a part of
                return published.uuid or f"{claim.driver}/{claim.pool}/{claim.device}"
            if not published.parent_uuid and (gpu := self._gpu_by_pci.get(published.pci_address)):
                return gpu.uuid
            if published.kind == "mig":  # an instance that is gone is not out of sight, it is no more
                return None if self.known else published.uuid or None
            return published.uuid or published.pci_address or f"{claim.driver}/{claim.pool}/{claim.device}"
        in_sight = claim.driver == _NVIDIA and not claim.device.startswith(_DRA_VFIO)
        return None if in_sight else f"{claim.driver}/{claim.pool}/{claim.device}"

    def _by_rule(self, name: str) -> Device | None:
        if match := _DRA_GPU.match(name):
            return self._gpu_by_minor.get(int(match[1]))
        if match := _DRA_MIG.match(name):
            parent = self._gpu_by_minor.get(int(match[1]))
            return self._by_placement.get((parent.uuid, int(match[2]), int(match[3]))) if parent else None
        return None

    def _resolve_plugin_id(self, name: str) -> str | None:
        if match := _OLD_MIG.match(name):
            device = self._by_instance.get((match[1], int(match[2]), int(match[3])))
            return device.uuid if device else None
        if match := _GKE.match(name):
            gpu = self._gpu_by_minor.get(int(match[1]))
            if gpu is None or match[2] is None:
                return gpu.uuid if gpu else None
            found = [
                d.uuid for (parent, gi, _), d in self._by_instance.items() if (parent, gi) == (gpu.uuid, int(match[2]))
            ]
            return found[0] if len(found) == 1 else None
        if _PCI.match(name):
            device = self._gpu_by_pci.get(name)
            return device.uuid if device else name
        # Without a driver the kubelet's answer still says who holds which UUID.
        return name if name in self.by_uuid or not self.known else None
