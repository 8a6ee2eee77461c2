# SPDX-License-Identifier: Apache-2.0
"""What pods do on devices, by their processes: memory and share of SM time; and processes that nothing allows there. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inferometer import catalog
from inferometer.join.pods import Pods
from inferometer.model import Pod, Process, Reading, Whereabouts

READ = frozenset({catalog.GPU_PROCESSES})  # a device that counts them has told of its own


@dataclass(slots=True)
class Work:
    """The processes of one device: memory in bytes and share of SM time by pod UID; those of nobody's count to the totals only.

    `memory_known` and `busy_known` tell whether every process told its own. `early` are the numbers of those that are init
    containers': the kubelet never lists what it gave to one that does not stay.
    """

    memory: dict[str, float] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    all_memory: float = 0.0
    all_busy: float = 0.0
    memory_known: bool = True
    busy_known: bool = True
    pods: dict[str, tuple[Pod, int]] = field(default_factory=dict)  # by UID, with the number of its processes
    early: dict[str, int] = field(default_factory=dict)
    host: int = 0  # processes of the host's own


def find_work(
    counts: Iterable[Reading], processes: Iterable[Process], places: Iterable[Whereabouts] | None, pods: Pods
) -> Mapping[str, Work]:
    """Give the work on every device whose processes were read and are known by their cgroups; absent beats wrong.

    A cgroup names a pod by its UID: while pods cannot be read it tells of no owner. `counts` are the readings of `READ`.
    """
    if places is None or not pods.known:
        return {}
    by_pid = {place.pid: place for place in places}
    found = {reading.subject: Work() for reading in counts}
    unplaced = set()
    for process in processes:
        work, place = found.get(process.device), by_pid.get(process.pid)
        if work is None:
            continue
        if place is None:
            unplaced.add(process.device)  # it ended, or it cannot be told whose it is
            continue
        work.memory_known &= process.memory is not None
        work.busy_known &= process.busy is not None
        memory, busy = process.memory or 0, process.busy or 0.0
        work.all_memory += memory
        work.all_busy += busy
        pod = None if place.host else pods.at(place)
        if pod is None:
            work.host += place.host
            continue
        work.memory[pod.uid] = work.memory.get(pod.uid, 0.0) + memory
        work.busy[pod.uid] = work.busy.get(pod.uid, 0.0) + busy
        work.pods[pod.uid] = pod, work.pods.get(pod.uid, (pod, 0))[1] + 1
        container = pod.container_ids.get(place.container_id, "")
        if container in pod.init_containers and container not in pod.containers:
            work.early[pod.uid] = work.early.get(pod.uid, 0) + 1
    return {device: work for device, work in found.items() if device not in unplaced}
