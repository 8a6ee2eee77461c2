# SPDX-License-Identifier: Apache-2.0
"""One annotation of this node, asked of the API server and then watched: whether an operator wants it so."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from inferometer import config
from inferometer.client import Client
from inferometer.model import Reason, Trouble
from inferometer.sources.identity.apiserver import connect, server_url
from inferometer.sources.identity.node_watch import METADATA, NodeWatch, is_true
from inferometer.sources.identity.traffic import Traffic
from inferometer.wire import shown

PERIOD = 10.0  # seconds between two questions, or the agent's period where that is longer
UNWATCHED = 600.0  # seconds until a watch that was refused is tried again
GRANT = 'grant a ClusterRole with apiGroups: [""], resources: ["nodes"], verbs: ["get", "watch"]'

Tell = Callable[[bool | None], None]


class Node:
    """Whether an annotation of this node is `true`: a `model.Source[bool]`.

    It is asked for once, and then watched, so that a change is heard at once; while there is no watch it is asked for at
    every read. `tell` is given every answer and every change, at each read what is known, and None for a question without
    an answer.
    """

    name = "node"
    instance = ""

    def __init__(
        self,
        config: config.Pods,
        node_name: str,
        annotation: str,
        period: float,
        tell: Tell,
        traffic: Traffic | None = None,
    ) -> None:
        self.period = max(period, PERIOD)
        self.deadline = float(config.deadline)
        self._config = config
        self._node_name = node_name
        self._annotation = annotation
        self._server = server_url(config)
        self._tell = tell
        self._traffic = traffic
        self._client: Client | None = None
        self._watch: NodeWatch | None = None
        self._unwatched_until = 0.0  # monotonic
        self._closed = False

    def read(self) -> bool:
        """Give what the watch heard last, or ask.

        Raises:
            Trouble: MISSING without an API server or node; PERMISSION names the rule that is missing; what `Client` raises.
        """
        if self._watch is not None and self._watch.lasts:
            return self._watch.renew()
        if self._watch is not None and self._watch.refused:
            self._unwatched_until = time.monotonic() + UNWATCHED
        self._watch = None
        wanted, version = None, ""
        try:
            wanted, version = self._ask()
        finally:
            self._tell(wanted)
        if version and time.monotonic() >= self._unwatched_until:
            self._begin_to_watch(version, wanted=wanted)
        return wanted

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        if self._client is not None:
            self._client.close()
        if self._watch is not None:
            self._watch.close()

    def _begin_to_watch(self, version: str, *, wanted: bool) -> None:
        # The watch has a connection of its own; the one that was asked by would idle for hours.
        client, self._client = self._client or connect(self._config, self._server, self._traffic), None
        self._watch = NodeWatch(
            client, self._server, self._node_name, self._annotation, version=version, wanted=wanted, tell=self._tell
        )
        if self._closed:
            self._watch.close()

    def _ask(self) -> tuple[bool, str]:
        """Give whether it is true, and of which resourceVersion of the node."""
        self._client = self._client or connect(self._config, self._server, self._traffic)
        url = f"{self._server}/api/v1/nodes/{quote(self._node_name, safe='')}"
        response = self._client.get(url, accept=METADATA)
        place = f"{shown(self._server)}: node {self._node_name}"
        if response.status == 404:
            raise Trouble(Reason.MISSING, f"{place}: there is none of that name", "set NODE_NAME from spec.nodeName")
        if response.status in {401, 403}:
            raise Trouble(Reason.PERMISSION, f"{place}: {response.status}: reading it is not allowed", GRANT)
        if response.status != 200:
            raise Trouble(Reason.REJECTED, f"{place}: {response.status}", "see the API server's log")
        try:
            node = json.loads(response.body)
            return is_true(node, self._annotation), _version(node)
        except (ValueError, RecursionError):
            message = f"{place}: the answer has no form that is known"
            raise Trouble(Reason.MALFORMED, message, "see whether identity.pods.server is an API server") from None


def _version(node: Any) -> str:
    """Give an object's resourceVersion; "" where there is none to watch from."""
    version = node["metadata"].get("resourceVersion")
    return version if isinstance(version, str) else ""
