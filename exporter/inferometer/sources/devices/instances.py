# SPDX-License-Identifier: Apache-2.0
"""The MIG instances of one GPU: found anew at each read, described once, their memory read where it is theirs alone."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from inferometer.sources.devices import calls, codes
from inferometer.sources.devices.gpm import Gpm
from inferometer.sources.devices.items import Value
from inferometer.sources.devices.subject import Complaint, Mark, Subject

Facts = dict[str, Any]

_MAX = 64  # no GPU has more than 7 GPU instances of 7 compute instances; a driver that says so is not believed
_MOST_PARTS = 1 << 16  # multiprocessors, slices, profiles, instances
_SHARED = "shared_by_compute_instances"


class Instances:
    """The instances of one generation of a GPU.

    All MIG indexes are walked at each read: a handle dies with its instance and may come back as another one, and an
    index may be a hole (`nvmlDeviceGetMigDeviceHandleByIndex` answers NOT_FOUND or INVALID_ARGUMENT).
    """

    def __init__(self, nvml: calls.Nvml, mark: Mark, parent: str, indexes: int) -> None:
        self.unsupported: list[Complaint] = []
        self.handles: list[tuple[str, calls.Handle]] = []  # of the last read, by UUID
        self._nvml = nvml
        self._mark = mark
        self._parent = parent
        self._indexes = min(indexes, _MAX)
        # The key is UUID and name: an identifier may be used again for another shape, and the name has the profile.
        self._known: dict[tuple[str, str], tuple[Subject, Facts | None]] = {}
        self._groups: dict[str, int | None] = {}  # the GPU instance's id, by UUID
        self._sharing: set[str] = set()  # those that were not alone in their GPU instance at the last read, by UUID

    def read(self, parent: calls.Handle, due: Collection[str], failed: list[Complaint]) -> list[tuple[Facts, Facts]]:
        """Give each instance's facts, and its `values` of the tiers that are due, in the order of the MIG indexes."""
        found = list(self._walk(parent, due, failed))
        self.handles = [(subject.uuid, handle) for handle, subject, _ in found]
        groups = Counter(facts["gi"] for _, _, facts in found)
        self.unsupported = []
        sharing: set[str] = set()
        result = []
        for handle, subject, facts in found:
            values: list[Value] = []
            if groups[facts["gi"]] > 1:
                # What it told while it was alone is taken back at once: all tiers were read, and tell nothing.
                tiers = due if subject.uuid in self._sharing else calls.TIERS
                sharing.add(subject.uuid)
                # Memory is the GPU instance's: copied onto each of its compute instances it would count more than once.
                shared = [
                    (subject.uuid, quantity.metric, row.ways[0].call, _SHARED)
                    for row in calls.INSTANCE_ROWS
                    for quantity in row.gives
                ]
                self.unsupported += dict.fromkeys(shared)
            else:
                values = subject.read(handle, due, failed, parent)
                tiers = subject.tiers
                self.unsupported += subject.unsupported
            result.append((facts, {"tiers": list(tiers), "values": values}))
        self._sharing = sharing
        return result

    def close(self) -> None:
        """Let go of what the instances hold in the driver."""
        for subject, _ in self._known.values():
            subject.close()
        self._known = {}

    def _walk(
        self, parent: calls.Handle, due: Collection[str], failed: list[Complaint]
    ) -> list[tuple[calls.Handle, Subject, Facts]]:
        """Look at every MIG index, and forget the instances that are no more.

        An instance that ended between two reads may be back with the same ids, and so with the same UUID and profile, in
        another place of the GPU: each is described again in the medium tier, and one that differs is another one.
        """
        nvml = self._nvml
        known: dict[tuple[str, str], tuple[Subject, Facts | None]] = {}
        found = []
        for i in range(self._indexes):
            try:
                self._mark(call := "nvmlDeviceGetMigDeviceHandleByIndex")
                handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, i)
                self._mark(call := "nvmlDeviceGetUUID")
                uuid = codes.identity(nvml.nvmlDeviceGetUUID(handle))
                self._mark(call := "nvmlDeviceGetName")
                name = codes.identity(nvml.nvmlDeviceGetName(handle))
            except Exception as error:
                reason = codes.explain(nvml, error)
                if reason not in codes.HOLE:
                    failed.append((self._parent, "gpu.mig.info", call, reason))
                continue
            subject, facts = self._known.get((uuid, name)) or (self._new(uuid), None)
            lasting = facts
            if facts is None or calls.MEDIUM in due:
                before = len(failed)
                told = describe(nvml, self._mark, parent, handle, name, subject, failed)
                if len(failed) == before:
                    if facts not in (None, told):
                        subject.close()
                        subject = self._new(uuid)
                    facts = lasting = told
                elif facts is None:
                    facts = told  # it is described again at the next read
            known[uuid, name] = subject, lasting
            found.append((handle, subject, facts))
        for key in self._known.keys() - known.keys():
            self._known[key][0].close()
        self._known = known
        self._groups = {subject.uuid: facts["gi"] for _, subject, facts in found}
        return found

    def _new(self, uuid: str) -> Subject:
        def sample(parent: calls.Handle, buffer: Any) -> None:
            group = self._groups.get(uuid)
            if group is None:
                raise codes.FieldError("no_data")
            self._mark("nvmlGpmMigSampleGet")
            self._nvml.nvmlGpmMigSampleGet(parent, group, buffer)

        return Subject(self._nvml, self._mark, uuid, calls.INSTANCE_TABLE, Gpm(self._nvml, self._mark, sample))


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

    def ask(call: str, *arguments: object, within: Callable[[Any], Any] | None = None) -> Any:
        mark(call)
        try:
            answer = getattr(nvml, call)(*arguments)
            return answer if within is None else within(answer)
        except Exception as error:
            reason = codes.explain(nvml, error)
            if reason in codes.REFUSED:
                subject.refuse("gpu.mig.info", call, reason)
            else:
                failed.append((subject.uuid, "gpu.mig.info", call, reason))
            return None

    gi = ask("nvmlDeviceGetGpuInstanceId", handle, within=_number)
    ci = ask("nvmlDeviceGetComputeInstanceId", handle, within=_number)
    profile = name.partition(" MIG ")[2] or None  # "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    attributes = ask("nvmlDeviceGetAttributes_v2", handle, within=_attributes)
    if profile is None and attributes:
        memory = ask("nvmlDeviceGetMemoryInfo", parent)
        profile = profile_name(attributes, memory.total) if memory else None
    # Both need a privileged user; without them the DRA device name of this instance cannot be resolved.
    group = None if gi is None else ask("nvmlDeviceGetGpuInstanceById", parent, gi)
    info = None if group is None else ask("nvmlGpuInstanceGetInfo", group, within=_info)
    return {
        "uuid": subject.uuid,
        "gi": gi,
        "ci": ci,
        "profile": profile,
        "profile_id": None if info is None else int(info.profileId),
        "placement": None if info is None else int(info.placement.start),
        "multiprocessors": None if attributes is None else int(attributes.multiprocessorCount),
    }


def _number(answer: int) -> int:
    """Keep what numbers or counts parts of a GPU. Raises ValueError."""
    if not 0 <= answer < _MOST_PARTS:
        raise ValueError(f"{answer} is no number of a part")
    return int(answer)


def _attributes(answer: Any) -> Any:
    for number in (answer.multiprocessorCount, answer.gpuInstanceSliceCount, answer.computeInstanceSliceCount):
        _number(number)
    return answer


def _info(answer: Any) -> Any:
    for number in (answer.profileId, answer.placement.start):
        _number(number)
    return answer


def profile_name(attributes: Any, gpu_memory: int) -> str:
    """Name a profile from its `nvmlDeviceAttributes_t`, as go-nvlib does (`pkg/nvlib/device/mig_profile.go`).

    Memory is counted in eighths of the GPU's, rounded up, of its size in GiB, rounded up.
    """
    eighths = -(-attributes.memorySizeMB * 1024**2 * 8 // gpu_memory)
    memory = (eighths * -(-gpu_memory // 1024**3) + 4) // 8
    slices, compute = attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount
    return f"{slices}g.{memory}gb" if compute == slices else f"{compute}c.{slices}g.{memory}gb"
