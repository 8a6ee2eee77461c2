# SPDX-License-Identifier: Apache-2.0
"""A pod's JSON (Kubernetes core/v1) as the few fields that anybody here reads; pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from inferometer.model import EMPTY, Pod, Port

LONGEST_VALUE = 1024  # characters; longer annotations are whole manifests and would be most of the memory


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
    containers = [each for each in _mappings(spec.get("initContainers")) if each.get("restartPolicy") == "Always"]
    containers += _mappings(spec.get("containers"))
    return Pod(
        uid,
        namespace,
        name,
        phase=_text(status.get("phase")),
        ip=_text(status.get("podIP")),
        labels=_texts(metadata.get("labels")),
        annotations=_texts(metadata.get("annotations")),
        owner_kind=_text(owner.get("kind")),
        owner_name=_text(owner.get("name")),
        containers=tuple(_text(each.get("name")) for each in containers),
        ports=tuple(port for each in containers for port in _ports(each)),
    )


def _ports(container: Mapping[str, Any]) -> Iterator[Port]:
    for port in _mappings(container.get("ports")):
        number = port.get("containerPort")
        if isinstance(number, int) and 0 < number < 1 << 16 and port.get("protocol", "TCP") == "TCP":
            yield Port(_text(container.get("name")), _text(port.get("name")), number)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> Mapping[str, str]:
    kept = {k: v for k, v in _mapping(value).items() if isinstance(v, str) and len(v) <= LONGEST_VALUE}
    return MappingProxyType(kept) if kept else EMPTY
