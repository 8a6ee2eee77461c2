# SPDX-License-Identifier: Apache-2.0
"""What service an engine is, by the semantic conventions' order for Kubernetes. Pure.

Source: https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/. The version of an image is
`<tag>@<digest>`, the digest or the tag (distribution/reference, reference.go).
"""

from collections.abc import Mapping

from inferometer.model import EMPTY, Owner, Pod

_PREFIX = "resource.opentelemetry.io/"
_MOST = 32  # attributes that a pod's annotations may add; what its author writes must not fill every request


def describe_service(pod: Pod | None, owner: Owner, container: str) -> dict[str, str | None]:
    """Give the attributes that a pod's annotations ask for, and `service.*`.

    The first found wins: annotation; `app.kubernetes.io/instance` and `/name` for the name, `/version` for the version;
    workload, pod. The instance is namespace, pod and container: it stays over a restart. An empty `container` is not known.
    """
    annotations, labels = (pod.annotations, pod.labels) if pod else (EMPTY, EMPTY)
    asked = {key.removeprefix(_PREFIX): annotations[key] for key in annotations if key.startswith(_PREFIX)}
    asked.pop("", None)
    name = (
        asked.get("service.name")
        or labels.get("app.kubernetes.io/instance")
        or labels.get("app.kubernetes.io/name")
        or owner.workload_name
        or owner.pod
    )
    version = asked.get("service.version") or labels.get("app.kubernetes.io/version")
    identity = ".".join(filter(None, (owner.namespace, owner.pod, container)))
    return {
        **dict(sorted(asked.items())[:_MOST]),
        "service.name": name,
        "service.namespace": asked.get("service.namespace") or owner.namespace,
        "service.version": version or read_version(_image(pod, container)),
        "service.instance.id": asked.get("service.instance.id") or identity,
    }


def read_version(image: str) -> str:
    """Read the version of an image that is named as `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`; empty where it names none."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "@".join(filter(None, (tag, digest)))


def _image(pod: Pod | None, container: str) -> str:
    """Give the image of the container, or of the only one where it is not known which it is."""
    images: Mapping[str, str] = pod.images if pod else EMPTY
    if container or len(images) != 1:
        return images.get(container, "")
    return next(iter(images.values()))
