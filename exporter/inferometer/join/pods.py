# SPDX-License-Identifier: Apache-2.0
"""The node's pods as owners: found by name, UID, container or manifest, with their workload, team and cost centre."""

from collections.abc import Collection, Iterable, Sequence

from inferometer.config import Identity
from inferometer.join.workloads import queue_of, workload_of
from inferometer.model import Owner, Pod, Target, Whereabouts

ENDED = ("Succeeded", "Failed")

# NVIDIA's MPS control daemons, by the names that their makers give them: a DaemonSet of the device plugin's, behind the name of
# its Helm release, and a Deployment of the DRA driver's for each claim.
_MPS_OF_PLUGIN = "nvidia-device-plugin-mps-control-daemon"
_MPS_OF_CLAIM = "mps-control-daemon-"


class Pods:
    """The node's pods, by what other worlds know of them."""

    def __init__(
        self,
        pods: Iterable[Pod] | None,
        team_keys: Sequence[str],
        cost_center_keys: Sequence[str],
        infrastructure: Collection[str] = Identity().infrastructure_namespaces,
    ) -> None:
        self.known = pods is not None
        self._infrastructure = frozenset(infrastructure)
        self._team_keys = team_keys
        self._cost_center_keys = cost_center_keys
        self._by_uid = {pod.uid: pod for pod in pods or ()}
        self._by_manifest = {pod.manifest: pod for pod in self._by_uid.values() if pod.manifest}
        self._by_container = {id_: pod for pod in self._by_uid.values() for id_ in pod.container_ids}
        self._by_name: dict[tuple[str, str], Pod] = {}
        for pod in self._by_uid.values():
            name = (pod.namespace, pod.name)
            # A name can be reused while its last pod still shows: the one that has not ended holds things.
            if name not in self._by_name or pod.phase not in ENDED:
                self._by_name[name] = pod

    def find(self, namespace: str, name: str, uid: str = "") -> Pod | None:
        """Find a pod by UID, else by name."""
        return self._by_uid.get(uid) if uid else self._by_name.get((namespace, name))

    def serving(self, target: Target) -> Pod | None:
        """Find the pod that serves an engine's endpoint; None where none is named, or it is not there."""
        named = target.pod or target.pod_uid
        return self.find(target.namespace, target.pod, target.pod_uid) if named else None

    def alive(self) -> tuple[Pod, ...]:
        """Give the pods that have not ended, in a stable order."""
        living = (pod for pod in self._by_uid.values() if pod.phase not in ENDED)
        return tuple(sorted(living, key=lambda pod: (pod.namespace, pod.name, pod.uid)))

    def is_infrastructure(self, namespace: str, name: str) -> bool:
        """Tell whether a pod has devices only so that others can use them.

        A name is anybody's to choose. Infrastructure is what a DaemonSet runs in a namespace of the cluster's operators, and
        what the DRA driver starts there for MPS; of a pod that cannot be read the name has to do, there.
        """
        if namespace not in self._infrastructure:
            return False
        pod = self.find(namespace, name)
        if pod is None:
            return _MPS_OF_PLUGIN in name or name.startswith(_MPS_OF_CLAIM)
        return pod.owner_kind == "DaemonSet" or (
            pod.owner_kind == "ReplicaSet" and pod.owner_name.startswith(_MPS_OF_CLAIM)
        )

    def at(self, place: Whereabouts) -> Pod | None:
        """Find the pod that a process is of: by its container, else by the pod that its cgroup names."""
        pod = self._by_container.get(place.container_id) if place.container_id else None
        return pod or self._by_uid.get(place.pod_uid) or self._by_manifest.get(place.pod_uid)

    def owner(self, namespace: str, name: str, uid: str = "") -> Owner:
        """Describe a pod as an owner; without the pod's object only its name is known."""
        pod = self.find(namespace, name, uid)
        if pod is None:
            return Owner(namespace, name)
        kind, workload = workload_of(pod)
        return Owner(
            namespace=pod.namespace,
            pod=pod.name,
            uid=pod.uid,
            workload_kind=kind or None,
            workload_name=workload or None,
            team=_first(pod, self._team_keys),
            cost_center=_first(pod, self._cost_center_keys),
            queue=queue_of(pod) or None,
        )


def _first(pod: Pod, keys: Sequence[str]) -> str | None:
    for key in keys:
        if value := pod.labels.get(key) or pod.annotations.get(key):
            return value
    return None
