# SPDX-License-Identifier: Apache-2.0
"""This node's pods: UID, labels, owner, containers, claims and ports, by the first way that answers."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from inferometer import config
from inferometer.model import Binding, Pod, Reason, Trouble
from inferometer.sources.identity.apiserver import available
from inferometer.sources.identity.following import BACKOFF, Following, Way
from inferometer.sources.identity.pods_api import PodsOfApiServer
from inferometer.sources.identity.pods_kubelet import PodsOfKubelet, PodsOfSocket, kubelet_url
from inferometer.sources.identity.traffic import Traffic

__all__ = ["BINDINGS", "Pods", "available", "wanted"]

log = logging.getLogger(__name__)

MISSES = 2  # reads in a row that a way may fail before the next one is asked: the board's grace is as long
LOOK_BACK = 300.0  # seconds until a way that comes before the chosen one is asked again

BINDINGS: tuple[Binding, ...] = ()  # what pods add is attributes of other sources' metrics


def wanted(config: config.Pods, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether there is a way to this node's pods that is worth asking."""
    if config.source != "auto":
        return config.source != "off"
    return available(config, environ) or bool(kubelet_url(config, environ)) or Path(config.socket).exists()


class Pods:
    """The newest state of this node's pods: a `model.Source[tuple[Pod, ...]]`.

    `auto` asks the kubelet's Pods socket, the API server and the kubelet's HTTPS port, as far as they are given, in this
    order. The first that answers is chosen, and stays. When it has failed twice in a row the next is asked in the same
    read, so that nothing blinks; every five minutes those before it are asked whether they answer again. One that was
    left is hung up. One that leaves out something of pods that are there is chosen only while no other answers. Which it
    is, and why, is in `told`.
    """

    name = "pods"
    instance = ""

    def __init__(
        self,
        config: config.Pods,
        node_name: str,
        period: float,
        environ: Mapping[str, str] = os.environ,
        traffic: Traffic | None = None,
    ) -> None:
        self.period = period
        self.deadline = float(config.deadline)
        self._backoff = BACKOFF
        self._look_back = LOOK_BACK
        every: dict[str, tuple[bool, Callable[[], Way]]] = {
            "kubelet_socket": (True, lambda: PodsOfSocket(config)),
            "api": (available(config, environ), lambda: PodsOfApiServer(config, node_name, traffic, environ)),
            "kubelet_http": (bool(kubelet_url(config, environ)), lambda: PodsOfKubelet(config, period, environ)),
        }
        self._ways = {
            name: make
            for name, (is_given, make) in every.items()
            if config.source == name or (config.source == "auto" and is_given)
        }
        self._followings: dict[str, Following] = {}
        self._malformed = 0  # of followings that have ended
        self._chosen = ""
        self._why: dict[str, str] = {}  # what was wrong with those before it
        self._missed = 0
        self._look_at = 0.0  # monotonic: when those before the chosen one are asked again
        self._closed = False

    @property
    def told(self) -> str:
        """Say which way was chosen, and what is wrong with those before it."""
        following = self._followings.get(self._chosen)
        if following is None:
            return ""
        lacks = f"; {following.lacks}" if following.lacks else ""
        why = "".join(f"; not by {name}: {trouble}" for name, trouble in self._why.items())
        return f"by {self._chosen}, {following.way.place}{lacks}{why}"

    @property
    def malformed(self) -> int:
        """How many pods were none, since the start."""
        return self._malformed + sum(following.malformed for following in self._followings.copy().values())

    def read(self) -> tuple[Pod, ...]:
        """Give the pods, sorted by namespace and name. The first call waits for the first list.

        Raises:
            Trouble: what the chosen way is suffering from now, or the likeliest of all ways before one is chosen.
        """
        found = self._look_at_those_before()
        if found is not None:
            return found
        until = time.monotonic() + self.deadline
        asked = [self._chosen] if self._chosen else []
        asked += [name for name in self._ways if name != self._chosen]
        troubles: dict[str, Trouble] = {}
        why: dict[str, str] = {}
        lacking: dict[str, tuple[Pod, ...]] = {}
        for left, name in zip(range(len(asked), 0, -1), asked, strict=True):
            following = self._follow(name)
            try:
                # One that hangs must not eat the time of the next.
                found = following.newest(max(0.0, until - time.monotonic()) / left)
            except Trouble as trouble:
                troubles[name], why[name] = trouble.bare(), trouble.message
                if name == self._chosen and self._missed < MISSES - 1:
                    break
                continue
            if not following.lacks:
                self._choose(name, why)
                return found
            lacking[name], why[name] = found, following.lacks
        if lacking:
            name, found = next(iter(lacking.items()))
            self._choose(name, why)
            return found
        self._missed += 1
        raise _likeliest(list(troubles.values()))

    def close(self) -> None:
        """End the threads and their connections."""
        self._closed = True
        for name in list(self._followings):
            self._leave(name)

    def _look_at_those_before(self) -> tuple[Pod, ...] | None:
        """Ask the ways before the chosen one again, now and then, without waiting for any of them."""
        before = list(self._ways)[: list(self._ways).index(self._chosen)] if self._chosen else []
        is_time = time.monotonic() >= self._look_at
        for name in before:
            if not is_time and name not in self._followings:
                continue
            following = self._follow(name)
            if following.is_silent():
                continue  # its thread has only just begun
            self._look_at = time.monotonic() + self._look_back
            try:
                pods, trouble = following.newest(0), following.lacks
            except Trouble as caught:
                pods, trouble = (), caught.message
            if trouble:
                self._why[name] = trouble
                self._leave(name)
                continue
            self._choose(name, {earlier: self._why[earlier] for earlier in before if earlier in self._why})
            return pods
        return None

    def _follow(self, name: str) -> Following:
        if name not in self._followings:
            if self._closed:
                raise Trouble(Reason.REFUSED, "pods: the source is closed")
            self._followings[name] = Following(self._ways[name](), self._backoff)
        return self._followings[name]

    def _choose(self, name: str, why: dict[str, str]) -> None:
        """Stay with one way, and hang up the others."""
        self._missed = 0
        if name == self._chosen:
            return
        before = list(self._ways)[: list(self._ways).index(name)]
        self._chosen, self._why = name, {earlier: text for earlier, text in why.items() if earlier in before}
        self._look_at = time.monotonic() + self._look_back
        for other in [other for other in self._followings if other != name]:
            self._leave(other)
        log.info("pods: %s", self.told)

    def _leave(self, name: str) -> None:
        following = self._followings.pop(name)
        following.close()
        self._malformed += following.malformed


def _likeliest(troubles: list[Trouble]) -> Trouble:
    """Give the first trouble of a way that is there at all, else the last one."""
    absent = (Reason.MISSING, Reason.UNSUPPORTED)
    return next((trouble for trouble in troubles if trouble.reason not in absent), troubles[-1])
