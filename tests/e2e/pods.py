# SPDX-License-Identifier: Apache-2.0
"""The objects of the scenarios: pods that only wait, device classes, claims, templates of claims."""

from collections.abc import Mapping, Sequence
from typing import Any

from e2e.images import IMAGE

Json = dict[str, Any]


def namespace(name: str, *, admin: bool = False) -> Json:
    """Give a namespace; in one of `admin`, claims may ask for access to devices that others hold."""
    labels = {"resource.kubernetes.io/admin-access": "true"} if admin else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def container(
    name: str = "main", *, resources: Mapping[str, int] | None = None, claims: Sequence[Mapping[str, str]] = ()
) -> Json:
    """Give a container that waits, with extended resources or with claims of its pod."""
    limits = {resource: str(count) for resource, count in (resources or {}).items()}
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "resources": {"limits": limits, "claims": list(claims)},
    }


def pod(
    name: str, *containers: Json, claims: Mapping[str, str] | None = None, templates: Mapping[str, str] | None = None
) -> Json:
    """Give a pod; its claims by their names in the pod."""
    named = [{"name": key, "resourceClaimName": value} for key, value in (claims or {}).items()]
    made = [{"name": key, "resourceClaimTemplateName": value} for key, value in (templates or {}).items()]
    spec = {
        "containers": list(containers),
        "resourceClaims": named + made,
        "terminationGracePeriodSeconds": 1,
        "dnsPolicy": "Default",
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def device_class(name: str, selector: str, resource: str = "") -> Json:
    """Give a class of the devices that a CEL expression selects; `resource` is a name that containers may ask for instead."""
    spec: Json = {"selectors": [{"cel": {"expression": selector}}]}
    if resource:
        spec["extendedResourceName"] = resource
    return {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}


def request(name: str, of: str, **exactly: Any) -> Json:
    """Give one request of a claim."""
    return {"name": name, "exactly": {"deviceClassName": of, **exactly}}


def claim(name: str, *requests: Json) -> Json:
    """Give a claim that pods may share."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name},
        "spec": {"devices": {"requests": list(requests)}},
    }


def time_sliced(claim: Json, driver: str, interval: str) -> Json:
    """Give a claim with a configuration for NVIDIA's driver: who shares its GPUs takes turns of that length."""
    sharing = {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": interval}}
    parameters = {"apiVersion": "resource.nvidia.com/v1beta1", "kind": "GpuConfig", "sharing": sharing}
    config = [{"opaque": {"driver": driver, "parameters": parameters}}]
    return {**claim, "spec": {"devices": {**claim["spec"]["devices"], "config": config}}}


def template(name: str, *requests: Json) -> Json:
    """Give a template, of which each pod gets a claim of its own."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name},
        "spec": {"spec": {"devices": {"requests": list(requests)}}},
    }
