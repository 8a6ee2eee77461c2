# SPDX-License-Identifier: Apache-2.0
"""Other agents on this node: what two tell is counted twice wherever it is summed."""

import logging
import time
from collections.abc import Callable, Iterable

from inferometer.model import Pod

PATIENCE = 30.0  # seconds; an agent that is being replaced is gone by then

_KINDS = ("app.kubernetes.io/name", "app.kubernetes.io/component")  # as the chart labels its pods
_REMEDY = "Uninstall one release, or let the labels of their nodes not overlap."

log = logging.getLogger(__name__)


class Company:
    """Looks for other agents among the node's pods, and says once that they have come to stay, and once that they are gone.

    `itself` is the namespace and name of the pod that this agent runs in.
    """

    def __init__(self, itself: tuple[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self.told = ""  # who is there, for those who look but once
        self._itself = itself
        self._clock = clock
        self._since: float | None = None
        self._seen: Iterable[Pod] | None = None  # who was there when it last looked
        self._logged = False

    def look(self, pods: Iterable[Pod] | None) -> None:
        """Look among the node's pods; while they cannot be read, what was seen stays."""
        if pods is None or (pods is self._seen and self._since is None):
            return
        self._seen = pods
        others = find_others(pods, self._itself)
        self.told = f"another agent runs on this node: {', '.join(others)}" if others else ""
        if not others:
            if self._logged:
                log.info("no other agent runs on this node any more")
            self._since, self._logged = None, False
            return
        if self._since is None:
            self._since = self._clock()
        if not self._logged and self._clock() - self._since >= PATIENCE:
            self._logged = True
            log.warning("%s: what both tell is counted twice wherever it is summed. %s", self.told, _REMEDY)


def find_others(pods: Iterable[Pod], itself: tuple[str, str]) -> tuple[str, ...]:
    """Name the running pods that are labelled as this agent's own is, as NAMESPACE/NAME; none where that is not known."""
    there = {(pod.namespace, pod.name): pod for pod in pods if pod.phase == "Running"}
    own = there.pop(itself, None)
    kind = [own.labels.get(label) for label in _KINDS] if own else []
    if not kind or None in kind:
        return ()
    alike = (key for key, pod in there.items() if [pod.labels.get(label) for label in _KINDS] == kind)
    return tuple(f"{namespace}/{name}" for namespace, name in sorted(alike))
