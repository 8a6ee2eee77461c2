# SPDX-License-Identifier: Apache-2.0
"""What the agent asks of the API server: counted for people to see, and no more often than it may."""

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

from inferometer.model import Clock

# Of what is asked one by one. A node's claims are read at once when an agent starts, and one or two with each pod after that;
# what is too much for an API server it answers with 429, which is heeded.
QPS = 5.0  # questions a second on average
BURST = 50.0  # questions at once

_CREATED = frozenset({"tokenreviews", "subjectaccessreviews"})  # questions that are put by making an object of them
_ROOTS = MappingProxyType({"api": 2, "apis": 3})  # words of a path up to its resource: the version, with the group


class Traffic:
    """One for all sources of an agent; any thread may call. `period` is how often they come round to ask.

    Whoever comes round every twenty seconds may ask a hundred times at once: the average is what counts.
    """

    def __init__(self, period: float = 1.0, steady: Clock = time.monotonic) -> None:
        self._steady = steady
        self._most = max(BURST, QPS * period)
        self._left = self._most
        self._filled = steady()
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._lock = threading.Lock()

    def may_ask(self) -> bool:
        """Take one question from the allowance, if there is any left."""
        with self._lock:
            now = self._steady()
            self._left = min(self._most, self._left + QPS * max(0.0, now - self._filled))
            self._filled = now
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def count(self, url: str, requests: int, received: int) -> None:
        """Count requests of `url`, and bytes of their answers: what a `Client` tells."""
        key = what_is_asked(url)
        with self._lock:
            times, size = self._counts.get(key, (0, 0))
            self._counts[key] = times + requests, size + received

    @property
    def counts(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Requests and bytes received since the agent started, by verb and resource."""
        with self._lock:
            return MappingProxyType(dict(self._counts))


def what_is_asked(url: str) -> tuple[str, str]:
    """Name the verb (`get`, `list`, `watch`, `create`) and the resource of a URL as RBAC does.

    Source: kubernetes.io/docs/reference/using-api/api-concepts, "Resource URIs".
    """
    parts = urlsplit(url)
    path = parts.path.strip("/").split("/")
    root = next((place for place, word in enumerate(path) if word in _ROOTS), 0)
    path = path[root + _ROOTS.get(path[root], 0) :]
    if len(path) > 2 and path[0] == "namespaces":
        path = path[2:]
    resource = path[0] if path else ""
    if resource in _CREATED:
        return "create", resource
    if "watch" in parse_qs(parts.query):
        return "watch", resource
    return ("get" if len(path) > 1 else "list"), resource
