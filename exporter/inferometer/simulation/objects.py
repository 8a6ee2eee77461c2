# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects of the simulated node as its API server shows them: pods (v1) and claims (resource.k8s.io/v1)."""

import uuid
from datetime import UTC, datetime
from typing import Any

from inferometer.simulation.scenario import DRA_DRIVER, NODE, ContainerSpec, PodSpec
from inferometer.simulation.world import Claim, LivePod, World

MARK = {"inferometer.simulated": "true"}


def pod_object(world: World, pod: LivePod, version: int) -> dict[str, Any]:
    """Write a pod. An engine's port is announced by annotation, label and port name."""
    spec = pod.spec
    created = datetime.fromtimestamp(pod.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata: dict[str, Any] = {
        "name": spec.name,
        "namespace": spec.namespace,
        "uid": pod.uid,
        "resourceVersion": str(version),
        "creationTimestamp": created,
        "labels": _labels(spec),
        "annotations": dict(MARK),
    }
    if owner := _owner(spec):
        metadata["ownerReferences"] = [owner]
    if pod.port:
        metadata["annotations"]["inferometer/port"] = str(pod.port)
    claims = [world.claims[key] for key in sorted({key for c in spec.containers for key in c.claims})]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "nodeName": NODE,
            "containers": [
                _container(c, pod.port if spec.engine and i == 0 else 0) for i, c in enumerate(spec.containers)
            ],
            "resourceClaims": [{"name": c.spec.key, "resourceClaimName": c.spec.name} for c in claims],
            "restartPolicy": "Never" if spec.kind == "Job" else "Always",
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": created} for kind in ("PodScheduled", "Ready")
            ],
            "hostIP": "127.0.0.1",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "startTime": created,
            "containerStatuses": [
                {
                    "name": c.name,
                    "ready": True,
                    "restartCount": 0,
                    "image": "simulated",
                    "state": {"running": {"startedAt": created}},
                }
                for c in spec.containers
            ],
        },
    }


def claim_object(world: World, claim: Claim, version: int) -> dict[str, Any]:
    """Write a claim: what was allocated for each request, and the pods it is reserved for."""
    users = [p for p in world.pods.values() if any(claim.spec.key in c.claims for c in p.spec.containers)]
    results = [
        {"request": request, "driver": DRA_DRIVER, "pool": NODE, "device": world.device_name(place)}
        for request, place in claim.spec.results
    ]
    requests = [
        {"name": request, "exactly": {"deviceClassName": DRA_DRIVER, "allocationMode": "ExactCount", "count": 1}}
        for request, _ in claim.spec.results
    ]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": claim.spec.name,
            "namespace": claim.spec.namespace,
            "uid": claim.uid,
            "resourceVersion": str(version),
            "labels": dict(MARK),
        },
        "spec": {"devices": {"requests": requests}},
        "status": {
            "allocation": {"devices": {"results": results}},
            "reservedFor": [{"resource": "pods", "name": p.spec.name, "uid": p.uid} for p in users],
        },
    }


def _labels(spec: PodSpec) -> dict[str, str]:
    labels = {"app": spec.workload, "team": spec.team, "cost-center": spec.cost_center, **MARK}
    if spec.template_hash:
        labels["pod-template-hash"] = spec.template_hash
    if spec.kind == "Job":
        labels["batch.kubernetes.io/job-name"] = spec.workload
    if spec.engine:
        labels["app.kubernetes.io/name"] = "vllm"
    return labels


def _owner(spec: PodSpec) -> dict[str, Any] | None:
    """What owns the pod by its metadata: the ReplicaSet, for a pod of a Deployment."""
    if spec.kind == "Pod":
        return None
    kind = "ReplicaSet" if spec.kind == "Deployment" else spec.kind
    name = f"{spec.workload}-{spec.template_hash}" if spec.kind == "Deployment" else spec.workload
    uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{spec.namespace}"))
    api = "batch/v1" if spec.kind == "Job" else "apps/v1"
    return {"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": True, "blockOwnerDeletion": True}


def _container(container: ContainerSpec, port: int) -> dict[str, Any]:
    limits = {hold.resource: str(len(hold.replicas) or len(hold.places)) for hold in container.plugin}
    resources: dict[str, Any] = {"limits": limits, "requests": limits} if limits else {}
    if container.claims:
        resources["claims"] = [{"name": key} for key in container.claims]
    written: dict[str, Any] = {"name": container.name, "image": "simulated", "resources": resources}
    if port:
        written["ports"] = [{"name": "vllm", "containerPort": port, "protocol": "TCP"}]
    return written
