# SPDX-License-Identifier: Apache-2.0
"""This node's pods, listed and watched at the API server: UID, labels, owner, containers and ports."""

import json
import random
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from inferometer import config
from inferometer.client import Client, Response
from inferometer.model import Binding, Pod, Reason, Trouble
from inferometer.sources.identity.apiserver import available, connect, server_url
from inferometer.sources.identity.projection import project
from inferometer.wire import shown

__all__ = ["BINDINGS", "Pods", "available"]

MOST_PODS = 5_000  # a kubelet runs 110 by default; more than this is no node's list
WATCH_TIME = (300, 600)  # seconds that a watch is asked to last, as client-go asks
IDLE = 150.0  # seconds of silence on a watch; the API server sends a bookmark about every minute
BACKOFF = (1.0, 30.0)  # seconds: the first and the longest pause between two attempts
GRANT = 'grant a ClusterRole with apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]'

BINDINGS: tuple[Binding, ...] = ()  # what the API server adds is attributes of other sources' metrics


class Pods:
    """The newest state of this node's pods: a `model.Source[tuple[Pod, ...]]`.

    A thread of its own lists once and then watches. `read` gives the cache, and raises while list or watch is broken:
    for how long an old answer may stand in is the board's to say, not ours.
    """

    name = "pods"
    instance = ""

    def __init__(self, config: config.Pods, node_name: str, period: float) -> None:
        self.period = period
        self.deadline = float(config.deadline)
        self._config = config
        self._node_name = node_name
        self._server = server_url(config)
        self._place = shown(self._server)
        self._idle = IDLE
        self._backoff = BACKOFF
        self._change = threading.Condition()
        self._pods: dict[str, Pod] | None = None  # by UID; None until the first list
        self._sorted: tuple[Pod, ...] | None = None
        self._trouble: Trouble | None = None
        self._client: Client | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        # Of the thread alone:
        self._version = ""  # resourceVersion to watch from; empty: list first
        self._cached = True  # whether the API server may list from its cache
        self._failures = 0

    def read(self) -> tuple[Pod, ...]:
        """Give the pods, sorted by namespace and name. The first call waits for the first list.

        Raises:
            Trouble: what list or watch is suffering from now.
        """
        with self._change:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pods", daemon=True)
                self._thread.start()
            self._change.wait_for(lambda: self._pods is not None or self._trouble is not None, self.deadline)
            if self._trouble is not None:
                raise self._trouble.bare()
            if self._pods is None:
                message = f"{self._place}: no list of pods within {self.deadline:g} s"
                raise Trouble(Reason.TIMEOUT, message, "see whether the API server answers")
            if self._sorted is None:
                self._sorted = tuple(sorted(self._pods.values(), key=lambda pod: (pod.namespace, pod.name, pod.uid)))
            return self._sorted

    def close(self) -> None:
        """End the thread and its connections."""
        self._ended.set()
        with self._change:
            client, thread = self._client, self._thread
        if client is not None:
            client.close()
        if thread is not None:
            thread.join(1.0)  # it may be resolving a name; it is a daemon

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow()
            except _Gone:
                self._version, self._cached = "", False
            except Trouble as trouble:
                self._say(trouble)
            except Exception as error:
                self._say(Trouble(Reason.INTERNAL, f"pods: {type(error).__name__}: {error}", "report it"))
            self._failures += 1
            first, longest = self._backoff
            pause = min(longest, first * 2.0 ** min(self._failures - 1, 16))
            self._ended.wait(random.uniform(pause / 2, pause))  # noqa: S311  # jitter against a herd, no secret

    def _follow(self) -> None:
        """List if need be, then watch until something breaks or the watch will not last."""
        client = self._connect()
        try:
            if not self._version:
                self._list(client)
            while not self._ended.is_set():
                began = time.monotonic()
                self._watch(client)
                if time.monotonic() - began < self._backoff[0]:
                    return  # a server that ends each watch at once must not be asked in a loop
                self._failures = 0
        finally:
            client.close()

    def _connect(self) -> Client:
        """Make a client; with each attempt, so that a renewed CA file counts."""
        if not self._node_name:
            raise Trouble(Reason.MISSING, "pods: this node's name is not known", "set NODE_NAME from spec.nodeName")
        client = connect(self._config, self._server)
        with self._change:
            self._client = client
        if self._ended.is_set():
            client.close()
        return client

    def _list(self, client: Client) -> None:
        # resourceVersion=0 lets the API server answer from its watch cache instead of asking etcd for each node.
        url = self._url(resourceVersion="0") if self._cached else self._url()
        # The watch has a connection of its own; this one would idle for hours.
        try:
            response = client.get(url, accept="application/json", headers={"Connection": "close"})
        except Trouble as trouble:
            if trouble.reason is not Reason.TOO_LARGE:
                raise
            raise Trouble(trouble.reason, trouble.message, "Raise identity.pods.max_body.") from None
        if response.status != 200:
            raise self._refusal(response.status, _status_message(response))
        listed = self._decode(response.body)
        items, metadata = listed.get("items"), listed.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(items, list | None) or not isinstance(version, str):
            raise self._malformed("a list without items or resourceVersion")
        del response
        pods = self._projected(items or [])  # Go writes an empty list as null
        self._version, self._cached = version, True
        with self._change:
            self._pods, self._sorted, self._trouble = pods, None, None
            self._change.notify_all()

    def _projected(self, items: list[Any]) -> dict[str, Pod]:
        if len(items) > MOST_PODS:
            raise self._too_many()
        try:
            pods = [project(item) for item in items]
        except ValueError as error:
            raise self._malformed(str(error)) from None
        return {pod.uid: pod for pod in pods}

    def _watch(self, client: Client) -> None:
        """Follow one watch to its end. Raises _Gone when the version is too old to watch from."""
        lasting = str(random.randint(*WATCH_TIME))  # noqa: S311  # spread over the nodes, no secret
        url = self._url(watch="true", resourceVersion=self._version, allowWatchBookmarks="true", timeoutSeconds=lasting)
        stream = client.lines(url, idle=self._idle)
        try:
            if stream.status == 410:
                raise _Gone
            if stream.status != 200:
                raise self._refusal(stream.status, "")
            with self._change:
                self._trouble = None
            for line in stream:
                try:
                    self._apply(self._decode(line))
                except Trouble:
                    self._version = ""
                    raise
                self._failures = 0
        except Trouble as trouble:
            if trouble.reason is Reason.TOO_LARGE:
                self._version = ""  # from the same version the same event would come again
            raise
        finally:
            stream.close()

    def _apply(self, event: Mapping[str, Any]) -> None:
        """Take one watch event into the cache (metav1.WatchEvent)."""
        kind, told = event.get("type"), event.get("object")
        if not isinstance(told, dict):
            raise self._malformed("a watch event without an object")
        if kind == "ERROR":
            if told.get("code") == 410:
                raise _Gone
            raise self._refusal(told.get("code"), str(told.get("message", "")))
        metadata = told.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(version, str) or kind not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
            raise self._malformed("a watch event of an unknown form")
        if kind != "BOOKMARK":
            try:
                self._take(project(told), present=kind != "DELETED")
            except ValueError as error:
                raise self._malformed(str(error)) from None
        self._version = version

    def _take(self, pod: Pod, *, present: bool) -> None:
        with self._change:
            pods = {} if self._pods is None else self._pods
            if present:
                pods[pod.uid] = pod
            else:
                pods.pop(pod.uid, None)
            self._pods, self._sorted = pods, None
        if len(pods) > MOST_PODS:
            raise self._too_many()

    def _say(self, trouble: Trouble) -> None:
        with self._change:
            self._trouble = trouble.bare()
            self._change.notify_all()

    def _url(self, **query: str) -> str:
        return f"{self._server}/api/v1/pods?" + urlencode(
            {"fieldSelector": f"spec.nodeName={self._node_name}", **query}
        )

    def _decode(self, text: bytes) -> Mapping[str, Any]:
        try:
            decoded = json.loads(text)
        except (ValueError, RecursionError):
            what = "HTML" if text.lstrip()[:1] == b"<" else "no JSON"
            raise self._malformed(f"{what} where a list of pods was asked for") from None
        if not isinstance(decoded, dict):
            raise self._malformed("JSON of another form than a list of pods")
        return decoded

    def _malformed(self, what: str) -> Trouble:
        remedy = "see whether identity.pods.server is a Kubernetes API server"
        return Trouble(Reason.MALFORMED, f"{self._place}: {what}", remedy)

    def _too_many(self) -> Trouble:
        remedy = "see whether the API server honours fieldSelector spec.nodeName"
        return Trouble(Reason.TOO_LARGE, f"{self._place}: more than {MOST_PODS} pods for one node", remedy)

    def _refusal(self, status: Any, message: str) -> Trouble:
        text = f"{self._place}: {status}{': ' if message else ''}{message[:300]}"
        if status == 401:
            return Trouble(Reason.PERMISSION, f"{text}: the token is not accepted", "renew identity.pods.token_file")
        if status == 403:
            return Trouble(Reason.PERMISSION, f"{text}: listing and watching pods is not allowed", GRANT)
        return Trouble(Reason.REJECTED, text, "see the API server's log")


class _Gone(Exception):  # noqa: N818  # 410 Gone, an ordinary turn of a watch
    """The API server no longer has the version to watch from."""


def _status_message(response: Response) -> str:
    """Give the message of a metav1.Status, if the body is one."""
    try:
        return str(json.loads(response.body).get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""
