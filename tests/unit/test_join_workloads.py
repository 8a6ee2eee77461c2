# SPDX-License-Identifier: Apache-2.0
"""Which workload a pod is of, by what each controller writes into its pods."""

import pytest

from inferometer.join.workloads import queue_of, workload_of
from inferometer.model import Pod

LWS = {
    "leaderworkerset.sigs.k8s.io/name": "vllm",
    "leaderworkerset.sigs.k8s.io/group-index": "0",
    "leaderworkerset.sigs.k8s.io/worker-index": "1",
}


def pod(kind: str, owner: str, name: str = "p", **fields: dict[str, str]) -> Pod:
    return Pod("u", "ml", name, owner_kind=kind, owner_name=owner, **fields)  # type: ignore[arg-type]  # labels and annotations


@pytest.mark.parametrize(
    ("kind", "owner", "labels", "workload"),
    [
        # Kubernetes itself. A Deployment's ReplicaSet: its name is the Deployment's and pod-template-hash.
        ("ReplicaSet", "vllm-7d4b9c", {"pod-template-hash": "7d4b9c"}, ("Deployment", "vllm")),
        ("ReplicaSet", "vllm-7d4b9c", {}, ("ReplicaSet", "vllm-7d4b9c")),
        ("ReplicaSet", "vllm-7d4b9c", {"pod-template-hash": "other"}, ("ReplicaSet", "vllm-7d4b9c")),
        ("ReplicaSet", "-7d4b9c", {"pod-template-hash": "7d4b9c"}, ("ReplicaSet", "-7d4b9c")),
        ("StatefulSet", "db", {"apps.kubernetes.io/pod-index": "0"}, ("StatefulSet", "db")),
        ("DaemonSet", "dcgm", {"pod-template-generation": "1"}, ("DaemonSet", "dcgm")),
        ("Job", "train", {"batch.kubernetes.io/job-name": "train"}, ("Job", "train")),
        # A CronJob's run, whose name could as well be a date's: a Job.
        ("Job", "nightly-29834460", {"batch.kubernetes.io/job-name": "nightly-29834460"}, ("Job", "nightly-29834460")),
        ("", "", {}, ("", "")),
        # Argo Rollouts: rollouts-pod-template-hash.
        ("ReplicaSet", "vllm-86666d6ffc", {"rollouts-pod-template-hash": "86666d6ffc"}, ("Rollout", "vllm")),
        # LeaderWorkerSet: leaders are of its StatefulSet, workers of one per group.
        ("StatefulSet", "vllm", LWS, ("LeaderWorkerSet", "vllm")),
        ("StatefulSet", "vllm-0", LWS, ("LeaderWorkerSet", "vllm")),
        (
            "StatefulSet",
            "pd-prefill",
            {**LWS, "disaggregatedset.x-k8s.io/name": "pd", "disaggregatedset.x-k8s.io/role": "prefill"},
            ("DisaggregatedSet", "pd"),
        ),
        # JobSet: jobset.sigs.k8s.io/jobset-name on the pods of its Jobs.
        (
            "Job",
            "train-workers-0",
            {"jobset.sigs.k8s.io/jobset-name": "train", "batch.kubernetes.io/job-name": "train-workers-0"},
            ("JobSet", "train"),
        ),
        # KubeRay, ray-operator/controllers/ray/utils/constant.go.
        ("RayCluster", "ray-a", {"ray.io/cluster": "ray-a", "ray.io/node-type": "worker"}, ("RayCluster", "ray-a")),
        (
            "RayCluster",
            "svc-x7k2p",
            {
                "ray.io/cluster": "svc-x7k2p",
                "ray.io/originated-from-crd": "RayService",
                "ray.io/originated-from-cr-name": "svc",
            },
            ("RayService", "svc"),
        ),
        (
            "Job",
            "fit",
            {"ray.io/originated-from-crd": "RayJob", "ray.io/originated-from-cr-name": "fit"},
            ("RayJob", "fit"),
        ),
        # KServe: constants.InferenceServicePodLabelKey.
        (
            "ReplicaSet",
            "llama-predictor-6f",
            {"serving.kserve.io/inferenceservice": "llama", "component": "predictor", "pod-template-hash": "6f"},
            ("InferenceService", "llama"),
        ),
        # KServe's LLMInferenceService, single node and by LeaderWorkerSet: pkg/controller/.../llmisvc/workload_*.go.
        (
            "ReplicaSet",
            "qwen-kserve-6f",
            {
                "app.kubernetes.io/part-of": "llminferenceservice",
                "app.kubernetes.io/name": "qwen",
                "app.kubernetes.io/component": "llminferenceservice-workload",
                "pod-template-hash": "6f",
            },
            ("LLMInferenceService", "qwen"),
        ),
        (
            "StatefulSet",
            "qwen-kserve-mn-0",
            {**LWS, "app.kubernetes.io/part-of": "llminferenceservice", "app.kubernetes.io/name": "qwen"},
            ("LLMInferenceService", "qwen"),
        ),
        # NVIDIA Dynamo, also where Grove deploys it.
        (
            "PodClique",
            "graph-0-decode",
            {
                "nvidia.com/dynamo-graph-deployment-name": "graph",
                "grove.io/podclique": "graph-0-decode",
                "app.kubernetes.io/part-of": "graph-pcs",
            },
            ("DynamoGraphDeployment", "graph"),
        ),
        # Grove: app.kubernetes.io/part-of is the PodCliqueSet.
        (
            "PodClique",
            "set-0-worker",
            {"grove.io/podclique": "set-0-worker", "app.kubernetes.io/part-of": "set"},
            ("PodCliqueSet", "set"),
        ),
        # kthena.
        (
            "ModelServing",
            "deepseek",
            {"modelserving.volcano.sh/name": "deepseek", "modelserving.volcano.sh/role": "decode"},
            ("ModelServing", "deepseek"),
        ),
        # Kubeflow's operators own their pods themselves.
        ("PyTorchJob", "bert", {"training.kubeflow.org/job-name": "bert"}, ("PyTorchJob", "bert")),
    ],
)
def test_workloads(kind: str, owner: str, labels: dict[str, str], workload: tuple[str, str]) -> None:
    """The workload is what somebody has deployed, not the controller in between."""
    assert workload_of(pod(kind, owner, labels=labels)) == workload


@pytest.mark.parametrize(
    "labels",
    [
        {"ray.io/cluster": "elsewhere"},
        {"jobset.sigs.k8s.io/jobset-name": "elsewhere"},
        {"leaderworkerset.sigs.k8s.io/name": "elsewhere"},
        {"modelserving.volcano.sh/name": "elsewhere"},
        {"app.kubernetes.io/part-of": "platform", "app.kubernetes.io/name": "llama"},
        {"ray.io/originated-from-cr-name": "elsewhere"},
        {"serving.kserve.io/inferenceservice": ""},
    ],
)
def test_labels_that_prove_nothing(labels: dict[str, str]) -> None:
    """A label that its controller cannot have put there, or that is only half of a pair, renames nothing."""
    there = {"pod-template-hash": "7d", **labels}

    assert workload_of(pod("ReplicaSet", "vllm-7d", labels=there)) == ("Deployment", "vllm")


def test_static_pods() -> None:
    """A pod from a file on several nodes is one workload: the node's name is not part of it."""
    assert workload_of(pod("Node", "node-1", "mps-node-1")) == ("StaticPod", "mps")
    assert workload_of(pod("Node", "node-1", "mps")) == ("StaticPod", "mps")


def test_an_engine_over_several_pods_is_one_workload() -> None:
    """Leader and workers of a LeaderWorkerSet, head and workers of a Ray cluster: one name for all."""
    leader = pod("StatefulSet", "vllm", "vllm-0", labels=LWS)
    worker = pod("StatefulSet", "vllm-0", "vllm-0-1", labels=LWS)
    assert workload_of(leader) == workload_of(worker)

    head = pod("RayCluster", "ray-a", labels={"ray.io/cluster": "ray-a", "ray.io/node-type": "head"})
    worker = pod("RayCluster", "ray-a", labels={"ray.io/cluster": "ray-a", "ray.io/group": "gpus"})
    assert workload_of(head) == workload_of(worker)


@pytest.mark.parametrize(
    ("labels", "annotations", "queue"),
    [
        # Kueue: AssignQueueLabelsForPods, then what the user wrote.
        (
            {"kueue.x-k8s.io/local-queue-name": "lq", "kueue.x-k8s.io/cluster-queue-name": "cq"},
            {"kueue.x-k8s.io/workload": "w"},
            "lq",
        ),
        ({"kueue.x-k8s.io/queue-name": "asked"}, {}, "asked"),
        # KAI Scheduler: DefaultQueueLabel.
        ({"kai.scheduler/queue": "research"}, {}, "research"),
        # Volcano: an annotation.
        ({}, {"scheduling.volcano.sh/queue-name": "batch"}, "batch"),
        ({"kai.scheduler/node-pool": "a"}, {}, ""),
    ],
)
def test_queues(labels: dict[str, str], annotations: dict[str, str], queue: str) -> None:
    """The queue is the scheduler's that let the pod in."""
    assert queue_of(pod("Job", "j", labels=labels, annotations=annotations)) == queue
