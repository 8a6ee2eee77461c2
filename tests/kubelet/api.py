# SPDX-License-Identifier: Apache-2.0
"""A small API server over HTTPS: lists and watches pods by node, with versions, bookmarks and faults; gives claims and nodes by name, and watches a node."""

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubelet.certificates import Certificates
from kubelet.secured import Secured

CLAIMS = "/apis/resource.k8s.io/v1"
NODES = "/api/v1/nodes"


class ApiServer(Secured):
    """Pods by name, an event log, and one fault at a time for lists and one for watches.

    `slices` are ResourceSlices, listed by node. A fault is a status to answer with, or `hang`, `html`, `endless`; None is none. `claims` and `nodes` are by path, and
    `claims_asked` and `nodes_asked` the paths that were asked for.
    """

    def __init__(self, certificates: Certificates, token: str = "a-token", pods: tuple[Any, ...] = ()) -> None:
        self.token = token
        self.list_fault: int | str | None = None
        self.watch_fault: int | str | None = None
        self.retry_after = ""  # header of whatever is answered
        self.claim_fault: int | str | None = None
        self.claims: dict[str, Any] = {}
        self.claims_asked: list[str] = []
        self.slice_fault: int | str | None = None
        self.slices: list[Any] = []
        self.slices_version = 0  # of the list; 0 is none
        self.slices_asked: list[dict[str, str]] = []
        self.node_fault: int | str | None = None
        self.nodes: dict[str, Any] = {}
        self.nodes_asked: list[str] = []
        self.nodes_watched: list[dict[str, str]] = []
        self.node_watch_fault: int | str | None = None
        self.asked: list[dict[str, str]] = []
        self.change = threading.Condition()
        self.generation = 0  # of watches: they end when it changes
        self.cut = False  # whether they end in the middle of a chunk
        self._pods: dict[str, Any] = {}
        self._events: list[tuple[int, str]] = []
        self._version = 100
        self._oldest = 100
        for pod in pods:
            self.put(pod)
        api = self

        class Handler(_Handler):
            server_api = api

        super().__init__(certificates, Handler)

    def put(self, pod: Any) -> None:
        """Add or change a pod."""
        name = pod["metadata"]["name"]
        self._tell("MODIFIED" if name in self._pods else "ADDED", pod)
        self._pods[name] = pod

    def put_claim(self, claim: Any) -> None:
        """Add or change a ResourceClaim."""
        metadata = claim["metadata"]
        self.claims[f"{CLAIMS}/namespaces/{metadata['namespace']}/resourceclaims/{metadata['name']}"] = claim

    def put_node(self, name: str, annotations: dict[str, str] | None) -> None:
        """Add a node, or change its annotations."""
        node = {"kind": "Node", "metadata": {"name": name, "annotations": annotations}}
        self._tell("MODIFIED", node)
        self.nodes[f"{NODES}/{name}"] = node

    def delete(self, name: str) -> None:
        self._tell("DELETED", self._pods.pop(name))

    def bookmark(self) -> None:
        self._tell("BOOKMARK", {"kind": "Pod", "metadata": {}})

    def send(self, event: str) -> None:
        """Put any text into the watches, as an event."""
        with self.change:
            self._version += 1
            self._events.append((self._version, event))
            self.change.notify_all()

    def forget(self) -> None:
        """Compact the log: whoever watches from an older version is told 410."""
        with self.change:
            self._version += 1
            self._oldest = self._version
            self._events.clear()

    def end_watches(self, *, cut: bool = False) -> None:
        """End the watches that are open, cleanly or in the middle."""
        with self.change:
            self.cut = cut
            self.generation += 1
            self.change.notify_all()

    def count(self, *, watch: bool) -> int:
        """How many lists or watches were asked for."""
        return sum(("watch" in query) is watch for query in self.asked)

    def close(self) -> None:
        """End all watches, and let nobody in any more."""
        self.end_watches()
        super().close()

    def _tell(self, kind: str, told: Any) -> None:
        with self.change:
            self._version += 1
            told["metadata"]["resourceVersion"] = str(self._version)
            self._events.append((self._version, json.dumps({"type": kind, "object": told})))
            self.change.notify_all()

    def listed(self, node: str) -> bytes:
        with self.change:
            items = [pod for pod in self._pods.values() if pod["spec"].get("nodeName") == node]
            metadata = {"resourceVersion": str(self._version)}
            return json.dumps({"kind": "PodList", "metadata": metadata, "items": items or None}).encode()

    def is_gone(self, version: str) -> bool:
        return int(version) < self._oldest

    def after(self, version: int, generation: int, until: float) -> list[tuple[int, str]] | None:
        """Wait for events newer than `version`; None when the watch is over."""
        with self.change:
            while True:
                if self.generation != generation or time.monotonic() >= until:
                    return None
                if newer := [event for event in self._events if event[0] > version]:
                    return newer
                self.change.wait(max(0.0, until - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart
    server_api: ApiServer
    timeout = 30

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        api, parts = self.server_api, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        try:
            if parts.path == f"{CLAIMS}/resourceslices":
                api.slices_asked.append(query)
                node = query.get("fieldSelector", "").removeprefix("spec.nodeName=")
                items = [each for each in api.slices if each["spec"].get("nodeName") == node]
                metadata = {"resourceVersion": str(api.slices_version)} if api.slices_version else {}
                listed = {parts.path: {"metadata": metadata, "items": items or None}}
                self._answer_one(api, parts.path, listed, api.slice_fault)
            elif parts.path.startswith(f"{CLAIMS}/"):
                api.claims_asked.append(parts.path)
                self._answer_one(api, parts.path, api.claims, api.claim_fault)
            elif parts.path == NODES and "watch" in query:
                api.nodes_watched.append({**query, "accept": self.headers.get("Accept", "")})
                if isinstance(api.node_watch_fault, int):
                    self._status(api.node_watch_fault, "told to")
                else:
                    name = query["fieldSelector"].removeprefix("metadata.name=")
                    self._watch(api, int(query["resourceVersion"]), float(query["timeoutSeconds"]), name)
            elif parts.path.startswith(f"{NODES}/"):
                api.nodes_asked.append(parts.path)
                self._answer_one(api, parts.path, api.nodes, api.node_fault)
            else:
                api.asked.append(query)
                self._answer(api, parts.path, query)
        except (OSError, ssl.SSLError):
            self.close_connection = True

    def _answer(self, api: ApiServer, path: str, query: dict[str, str]) -> None:
        watching = "watch" in query
        fault = api.watch_fault if watching else api.list_fault
        node = query.get("fieldSelector", "").removeprefix("spec.nodeName=")
        if self.headers.get("Authorization") != f"Bearer {api.token}":
            self._status(401, "Unauthorized")
        elif path != "/api/v1/pods":
            self._status(404, "the server could not find the requested resource")
        elif isinstance(fault, int):
            self._status(fault, "told to")
        elif fault == "hang":
            self.connection.recv(1)
        elif fault == "html":
            self._whole(200, b"<html><body>Sign in</body></html>", "text/html")
        elif fault == "endless":
            self._begin_chunks()
            while True:
                self._chunk(b'{"items": [' + b" " * 65536)
        elif not watching:
            self._whole(200, api.listed(node), "application/json")
        elif api.is_gone(query["resourceVersion"]):
            self._status(410, "too old resource version")
        else:
            self._watch(api, int(query["resourceVersion"]), float(query["timeoutSeconds"]))

    def _answer_one(self, api: ApiServer, path: str, things: dict[str, Any], fault: int | str | None) -> None:
        if self.headers.get("Authorization") != f"Bearer {api.token}":
            self._status(401, "Unauthorized")
        elif isinstance(fault, int):
            self._status(fault, "told to")
        elif fault == "html":
            self._whole(200, b"<html><body>Sign in</body></html>", "text/html")
        elif fault == "unserved":
            self._status(404, "the server could not find the requested resource")
        elif path not in things:
            self._status(404, "not found")
        else:
            self._whole(200, json.dumps(things[path]).encode(), "application/json")

    def _watch(self, api: ApiServer, version: int, lasting: float, node: str = "") -> None:
        generation, until = api.generation, time.monotonic() + lasting
        self._begin_chunks()
        while (events := api.after(version, generation, until)) is not None:
            for _, event in events:
                of_node = '"kind": "Node"' in event
                if (of_node and (not node or f'"name": "{node}"' not in event)) or (node and '"spec"' in event):
                    continue  # of another node, or one where pods are watched, or the other way round
                self._chunk(event.encode("utf-8", "surrogateescape") + b"\n")
            version = events[-1][0]
        if api.cut:
            self.wfile.write(b"ff\r\n{")
            self.close_connection = True
        else:
            self._chunk(b"")

    def _status(self, code: int, message: str) -> None:
        self._whole(code, json.dumps({"kind": "Status", "code": code, "message": message}).encode(), "application/json")

    def _whole(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server_api.retry_after:
            self.send_header("Retry-After", self.server_api.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def _begin_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
