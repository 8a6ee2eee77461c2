# SPDX-License-Identifier: Apache-2.0
"""Which workload a pod is of, and which queue let it in, as far as the pod itself shows: its owner and its labels. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.model import Pod


class Rule(NamedTuple):
    """A label, or annotation, whose value names the workload of kind `kind`.

    With `owners` it counts only on pods that such a controller made, and with `sign` only beside that label (with that value,
    if it is not empty): a label alone could be anybody's.
    """

    kind: str
    key: str
    owners: frozenset[str] = frozenset()
    sign: tuple[str, str] = ("", "")


_SETS = frozenset({"StatefulSet", "LeaderWorkerSet"})
_RAY = frozenset({"RayCluster"})

# What people deploy, the outermost first; an engine that is spread over several pods is one of these. The first rule that
# holds counts. Keys: the projects' own constants and label references, of 2026.
RULES = (
    # NVIDIA Dynamo, which deploys by Grove or LeaderWorkerSet.
    Rule("DynamoGraphDeployment", "nvidia.com/dynamo-graph-deployment-name"),
    # KServe, which deploys by Deployment, LeaderWorkerSet or Knative.
    Rule("InferenceService", "serving.kserve.io/inferenceservice"),
    Rule("LLMInferenceService", "app.kubernetes.io/name", sign=("app.kubernetes.io/part-of", "llminferenceservice")),
    # kthena.
    Rule("ModelServing", "modelserving.volcano.sh/name", frozenset({"ModelServing"})),
    # Grove.
    Rule("PodCliqueSet", "app.kubernetes.io/part-of", sign=("grove.io/podclique", "")),
    # LeaderWorkerSet, and the set of sets.
    Rule("DisaggregatedSet", "disaggregatedset.x-k8s.io/name", _SETS),
    Rule("LeaderWorkerSet", "leaderworkerset.sigs.k8s.io/name", _SETS),
    # KubeRay: a service or job makes clusters with names of their own, and passes its own name on.
    Rule("RayService", "ray.io/originated-from-cr-name", _RAY, ("ray.io/originated-from-crd", "RayService")),
    Rule("RayJob", "ray.io/originated-from-cr-name", _RAY | {"Job"}, ("ray.io/originated-from-crd", "RayJob")),
    Rule("RayCluster", "ray.io/cluster", _RAY),
    # JobSet.
    Rule("JobSet", "jobset.sigs.k8s.io/jobset-name", frozenset({"Job"})),
)

# A ReplicaSet is named after what made it and the hash of its template, which its pods carry.
_HASHES = (
    ("Deployment", "pod-template-hash"),  # k8s.io/api/apps/v1, DefaultDeploymentUniqueLabelKey
    ("Rollout", "rollouts-pod-template-hash"),  # Argo Rollouts, DefaultRolloutUniqueLabelKey
)

# Where a pod waited to be let in. A LocalQueue is the namespace's own, the others are the cluster's.
QUEUES = (
    "kueue.x-k8s.io/local-queue-name",  # Kueue, AssignQueueLabelsForPods
    "kueue.x-k8s.io/queue-name",  # Kueue, as the user wrote it
    "kai.scheduler/queue",  # KAI Scheduler
    "scheduling.volcano.sh/queue-name",  # Volcano, an annotation
)


def workload_of(pod: Pod) -> tuple[str, str]:
    """Name the workload behind a pod, its kind and its name, as far as the pod itself shows it; both empty for a pod alone.

    What the pod does not show is left as it is: a CronJob's runs are Jobs, because a Job's name does not prove more.
    """
    for rule in RULES:
        name = pod.labels.get(rule.key, "")
        if name and (not rule.owners or pod.owner_kind in rule.owners) and _has(pod.labels, rule.sign):
            return rule.kind, name
    if pod.owner_kind == "ReplicaSet":
        return _of_replica_set(pod)
    if pod.owner_kind == "Node":
        # The kubelet's own, from a file: the API shows it as <name>-<node> (kubernetes.io/docs/tasks/.../static-pod).
        return "StaticPod", pod.name.removesuffix(f"-{pod.owner_name}") or pod.name
    return pod.owner_kind, pod.owner_name


def queue_of(pod: Pod) -> str:
    """Name the queue that a pod was let in by; empty where no scheduler with queues says so."""
    return next((name for key in QUEUES if (name := pod.labels.get(key) or pod.annotations.get(key, ""))), "")


def _of_replica_set(pod: Pod) -> tuple[str, str]:
    for kind, key in _HASHES:
        suffix = "-" + pod.labels.get(key, "")
        if len(suffix) > 1 and pod.owner_name.endswith(suffix) and pod.owner_name != suffix:
            return kind, pod.owner_name.removesuffix(suffix)
    return pod.owner_kind, pod.owner_name


def _has(labels: Mapping[str, str], sign: tuple[str, str]) -> bool:
    key, value = sign
    return not key or (key in labels and (not value or labels[key] == value))
