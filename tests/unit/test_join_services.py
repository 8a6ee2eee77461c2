# SPDX-License-Identifier: Apache-2.0
"""What service an engine is: annotations, labels, workload, pod, in the conventions' order."""

import pytest

from inferometer.join.services import describe_service, read_version
from inferometer.model import Owner, Pod

OWNER = Owner("ns", "chat-7d9f-x", "uid-a", "Deployment", "chat")
DIGEST = f"sha256:{'0' * 64}"


def pod(labels: dict[str, str], annotations: dict[str, str], images: dict[str, str] | None = None) -> Pod:
    return Pod("uid-a", "ns", "chat-7d9f-x", labels=labels, annotations=annotations, images=images or {})


@pytest.mark.parametrize(
    ("annotation", "labels", "owner", "name"),
    [
        ("told", {"app.kubernetes.io/instance": "chat-blue", "app.kubernetes.io/name": "vllm"}, OWNER, "told"),
        ("", {"app.kubernetes.io/instance": "chat-blue", "app.kubernetes.io/name": "vllm"}, OWNER, "chat-blue"),
        ("", {"app.kubernetes.io/name": "vllm"}, OWNER, "vllm"),
        ("", {}, OWNER, "chat"),
        ("", {}, Owner("ns", "alone"), "alone"),
    ],
)
def test_the_name_of_a_service(annotation: str, labels: dict[str, str], owner: Owner, name: str) -> None:
    """The first that is there wins; an empty one is not there."""
    annotations = {"resource.opentelemetry.io/service.name": annotation}
    assert describe_service(pod(labels, annotations), owner, "main")["service.name"] == name


def test_annotations_stand_over_labels_and_pods() -> None:
    """Each of the four may be told, and every other attribute with the prefix is taken as well."""
    told = {
        "service.name": "n",
        "service.namespace": "s",
        "service.version": "v",
        "service.instance.id": "i",
        "deployment.environment.name": "blue",
    }
    annotations = {f"resource.opentelemetry.io/{key}": value for key, value in told.items()} | {
        "resource.opentelemetry.io/": "nothing",
        "example.com/service.name": "another's",
    }
    assert describe_service(pod({"app.kubernetes.io/version": "9"}, annotations), OWNER, "main") == told


def test_without_annotations_the_pod_says_it() -> None:
    """Namespace, instance and version follow from the pod; the container counts where it is known."""
    of_pod = pod({}, {}, {"main": f"ghcr.io:443/vllm/vllm:0.32.0@{DIGEST}", "side": "proxy:2"})
    assert describe_service(of_pod, OWNER, "main") == {
        "service.name": "chat",
        "service.namespace": "ns",
        "service.version": f"0.32.0@{DIGEST}",
        "service.instance.id": "ns.chat-7d9f-x.main",
    }
    unknown = describe_service(of_pod, OWNER, "")
    assert (unknown["service.instance.id"], unknown["service.version"]) == ("ns.chat-7d9f-x", "")
    assert describe_service(None, OWNER, "")["service.version"] == ""
    assert describe_service(pod({}, {}, {"main": "vllm:1"}), OWNER, "")["service.version"] == "1"


def test_the_label_stands_over_the_image() -> None:
    """The version that the chart wrote is the one that people know."""
    of_pod = pod({"app.kubernetes.io/version": "9"}, {}, {"main": "vllm:0.32.0"})
    assert describe_service(of_pod, OWNER, "main")["service.version"] == "9"


def test_a_pod_cannot_fill_every_request() -> None:
    """Of very many annotations a few become attributes, always the same ones, and never in the place of a service's."""
    annotations = {f"resource.opentelemetry.io/a{n:04}": "x" for n in range(500)}
    made = describe_service(pod({}, annotations), OWNER, "main")
    assert len(made) == 32 + 4
    assert made["service.name"] == "chat"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:v0.32.0", "v0.32.0"),
        ("localhost:5000/vllm", ""),
        ("localhost:5000/vllm:1", "1"),
        (f"vllm@{DIGEST}", DIGEST),
        (f"localhost:5000/vllm:1@{DIGEST}", f"1@{DIGEST}"),
        ("", ""),
    ],
)
def test_the_version_of_an_image(image: str, version: str) -> None:
    """Tag and digest, whichever are there; a registry's port is no tag."""
    assert read_version(image) == version
