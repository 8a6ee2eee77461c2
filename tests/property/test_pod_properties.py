# SPDX-License-Identifier: Apache-2.0
"""Properties of pods: the same by every way, whatever is in them; a list item by item is the list."""

import contextlib
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sources.identity.items import read_items
from inferometer.sources.identity.messages import read_event, read_list, read_pod
from inferometer.sources.identity.projection import project
from kubelet.pods import serialized

# Text as JSON may hold it and protobuf too: no half of a surrogate pair.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.just("x" * 2000)
NAMES = st.sampled_from(["a", "b", "c"]) | TEXT
CLAIMS = st.fixed_dictionaries({"name": NAMES}, optional={"request": TEXT})
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={
            "restartPolicy": st.sampled_from(["Always", "Never"]),
            "image": TEXT,
            "resources": st.fixed_dictionaries({"claims": st.lists(CLAIMS, max_size=3)}),
            "ports": st.lists(
                st.fixed_dictionaries(
                    {"containerPort": st.integers(-1, 1 << 17)},
                    optional={"name": TEXT, "protocol": st.sampled_from(["TCP", "UDP", "SCTP"])},
                ),
                max_size=2,
            ),
        },
    ),
    max_size=3,
)
STATUSES = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"containerID": TEXT | TEXT.map("containerd://{}".format)}),
    max_size=2,
)
WORDS = st.dictionaries(TEXT, TEXT, max_size=3)
PODS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"uid": NAMES, "namespace": NAMES, "name": NAMES},
            optional={
                "labels": WORDS,
                "annotations": WORDS,
                "ownerReferences": st.lists(
                    st.fixed_dictionaries({"kind": NAMES, "name": NAMES}, optional={"controller": st.booleans()}),
                    max_size=2,
                ),
            },
        )
    },
    optional={
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "nodeName": TEXT,
                "containers": CONTAINERS,
                "initContainers": CONTAINERS,
                "runtimeClassName": TEXT,
                "schedulerName": TEXT,
                "schedulingGroup": st.fixed_dictionaries({"podGroupName": TEXT}),
                "resourceClaims": st.lists(
                    st.fixed_dictionaries(
                        {"name": NAMES}, optional={"resourceClaimName": TEXT, "resourceClaimTemplateName": TEXT}
                    ),
                    max_size=3,
                ),
            },
        ),
        "status": st.fixed_dictionaries(
            {},
            optional={
                "phase": TEXT,
                "podIP": TEXT,
                "containerStatuses": STATUSES,
                "initContainerStatuses": STATUSES,
                "ephemeralContainerStatuses": STATUSES,
                "resourceClaimStatuses": st.lists(
                    st.fixed_dictionaries({"name": NAMES}, optional={"resourceClaimName": TEXT}), max_size=3
                ),
                "extendedResourceClaimStatus": st.fixed_dictionaries(
                    {
                        "resourceClaimName": TEXT,
                        "requestMappings": st.lists(
                            st.fixed_dictionaries({"containerName": NAMES, "resourceName": TEXT, "requestName": TEXT}),
                            max_size=2,
                        ),
                    }
                ),
            },
        ),
    },
)
KEYS = (
    "metadata",
    "spec",
    "status",
    "uid",
    "name",
    "namespace",
    "labels",
    "annotations",
    "containers",
    "claims",
    "items",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)


def projected(raw: Any) -> Any:
    try:
        return project(raw)
    except ValueError:
        return None


@given(PODS)
def test_both_ways(raw: Any) -> None:
    """The same pod as JSON and as protobuf is the same here."""
    assert projected(read_pod(serialized(raw))) == projected(json.loads(json.dumps(raw)))


@given(
    JSON,
    st.fixed_dictionaries({"uid": st.text(min_size=1), "namespace": st.text(min_size=1), "name": st.text(min_size=1)}),
)
def test_any_json(anything: Any, metadata: Any) -> None:
    """Whatever is said of a pod, it is a pod whose every text can be written as UTF-8."""
    raw = {"metadata": metadata, "spec": anything, "status": anything}
    if isinstance(anything, dict):
        raw["metadata"] = {**anything, **metadata}
    pod = project(raw)
    for field in fields(pod):
        repr(getattr(pod, field.name)).encode()
    "".join([pod.uid, pod.namespace, pod.name, *pod.labels, *pod.labels.values(), *pod.containers]).encode()


@given(st.binary(max_size=200))
def test_any_bytes(answer: bytes) -> None:
    """Any bytes are a list, an event and a pod, or are refused."""
    for read in (read_list, read_event):
        with contextlib.suppress(ValueError):
            read(answer)
    projected(read_pod(answer))


@given(
    st.lists(JSON, max_size=4), st.dictionaries(st.text(max_size=4), JSON, max_size=3), st.sampled_from([None, 0, 3])
)
def test_item_by_item(items: list[Any], rest: dict[str, Any], indent: int | None) -> None:
    """Item by item a list gives what it gives at once, however it is written."""
    rest.pop("items", None)
    found: list[Any] = []
    assert read_items(json.dumps({"a": 1, **rest, "items": items, "z": []}, indent=indent), found.append) == {
        "a": 1,
        **rest,
        "z": [],
    }
    assert found == items


@given(st.text(max_size=30) | JSON.map(json.dumps), st.integers(0, 200))
def test_any_text(text: str, cut: int) -> None:
    """What is no JSON object, or only half of one, is refused as the library refuses it."""
    text = text[:cut]
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    if isinstance(expected, dict):
        read_items(text, lambda _: None)
    else:
        with pytest.raises(ValueError):  # JSONDecodeError is one
            read_items(text, lambda _: None)


def test_null_items() -> None:
    """Go writes an empty list as null; anything else in its place is left for the caller to judge."""
    assert read_items('{"items": null}', lambda _: None) == {}
    assert read_items('{"items": 3}', lambda _: None) == {"items": 3}
    assert read_items(" { } ", lambda _: None) == {}


def test_no_utf8() -> None:
    """What is no UTF-8 in protobuf, which Go writes as it is, is replaced as in JSON, and costs no pod."""
    pod = serialized({"metadata": {"uid": "u", "namespace": "ns", "name": "p", "labels": {"team": "XX"}}})
    found = project(read_pod(pod.replace(b"XX", b"\xff\xfe")))
    assert found.labels == {"team": "\ufffd\ufffd"}
