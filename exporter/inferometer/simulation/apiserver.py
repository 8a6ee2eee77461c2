# SPDX-License-Identifier: Apache-2.0
"""The simulated API server: list and watch of this node's pods, claims by name, version; JSON over HTTP.

Source: Kubernetes API concepts, "Efficient detection of changes": a list carries a resourceVersion, a watch from it
answers one JSON event a line, BOOKMARK events carry nothing but a newer version, and a version that is too old is
answered by 410 Gone.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from inferometer.simulation.scenario import NODE
from inferometer.simulation.web import Exchange

BOOKMARK_PERIOD = 10.0  # seconds; a real one sends them about once a minute
WATCH_LIMIT = 300.0  # seconds that a watch lasts unless it says otherwise
KEPT = 500  # events

Objects = Callable[[], list[dict[str, Any]]]


class ApiServer:
    """Answers GET. `pods` and `claims` give the objects as they are now.

    `record` is to be called after each change of a pod, with the version that `next_version` gave.
    """

    def __init__(self, pods: Objects, claims: Objects) -> None:
        self._pods = pods
        self._claims = claims
        self._version = 100
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)
        self._changed = threading.Condition()

    @property
    def version(self) -> int:
        """The newest resourceVersion."""
        return self._version

    def next_version(self) -> int:
        """Take the version for a change that is about to be recorded."""
        with self._changed:
            self._version += 1
            return self._version

    def record(self, kind: str, pod: dict[str, Any]) -> None:
        """Tell the watchers: `kind` is ADDED, MODIFIED or DELETED."""
        with self._changed:
            self._events.append((int(pod["metadata"]["resourceVersion"]), {"type": kind, "object": pod}))
            self._changed.notify_all()

    def hang_up(self) -> None:
        """Wake the watchers so that they see that the server stopped."""
        with self._changed:
            self._changed.notify_all()

    def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        route, query = exchange.route, exchange.query
        if route == "/version":
            exchange.reply_json(200, {"major": "1", "minor": "36", "gitVersion": "v1.36.0-simulated"})
        elif route == "/api/v1/pods" and query.get("watch") in {"1", "true"}:
            self._watch(exchange, query)
        elif route == "/api/v1/pods":
            version = self.version  # before the objects: a change in between is then told twice, not never
            exchange.reply_json(200, _list("PodList", "v1", self._select(self._pods(), query), version))
        elif route.startswith("/apis/resource.k8s.io/v1/"):
            self._answer_claims(exchange, route)
        else:
            exchange.reply_json(404, _status(404, "NotFound", "the server could not find the requested resource"))

    def _answer_claims(self, exchange: Exchange, route: str) -> None:
        parts = route.removeprefix("/apis/resource.k8s.io/v1/").split("/")
        claims = self._claims()
        if parts == ["resourceclaims"]:
            exchange.reply_json(200, _list("ResourceClaimList", "resource.k8s.io/v1", claims, self.version))
            return
        wanted = ("namespaces", "resourceclaims")
        named = {(c["metadata"]["namespace"], c["metadata"]["name"]): c for c in claims}
        found = named.get((parts[1], parts[3])) if len(parts) == 4 and (parts[0], parts[2]) == wanted else None
        if found:
            exchange.reply_json(200, found)
        else:
            exchange.reply_json(404, _status(404, "NotFound", "resourceclaims not found"))

    def _select(self, pods: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        selector = query.get("fieldSelector", "")
        return [] if selector.startswith("spec.nodeName=") and selector != f"spec.nodeName={NODE}" else pods

    def _watch(self, exchange: Exchange, query: dict[str, str]) -> None:
        """Send events until the time is over, the client hangs up or the server stops."""
        since = int(query.get("resourceVersion") or 0)
        deadline = time.monotonic() + float(query.get("timeoutSeconds", WATCH_LIMIT))
        bookmarks = query.get("allowWatchBookmarks") in {"1", "true"}
        exchange.begin_stream("application/json")
        if self._is_too_old(since):
            _send(exchange, "ERROR", _status(410, "Expired", f"too old resource version: {since}"))
            exchange.send_chunk(b"")
            return
        if not since:
            since = self.version
            for pod in self._select(self._pods(), query):
                _send(exchange, "ADDED", pod)
        bookmark = time.monotonic() + BOOKMARK_PERIOD
        while not exchange.stopped.is_set() and time.monotonic() < deadline:
            with self._changed:
                events = [event for version, event in self._events if version > since]
                if not events and not exchange.stopped.is_set():
                    self._changed.wait(max(0.0, min(deadline, bookmark) - time.monotonic()))
            for event in events:
                since = int(event["object"]["metadata"]["resourceVersion"])
                if self._select([event["object"]], query):
                    _send(exchange, event["type"], event["object"])
            if bookmarks and time.monotonic() >= bookmark:
                _send(exchange, "BOOKMARK", _bookmark(since))
            if time.monotonic() >= bookmark:
                bookmark = time.monotonic() + BOOKMARK_PERIOD
        exchange.send_chunk(b"")

    def _is_too_old(self, since: int) -> bool:
        with self._changed:
            full = len(self._events) == KEPT
            return bool(since) and full and since < self._events[0][0] - 1


def _send(exchange: Exchange, kind: str, value: dict[str, Any]) -> None:
    exchange.send_chunk(json.dumps({"type": kind, "object": value}).encode() + b"\n")


def _bookmark(version: int) -> dict[str, Any]:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": None}, "status": {}}


def _list(kind: str, api: str, items: list[dict[str, Any]], version: int) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": api, "metadata": {"resourceVersion": str(version)}, "items": items}


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return body | {"message": message, "reason": reason, "code": code}
