# SPDX-License-Identifier: Apache-2.0
"""What `/proc/<pid>/cgroup` says of whose a process is, in every form that kubelets and runtimes give it; pure."""

import re
from typing import NamedTuple

# What the kubelet names a pod's cgroup: by its UID, with `_` for `-` under systemd; a static pod's by the hash of its manifest.
# kubernetes/pkg/kubelet/cm/{cgroup_manager_linux,pod_container_manager_linux}.go. Whatever stands before it may be cut off or
# prefixed (`--cgroup-root`, a node within a container), so it is not looked at.
_UUID = "-".join(f"[0-9a-f]{{{length}}}" for length in (8, 4, 4, 4, 12)).replace("-[", "[-_][")
_POD = re.compile(rf"(?:^|-)pod({_UUID}|[0-9a-f]{{32}})(?:\.slice)?\Z")

# What a runtime names a container's: `<64 digits>`, `cri-containerd-<64>.scope`, `crio-<64>.scope`, `docker-<64>.scope`.
_CONTAINER = re.compile(r"(?:^|-)([0-9a-f]{64})(?:\.scope)?\Z")
_MONITORS = ("crio-conmon-", "libpod-conmon-")  # a process of the runtime's that stands beside the container
_GONE = " (deleted)"  # which the kernel appends when the cgroup was removed


class Place(NamedTuple):
    """Whose a process is. All empty, and `host` False: the reader's own pod, whose name the path does not tell."""

    pod_uid: str = ""
    container_id: str = ""
    host: bool = False


def paths(told: str) -> tuple[str, ...]:
    """Give the cgroups of the lines `<hierarchy>:<controllers>:<path>`, one with cgroup v2, one per controller with v1.

    Source: cgroups(7), `/proc/pid/cgroup`. A line of another form is left out.
    """
    found = []
    for line in told.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            found.append(parts[2].removesuffix(_GONE))
    return tuple(found)


def depth(own: tuple[str, ...]) -> int:
    """Give how many pods the reader is in by its own paths: two, where its node is itself a pod's container."""
    return max((len(_pods(_segments(path))) for path in own), default=0)


def place(cgroups: tuple[str, ...], *, own_depth: int = 0, private: bool = False) -> Place:
    """Tell whose a process in these cgroups is: the best that any of the paths says, because hybrid nodes leave some at `/`.

    Args:
        cgroups: its `paths`.
        own_depth: the reader's own `depth`: a process in a pod in a pod is the outer's for the outer node's reader.
        private: whether the reader has a cgroup namespace of its own (cgroup_namespaces(7)). Other processes' paths are then
            relative to its container, `/../<what they do not share>`: without a pod in them, if it is the reader's own.
    """
    best = Place(host=True)
    for path in cgroups:
        found = _of(path, own_depth, private=private)
        if (bool(found.pod_uid), bool(found.container_id), not found.host) > (
            bool(best.pod_uid),
            bool(best.container_id),
            not best.host,
        ):
            best = found
    return best


def _of(path: str, own_depth: int, *, private: bool) -> Place:
    segments = _segments(path)
    pods = _pods(segments)
    if pods:
        at, uid = pods[min(max(own_depth - 1, 0), len(pods) - 1)]
        return Place(uid, _container(segments[at + 1 :]))
    if private and segments[:1] != [".."]:
        return Place()
    beside = next((segment for segment in segments if segment != ".."), "")
    container = _container([beside]) if private else ""
    return Place(container_id=container, host=not container)


def _segments(path: str) -> list[str]:
    # containerd writes `<slice>:cri-containerd:<id>` where it is told systemd and runc is not.
    return [part for part in re.split("[/:]", path) if part]


def _pods(segments: list[str]) -> list[tuple[int, str]]:
    """Give where pods' cgroups stand in a path, with the UIDs, the outer ones first."""
    found = ((at, _POD.search(segment)) for at, segment in enumerate(segments))
    return [(at, match[1].replace("_", "-")) for at, match in found if match]


def _container(segments: list[str]) -> str:
    """Give the id of the outermost container; empty for what stands beside containers."""
    for segment in segments:
        if segment.startswith(_MONITORS):
            return ""
        if match := _CONTAINER.search(segment):
            return match[1]
    return ""
