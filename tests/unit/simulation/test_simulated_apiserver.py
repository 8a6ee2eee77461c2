# SPDX-License-Identifier: Apache-2.0
"""The simulated API server over real HTTP: list, watch, claims."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from inferometer.simulation import apiserver
from inferometer.simulation.node import SimulatedNode

PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dsimulated-node"


def connect(node: SimulatedNode) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(node.endpoints.api_server).netloc, timeout=30)


def get(node: SimulatedNode, path: str) -> tuple[int, Any]:
    with closing(connect(node)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def watch(node: SimulatedNode, query: str) -> Iterator[dict[str, Any]]:
    with closing(connect(node)) as connection:
        connection.request("GET", f"{PODS}&watch=1&{query}")
        with connection.getresponse() as response:
            while line := response.readline():
                yield json.loads(line)


def test_the_list_has_the_ledger_s_pods(node: SimulatedNode) -> None:
    """UID, name, team, owner and engine port of each pod, marked as simulated."""
    status, pods = get(node, PODS)
    ledger = node.ledger()
    assert (status, pods["kind"]) == (200, "PodList")
    ports = {e.pod_uid: str(e.port) for e in ledger.engines}
    told = [
        (m["namespace"], m["name"], m["uid"], m["labels"]["team"], m["annotations"].get("inferometer/port"))
        for m in (item["metadata"] for item in pods["items"])
    ]
    assert told == [(p.namespace, p.name, p.uid, p.team, ports.get(p.uid)) for p in ledger.pods]
    assert {item["metadata"]["labels"]["inferometer.simulated"] for item in pods["items"]} == {"true"}
    assert {item["status"]["podIP"] for item in pods["items"]} == {"127.0.0.1"}


def test_pods_of_a_deployment_are_owned_by_its_replica_set(node: SimulatedNode) -> None:
    """The name of the Deployment has to be worked out, as in a real cluster; other kinds own their pods."""
    owners = {
        item["metadata"]["name"]: [(o["kind"], o["name"]) for o in item["metadata"].get("ownerReferences", [])]
        for item in get(node, PODS)[1]["items"]
    }
    assert owners["chat-6f9c7d5b8d-x7k2p"] == [("ReplicaSet", "chat-6f9c7d5b8d")]
    assert owners["guard-0"] == [("StatefulSet", "guard")]
    assert owners["nightly-eval-lq8rn"] == [("Job", "nightly-eval")]
    assert owners["dev-shell"] == []


def test_pods_of_another_node_are_not_there(node: SimulatedNode) -> None:
    """The field selector counts."""
    assert get(node, "/api/v1/pods?fieldSelector=spec.nodeName%3Delsewhere")[1]["items"] == []


def test_a_watch_tells_what_happens_after_the_list(node: SimulatedNode) -> None:
    """A death and a birth after the list's version arrive as events, each with a newer version."""
    version = get(node, PODS)[1]["metadata"]["resourceVersion"]
    events = watch(node, f"resourceVersion={version}&timeoutSeconds=30")
    node.pod_dies("guard")
    died = next(events)
    uid = node.pod_starts("guard")
    born = next(events)
    events.close()  # type: ignore[attr-defined]  # a generator
    assert (died["type"], died["object"]["metadata"]["name"]) == ("DELETED", "guard-0")
    assert (born["type"], born["object"]["metadata"]["uid"]) == ("ADDED", uid)
    versions = [int(v) for v in (version, *(e["object"]["metadata"]["resourceVersion"] for e in (died, born)))]
    assert versions == sorted(set(versions))


def test_a_watch_from_nowhere_begins_with_what_is_there(node: SimulatedNode) -> None:
    """Without a version every pod is first told as added; the watch ends when its time is over."""
    events = list(watch(node, "timeoutSeconds=0.1"))
    assert [e["object"]["metadata"]["name"] for e in events] == [p.name for p in node.ledger().pods]


def test_bookmarks_come_when_asked_for(node: SimulatedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bookmark carries a version and no pod."""
    monkeypatch.setattr(apiserver, "BOOKMARK_PERIOD", 0.05)
    version = get(node, PODS)[1]["metadata"]["resourceVersion"]
    events = watch(node, f"resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=30")
    first = next(events)
    events.close()  # type: ignore[attr-defined]  # a generator
    assert (first["type"], first["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", version)


def test_a_version_that_is_too_old_is_gone(node: SimulatedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher is told 410 and has to list again."""
    monkeypatch.setattr(apiserver, "KEPT", 10)  # the scenario has recorded as many
    (event,) = watch(node, "resourceVersion=1&timeoutSeconds=30")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_claims_tell_what_the_kubelet_does_not(node: SimulatedNode) -> None:
    """Request, device and users of a claim; an unknown one is not found."""
    base = "/apis/resource.k8s.io/v1/namespaces/search/resourceclaims"
    status, claim = get(node, f"{base}/search-gpu")
    holdings = [h for h in node.ledger().holdings if h.claim_name == "search-gpu"]
    assert status == 200
    assert {h.claim_uid for h in holdings} == {claim["metadata"]["uid"]}
    (result,) = claim["status"]["allocation"]["devices"]["results"]
    assert (result["request"], result["device"]) == (holdings[0].request, "gpu-5")
    assert [u["uid"] for u in claim["status"]["reservedFor"]] == [h.pod_uid for h in holdings]
    assert get(node, f"{base}/nothing")[0] == 404
    assert len(get(node, "/apis/resource.k8s.io/v1/resourceclaims")[1]["items"]) == 3


def test_what_it_does_not_serve_is_an_error_in_json(node: SimulatedNode) -> None:
    """Unknown paths and parameters that are no numbers are refused, and the connection stays usable."""
    assert get(node, "/api/v1/secrets")[0] == 404
    assert get(node, f"{PODS}&watch=1&resourceVersion=junk")[0] == 400
    assert get(node, "/version")[1]["gitVersion"].endswith("simulated")
