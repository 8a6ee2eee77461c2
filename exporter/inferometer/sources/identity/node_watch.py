# SPDX-License-Identifier: Apache-2.0
"""A watch on one annotation of one node: what an operator wants is heard at once, and without a question."""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from inferometer.client import Client
from inferometer.model import Trouble

WATCH_TIME = (300, 600)  # seconds that a watch is asked to last, as client-go asks
IDLE = 150.0  # seconds of silence; the API server sends a bookmark about every minute
_SHORTEST = 10.0  # seconds: what ends sooner is not taken up again from here
REFUSED = frozenset({400, 401, 403, 404, 405})  # there is no watching here, or not for us

# The metadata alone: the whole object lists every image of the node.
# Source: kubernetes.io/docs/reference/using-api/api-concepts, "Metadata-only fetches"; meta.k8s.io/v1 is in every release.
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


class NodeWatch:
    """Follows an annotation from a resourceVersion on, in a thread of its own, until the first trouble.

    What went wrong is for the next question to say: this only ends. `tell` is given whether the annotation is `true`, with
    each change, and by `renew`.
    """

    def __init__(
        self,
        client: Client,
        server: str,
        node_name: str,
        annotation: str,
        *,
        version: str,
        wanted: bool,
        tell: Callable[[bool], None],
    ) -> None:
        self.refused = False
        self._client = client
        self._url = f"{server}/api/v1/nodes"
        self._node_name = node_name
        self._annotation = annotation
        self._version = version
        self._wanted = wanted
        self._tell = tell
        self._telling = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="node watch", daemon=True)
        self._thread.start()

    @property
    def lasts(self) -> bool:
        """Whether it still hears."""
        return self._thread.is_alive()

    def renew(self) -> bool:
        """Tell once more what was heard last, and give it."""
        with self._telling:  # or a change could be undone by what was true before it
            self._tell(self._wanted)
            return self._wanted

    def close(self) -> None:
        """Hang up."""
        self._client.close()
        self._thread.join(1.0)  # it may be resolving a name; it is a daemon

    def _run(self) -> None:
        try:
            began = time.monotonic()
            while self._follow() and time.monotonic() - began >= _SHORTEST:
                began = time.monotonic()
        except (Trouble, ValueError, RecursionError):
            return  # the next question says what it is suffering from
        finally:
            self._client.close()

    def _follow(self) -> bool:
        """Follow one watch to its end; tell whether another may go on from there. Raises ValueError for what is no event."""
        asked = {
            "fieldSelector": f"metadata.name={self._node_name}",
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(*WATCH_TIME)),  # noqa: S311  # spread over the nodes, no secret
        }
        stream = self._client.lines(f"{self._url}?{urlencode(asked)}", idle=IDLE, accept=METADATA)
        try:
            self.refused = stream.status in REFUSED
            return stream.status == 200 and all(self._apply(json.loads(line)) for line in stream)
        finally:
            stream.close()

    def _apply(self, event: Any) -> bool:
        """Take one event in (metav1.WatchEvent); tell whether more of them make sense."""
        match event:
            case {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}:
                self._version = version
            case {
                "type": "ADDED" | "MODIFIED",
                "object": {"metadata": {"name": str(name), "resourceVersion": str(version)}} as node,
            }:
                if name != self._node_name:
                    return False  # a server that does not know the selector tells of every node
                wanted = is_true(node, self._annotation)
                with self._telling:
                    self._wanted = wanted
                    self._tell(wanted)
                self._version = version
            case _:
                return False  # the node is gone, or the version too old: to be asked for
        return True


def is_true(node: Any, annotation: str) -> bool:
    """Tell whether an object's annotation is `true`. Raises ValueError for what is no object."""
    return annotations_of(node).get(annotation) == "true"


def annotations_of(node: Any) -> Mapping[str, Any]:
    """Give the annotations of an object. Raises ValueError for what is none."""
    try:
        annotations = node["metadata"].get("annotations") or {}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an object: {error}") from None
    if not isinstance(annotations, dict):
        raise ValueError("annotations are a mapping")  # noqa: TRY004  # one kind of error for what is malformed
    return annotations
