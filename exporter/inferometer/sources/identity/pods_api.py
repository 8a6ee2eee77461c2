# SPDX-License-Identifier: Apache-2.0
"""This node's pods, listed and watched at the API server."""

import json
import os
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from inferometer import config
from inferometer.client import Client
from inferometer.model import Reason, Trouble
from inferometer.sources.identity.apiserver import connect, server_url
from inferometer.sources.identity.following import Following
from inferometer.sources.identity.pod_list import read_pod_list, refusal
from inferometer.sources.identity.traffic import Traffic
from inferometer.wire import shown

WATCH_TIME = (300, 600)  # seconds that a watch is asked to last, as client-go asks
IDLE = 150.0  # seconds of silence on a watch; the API server sends a bookmark about every minute
GRANT = 'grant a ClusterRole with apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]'
KEY = "identity.pods.server"


class PodsOfApiServer:
    """Lists once and then watches: a `following.Way`. Only pods with this node's name are ever asked for."""

    name = "api"

    def __init__(
        self,
        config: config.Pods,
        node_name: str,
        traffic: Traffic | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._config = config
        self._node_name = node_name
        self._traffic = traffic
        self._server = server_url(config, environ)
        self.place = shown(self._server)
        self.idle = IDLE
        self._client: Client | None = None
        self._closed = False
        self._version = ""  # resourceVersion to watch from; empty: list first
        self._cached = True  # whether the API server may list from its cache

    def follow(self, following: Following) -> None:
        """List if need be, then watch until something breaks or the watch will not last."""
        client = self._connect()
        try:
            if not self._version:
                self._list(client, following)
            while not following.ended:
                began = time.monotonic()
                self._watch(client, following)
                if time.monotonic() - began < following.backoff[0]:
                    return  # a server that ends each watch at once must not be asked in a loop
                following.lasts()
        except _Gone:
            self._version, self._cached = "", False
        finally:
            client.close()

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    def _connect(self) -> Client:
        """Make a client; with each attempt, so that a renewed CA file counts."""
        if not self._node_name:
            raise Trouble(Reason.MISSING, "pods: this node's name is not known", "set NODE_NAME from spec.nodeName")
        self._client = client = connect(self._config, self._server, self._traffic)
        if self._closed:
            client.close()
        return client

    def _list(self, client: Client, following: Following) -> None:
        # resourceVersion=0 lets the API server answer from its watch cache instead of asking etcd for each node.
        url = self._url(resourceVersion="0") if self._cached else self._url()
        # The watch has a connection of its own; this one would idle for hours.
        pods, version = read_pod_list(client, url, following, GRANT, KEY, headers={"Connection": "close"})
        if not version:
            raise self._malformed("a list without a resourceVersion")
        following.replace(pods)
        self._version, self._cached = version, True

    def _watch(self, client: Client, following: Following) -> None:
        """Follow one watch to its end. Raises _Gone when the version is too old to watch from."""
        lasting = str(random.randint(*WATCH_TIME))  # noqa: S311  # spread over the nodes, no secret
        url = self._url(watch="true", resourceVersion=self._version, allowWatchBookmarks="true", timeoutSeconds=lasting)
        stream = client.lines(url, idle=self.idle)
        try:
            if stream.status == 410:
                raise _Gone
            if stream.status != 200:
                raise refusal(self.place, stream.status, "", stream.headers, GRANT)
            following.well()
            for line in stream:
                try:
                    self._apply(self._decode(line), following)
                except Trouble:
                    self._version = ""
                    raise
                following.lasts()
        except Trouble as trouble:
            if trouble.reason is Reason.TOO_LARGE:
                self._version = ""  # from the same version the same event would come again
            raise
        finally:
            stream.close()

    def _apply(self, event: Mapping[str, Any], following: Following) -> None:
        """Take one watch event in (metav1.WatchEvent)."""
        kind, told = event.get("type"), event.get("object")
        if not isinstance(told, dict):
            raise self._malformed("a watch event without an object")
        if kind == "ERROR":
            if told.get("code") == 410:
                raise _Gone
            raise refusal(self.place, told.get("code"), str(told.get("message", "")), {}, GRANT)
        metadata = told.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(version, str) or kind not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
            raise self._malformed("a watch event of an unknown form")
        pod = following.project(told) if kind != "BOOKMARK" else None
        if pod is not None and kind == "DELETED":
            following.drop(pod.uid)
        elif pod is not None:
            following.put(pod)
        self._version = version

    def _url(self, **query: str) -> str:
        return f"{self._server}/api/v1/pods?" + urlencode(
            {"fieldSelector": f"spec.nodeName={self._node_name}", **query}
        )

    def _decode(self, line: bytes) -> Mapping[str, Any]:
        try:
            decoded = json.loads(line)
        except (ValueError, RecursionError):
            raise self._malformed("a watch event that is no JSON") from None
        if not isinstance(decoded, dict):
            raise self._malformed("a watch event of an unknown form")
        return decoded

    def _malformed(self, what: str) -> Trouble:
        return Trouble(Reason.MALFORMED, f"{self.place}: {what}", f"see whether {KEY} is a Kubernetes API server")


class _Gone(Exception):  # noqa: N818  # 410 Gone, an ordinary turn of a watch
    """The API server no longer has the version to watch from."""
