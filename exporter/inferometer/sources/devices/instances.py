# SPDX-License-Identifier: Apache-2.0
"""The MIG instances of one GPU: found anew at each read, described once, their memory read where it is theirs alone."""

from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.subject import Complaint, Mark, Subject

Facts = dict[str, Any]

_MAX = 64  # no GPU has more than 7 GPU instances of 7 compute instances; a driver that says so is not believed
_SHARED = "shared_by_compute_instances"


class Instances:
    """The instances of one generation of a GPU.

    All MIG indexes are walked at each read: a handle dies with its instance and may come back as another one, and an
    index may be a hole (`nvmlDeviceGetMigDeviceHandleByIndex` answers NOT_FOUND or INVALID_ARGUMENT).
    """

    def __init__(self, nvml: calls.Nvml, mark: Mark, parent: str, indexes: int) -> None:
        self.unsupported: list[Complaint] = []
        self._nvml = nvml
        self._mark = mark
        self._parent = parent
        self._indexes = min(indexes, _MAX)
        # The key is UUID and name: an identifier may be used again for another shape, and the name has the profile.
        self._known: dict[tuple[str, str], tuple[Subject, Facts]] = {}

    def read(self, parent: calls.Handle, failed: list[Complaint]) -> list[Facts]:
        """Give each instance's facts with its `values`, in the order of the MIG indexes."""
        found = list(self._walk(parent, failed))
        groups = [facts["gi"] for _, _, facts in found]
        self.unsupported = []
        result = []
        for handle, subject, facts in found:
            values: list[tuple[int, float]] = []
            if groups.count(facts["gi"]) > 1:
                # Memory is the GPU instance's: copied onto each of its compute instances it would count more than once.
                self.unsupported += [
                    (subject.uuid, quantity.metric, row.ways[0].call, _SHARED)
                    for row in calls.INSTANCE_ROWS
                    for quantity in row.gives
                ]
            else:
                values = subject.read(handle, failed)
                self.unsupported += subject.unsupported
            result.append({**facts, "values": values})
        return result

    def _walk(self, parent: calls.Handle, failed: list[Complaint]) -> list[tuple[calls.Handle, Subject, Facts]]:
        """Look at every MIG index, and forget the instances that are no more."""
        nvml, known = self._nvml, {}
        found = []
        for i in range(self._indexes):
            try:
                self._mark("nvmlDeviceGetMigDeviceHandleByIndex")
                handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, i)
                self._mark("nvmlDeviceGetUUID")
                uuid = nvml.nvmlDeviceGetUUID(handle)
                self._mark("nvmlDeviceGetName")
                name = nvml.nvmlDeviceGetName(handle)
            except Exception as error:
                reason = codes.explain(nvml, error)
                if reason not in codes.HOLE:
                    failed.append((self._parent, "gpu.mig.info", "nvmlDeviceGetMigDeviceHandleByIndex", reason))
                continue
            before = len(failed)
            pair = self._known.get((uuid, name))
            if pair is None:
                subject = Subject(nvml, self._mark, uuid, calls.INSTANCE_TABLE)
                pair = subject, describe(nvml, self._mark, parent, handle, name, subject, failed)
            if len(failed) == before:  # else it is described again at the next read
                known[uuid, name] = pair
            found.append((handle, *pair))
        self._known = known
        return found


def describe(
    nvml: calls.Nvml,
    mark: Mark,
    parent: calls.Handle,
    handle: calls.Handle,
    name: str,
    subject: Subject,
    failed: list[Complaint],
) -> Facts:
    """Describe an instance: its ids, its profile, and the profile id and placement that its DRA device name ends with.

    What cannot be had is None.
    """

    def ask(call: str, *arguments: object) -> Any:
        mark(call)
        try:
            return getattr(nvml, call)(*arguments)
        except Exception as error:
            reason = codes.explain(nvml, error)
            (subject.unsupported if reason in codes.REFUSED else failed).append(
                (subject.uuid, "gpu.mig.info", call, reason)
            )
            return None

    gi = ask("nvmlDeviceGetGpuInstanceId", handle)
    ci = ask("nvmlDeviceGetComputeInstanceId", handle)
    profile = name.partition(" MIG ")[2] or None  # "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    if profile is None and (attributes := ask("nvmlDeviceGetAttributes_v2", handle)):
        memory = ask("nvmlDeviceGetMemoryInfo", parent)
        profile = profile_name(attributes, memory.total) if memory else None
    # Both need a privileged user; without them the DRA device name of this instance cannot be resolved.
    group = None if gi is None else ask("nvmlDeviceGetGpuInstanceById", parent, gi)
    info = None if group is None else ask("nvmlGpuInstanceGetInfo", group)
    return {
        "uuid": subject.uuid,
        "gi": gi,
        "ci": ci,
        "profile": profile,
        "profile_id": None if info is None else int(info.profileId),
        "placement": None if info is None else int(info.placement.start),
    }


def profile_name(attributes: Any, gpu_memory: int) -> str:
    """Name a profile from its `nvmlDeviceAttributes_t`, as go-nvlib does (`pkg/nvlib/device/mig_profile.go`).

    Memory is counted in eighths of the GPU's, rounded up, of its size in GiB, rounded up.
    """
    eighths = -(-attributes.memorySizeMB * 1024**2 * 8 // gpu_memory)
    memory = (eighths * -(-gpu_memory // 1024**3) + 4) // 8
    slices, compute = attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount
    return f"{slices}g.{memory}gb" if compute == slices else f"{compute}c.{slices}g.{memory}gb"
