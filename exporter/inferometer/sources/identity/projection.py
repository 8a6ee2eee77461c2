# SPDX-License-Identifier: Apache-2.0
"""A pod's JSON (Kubernetes core/v1) as the few fields that anybody here reads; pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from sys import intern
from types import MappingProxyType
from typing import Any

from inferometer.model import EMPTY, Pod, Port
from inferometer.model.identity import no_times

LONGEST_VALUE = 1024  # characters; longer annotations are whole manifests and would be most of the memory
LONGEST_DECLARATION = 16_384  # what a scheduler writes down for every container and GPU of a pod is longer
DECLARING = ("hami.io/", "volcano.sh/")  # prefixes of such annotations


def project(raw: Any) -> Pod:
    """Take a Pod out of decoded JSON. What is missing or of another type is empty.

    Containers are those that PodResources lists too: restartable init containers (KEP-753), then the others.

    Raises:
        ValueError: without a UID, a namespace or a name it is no pod.
    """
    metadata, spec, status = (_mapping(_mapping(raw).get(key)) for key in ("metadata", "spec", "status"))
    uid, namespace, name = (_text(metadata.get(key)) for key in ("uid", "namespace", "name"))
    if not (uid and namespace and name):
        raise ValueError("a pod without UID, namespace or name")
    owner = next((each for each in _mappings(metadata.get("ownerReferences")) if each.get("controller") is True), {})
    initial, lasting = _mappings(spec.get("initContainers")), _mappings(spec.get("containers"))
    containers = [*(each for each in initial if each.get("restartPolicy") == "Always"), *lasting]
    extended = _mapping(status.get("extendedResourceClaimStatus"))
    conditions = {
        (_text(each.get("type")), _text(each.get("status"))): _time(each.get("lastTransitionTime"))
        for each in _mappings(status.get("conditions"))
    }
    return Pod(
        uid,
        intern(namespace),
        name,
        phase=intern(_text(status.get("phase"))),
        ip=_text(status.get("podIP")),
        labels=_texts(metadata.get("labels")),
        annotations=_texts(metadata.get("annotations")),
        owner_kind=intern(_text(owner.get("kind"))),
        owner_name=_text(owner.get("name")),
        containers=_names(containers),
        init_containers=_names(initial),
        ports=tuple(port for each in containers for port in _ports(each)),
        images=_images(containers),
        container_ids=_container_ids(status),
        claims=_claims(spec, status),
        claim_requests=tuple(request for each in (*initial, *lasting) for request in _claim_requests(each)),
        extended_claim=_text(extended.get("resourceClaimName")),
        extended_requests=tuple(
            (_text(each.get("containerName")), _text(each.get("requestName")))
            for each in _mappings(extended.get("requestMappings"))
        ),
        runtime_class=intern(_text(spec.get("runtimeClassName"))),
        group=_text(_mapping(spec.get("schedulingGroup")).get("podGroupName")),
        scheduler=intern(_text(spec.get("schedulerName"))),
        scheduled=conditions.get(("PodScheduled", "True"), 0.0),
        ready=conditions.get(("Ready", "True"), 0.0),
        unready=conditions.get(("Ready", "False"), 0.0),
        started=_started(status),
    )


def _names(containers: list[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(intern(_text(each.get("name"))) for each in containers)


def _ports(container: Mapping[str, Any]) -> Iterator[Port]:
    for port in _mappings(container.get("ports")):
        number = port.get("containerPort")
        if isinstance(number, int) and 0 < number < 1 << 16 and port.get("protocol", "TCP") == "TCP":
            yield Port(_text(container.get("name")), _text(port.get("name")), number)


def _images(containers: list[Mapping[str, Any]]) -> Mapping[str, str]:
    """Name the containers' images. Replicas have the same, and keep its name once."""
    named = ((_text(each.get("name")), _text(each.get("image"))) for each in containers)
    return _frozen({intern(name): intern(image) for name, image in named if 0 < len(image) <= LONGEST_VALUE})


def _container_ids(status: Mapping[str, Any]) -> Mapping[str, str]:
    """Name containers of every kind by their ids, as in `containerd://<id>`; one that waits to be made has none."""
    found = {}
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for told in _mappings(status.get(kind)):
            container_id = _text(told.get("containerID")).rpartition("://")[2]
            if container_id:
                found[container_id] = intern(_text(told.get("name")))
    return _frozen(found)


def _started(status: Mapping[str, Any]) -> Mapping[str, float]:
    """Say since when containers run that have not been restarted."""
    found = {}
    for told in _mappings(status.get("containerStatuses")):
        began = _time(_mapping(_mapping(told.get("state")).get("running")).get("startedAt"))
        if began and not told.get("restartCount"):
            found[intern(_text(told.get("name")))] = began
    return MappingProxyType(found) if found else no_times()


def _time(value: Any) -> float:
    """Read a time: RFC 3339 in JSON, seconds in protobuf. Give Unix seconds, whole as Kubernetes writes them; else 0."""
    seconds = value.get("seconds") if isinstance(value, dict) else None
    if isinstance(seconds, int):
        return float(seconds)
    try:
        return datetime.fromisoformat(_text(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _claims(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Mapping[str, str]:
    """Name the ResourceClaims. One that is made from a template has its name in the status, once it is made."""
    made = {
        _text(told.get("name")): told.get("resourceClaimName")
        for told in _mappings(status.get("resourceClaimStatuses"))
    }
    found = {}
    for claim in _mappings(spec.get("resourceClaims")):
        name = _text(claim.get("name"))
        named = _text(claim.get("resourceClaimName")) or _text(made.get(name))
        if name and named:
            found[name] = named
    return _frozen(found)


def _claim_requests(container: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for claim in _mappings(_mapping(container.get("resources")).get("claims")):
        yield intern(_text(container.get("name"))), _text(claim.get("name")), _text(claim.get("request"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else EMPTY


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Give a text that every output can write: JSON may hold half of a surrogate pair, which is no Unicode."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _texts(value: Any) -> Mapping[str, str]:
    """Give labels or annotations. Their keys are the same few on all pods, and so are kept once."""
    return _frozen(
        {
            intern(_text(key)): _text(text)
            for key, text in _mapping(value).items()
            if isinstance(text, str)
            and len(text) <= (LONGEST_DECLARATION if key.startswith(DECLARING) else LONGEST_VALUE)
        }
    )


def _frozen(found: dict[str, str]) -> Mapping[str, str]:
    return MappingProxyType(found) if found else EMPTY
