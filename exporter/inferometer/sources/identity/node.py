# SPDX-License-Identifier: Apache-2.0
"""One annotation of this node, asked of the API server: whether an operator wants it so."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from inferometer import config
from inferometer.client import Client
from inferometer.model import Reason, Trouble
from inferometer.sources.identity.apiserver import connect, server_url
from inferometer.wire import shown

PERIOD = 10.0  # seconds between two questions, or the agent's period where that is longer
GRANT = 'grant a ClusterRole with apiGroups: [""], resources: ["nodes"], verbs: ["get"]'

# The metadata alone: the whole object lists every image of the node.
# Source: kubernetes.io/docs/reference/using-api/api-concepts, "Metadata-only fetches"; meta.k8s.io/v1 is in every release.
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

Tell = Callable[[bool | None], None]


class Node:
    """Whether an annotation of this node is `true`: a `model.Source[bool]`.

    `tell` is given every answer, and None for every question without one.
    """

    name = "node"
    instance = ""

    def __init__(self, config: config.Pods, node_name: str, annotation: str, period: float, tell: Tell) -> None:
        self.period = max(period, PERIOD)
        self.deadline = float(config.deadline)
        self._config = config
        self._node_name = node_name
        self._annotation = annotation
        self._server = server_url(config)
        self._tell = tell
        self._client: Client | None = None

    def read(self) -> bool:
        """Ask once.

        Raises:
            Trouble: MISSING without an API server or node; PERMISSION names the rule that is missing; what `Client` raises.
        """
        wanted: bool | None = None
        try:
            wanted = self._ask()
        finally:
            self._tell(wanted)
        return wanted

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()

    def _ask(self) -> bool:
        self._client = self._client or connect(self._config, self._server)
        url = f"{self._server}/api/v1/nodes/{quote(self._node_name, safe='')}"
        response = self._client.get(url, accept=_METADATA)
        place = f"{shown(self._server)}: node {self._node_name}"
        if response.status == 404:
            raise Trouble(Reason.MISSING, f"{place}: there is none of that name", "set NODE_NAME from spec.nodeName")
        if response.status in {401, 403}:
            raise Trouble(Reason.PERMISSION, f"{place}: {response.status}: reading it is not allowed", GRANT)
        if response.status != 200:
            raise Trouble(Reason.REJECTED, f"{place}: {response.status}", "see the API server's log")
        try:
            return _annotations(json.loads(response.body)).get(self._annotation) == "true"
        except (ValueError, RecursionError):
            message = f"{place}: the answer has no form that is known"
            raise Trouble(Reason.MALFORMED, message, "see whether identity.pods.server is an API server") from None


def _annotations(node: Any) -> dict[str, Any]:
    """Give the annotations of an object. Raises ValueError for what is none."""
    try:
        annotations = node["metadata"].get("annotations") or {}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an object: {error}") from None
    if not isinstance(annotations, dict):
        raise ValueError("annotations are a mapping")  # noqa: TRY004  # one kind of error for what is malformed
    return annotations
