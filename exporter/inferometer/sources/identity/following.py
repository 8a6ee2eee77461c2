# SPDX-License-Identifier: Apache-2.0
"""A thread that keeps this node's pods as one way tells them, and knows what that way is suffering from."""

import random
import threading
from collections.abc import Iterable
from typing import Any, Protocol

from inferometer.model import Pod, Reason, Trouble
from inferometer.sources.identity.projection import project

MOST_PODS = 5_000  # a kubelet runs 110 by default; more than this is no node's list
BACKOFF = (1.0, 30.0)  # seconds: the first and the longest pause between two attempts
LONGEST_PAUSE = 300.0  # seconds, whatever a server asks for


class Busy(Trouble):
    """The server asks to be left alone for so many seconds (RFC 9110 section 10.2.3)."""

    def __init__(self, message: str, remedy: str, pause: float) -> None:
        super().__init__(Reason.REJECTED, message, remedy)
        self.pause = pause

    def bare(self) -> "Busy":
        """Give one that says the same, as any Trouble does."""
        return Busy(self.message, self.remedy, self.pause)


class Way(Protocol):
    """One way to this node's pods."""

    @property
    def name(self) -> str:
        """What `identity.pods.source` calls it."""
        ...

    @property
    def place(self) -> str:
        """Where it asks, as messages may show it."""
        ...

    def follow(self, following: "Following") -> None:
        """Tell `following` of the pods until something breaks, or `following.ended`. Raises Trouble."""
        ...

    def close(self) -> None:
        """Hang up; called from another thread."""
        ...


class Following:
    """Follows one way in a thread of its own, again and again with pauses in between.

    A pod that is none is counted in `malformed` and costs no other. `lacks` is what the way leaves out of pods that are
    there, in words; empty if nothing.
    """

    def __init__(self, way: Way, backoff: tuple[float, float] = BACKOFF) -> None:
        self.way = way
        self.backoff = backoff
        self.malformed = 0
        self.lacks = ""
        self._change = threading.Condition()
        self._pods: dict[str, Pod] | None = None  # by UID; None until the first list
        self._sorted: tuple[Pod, ...] | None = None
        self._trouble: Trouble | None = None
        self._failures = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pods {way.name}", daemon=True)
        self._thread.start()

    # What the source asks:

    def newest(self, timeout: float) -> tuple[Pod, ...]:
        """Give the pods, sorted by namespace and name; wait for the first list. The same pods are the same tuple.

        Raises:
            Trouble: what the way is suffering from now.
        """
        with self._change:
            self._change.wait_for(lambda: self._pods is not None or self._trouble is not None, timeout)
            if self._trouble is not None:
                raise self._trouble.bare()
            if self._pods is None:
                message = f"{self.way.place}: no list of pods within {timeout:g} s"
                raise Trouble(Reason.TIMEOUT, message, "see whether it answers")
            if self._sorted is None:
                self._sorted = tuple(sorted(self._pods.values(), key=lambda pod: (pod.namespace, pod.name, pod.uid)))
            return self._sorted

    def is_silent(self) -> bool:
        """Tell whether it has neither pods nor a trouble yet."""
        with self._change:
            return self._pods is None and self._trouble is None

    def close(self) -> None:
        """End the thread and its connections."""
        self._ended.set()
        self.way.close()
        self._thread.join(1.0)  # it may be resolving a name; it is a daemon

    # What a way tells:

    @property
    def ended(self) -> bool:
        """Whether nobody listens any more."""
        return self._ended.is_set()

    def rest(self, seconds: float) -> None:
        """Wait, or until nobody listens any more."""
        self._ended.wait(seconds)

    def project(self, raw: Any) -> Pod | None:
        """Make a pod of decoded JSON; count it if it is none."""
        try:
            return project(raw)
        except ValueError:
            self.malformed += 1
            return None

    def replace(self, pods: Iterable[Pod]) -> None:
        """Take a whole list. Raises Trouble (TOO_LARGE) for more than a node can have."""
        found = {pod.uid: pod for pod in pods}
        self._refuse_too_many(len(found))
        with self._change:
            if found != self._pods:
                self._pods, self._sorted = found, None
            self._trouble = None
            self._change.notify_all()

    def put(self, pod: Pod) -> None:
        """Take one pod that came or changed. Raises Trouble (TOO_LARGE) for more than a node can have."""
        with self._change:
            pods = {} if self._pods is None else self._pods
            if pods.get(pod.uid) != pod:
                pods[pod.uid] = pod
                self._sorted = None
            self._pods = pods
        self._refuse_too_many(len(pods))

    def drop(self, uid: str) -> None:
        """Forget a pod that is gone."""
        with self._change:
            if self._pods is not None and self._pods.pop(uid, None) is not None:
                self._sorted = None

    def uids(self) -> frozenset[str]:
        """Name the pods that are known."""
        with self._change:
            return frozenset(self._pods or ())

    def well(self) -> None:
        """Learn that the way works, so that what was wrong with it is over."""
        with self._change:
            self._trouble = None

    def lasts(self) -> None:
        """Learn that it has worked for a while, so that the next pause is a short one again."""
        self._failures = 0

    def _run(self) -> None:
        while not self.ended:
            least = 0.0
            try:
                self.way.follow(self)
            except Trouble as trouble:
                self._say(trouble)
                least = min(LONGEST_PAUSE, trouble.pause) if isinstance(trouble, Busy) else 0.0
            except Exception as error:
                self._say(Trouble(Reason.INTERNAL, f"pods: {type(error).__name__}: {error}", "report it"))
            self._failures += 1
            first, longest = self.backoff
            pause = min(longest, first * 2.0 ** min(self._failures - 1, 16))
            self.rest(least + random.uniform(pause / 2, pause))  # noqa: S311  # jitter against a herd, no secret

    def _say(self, trouble: Trouble) -> None:
        with self._change:
            self._trouble = trouble.bare()
            self._change.notify_all()

    def _refuse_too_many(self, count: int) -> None:
        if count > MOST_PODS:
            raise too_many(self.way.place)


def too_many(place: str) -> Trouble:
    """Say that what is told is no node's list."""
    remedy = "see whether the API server honours fieldSelector spec.nodeName"
    return Trouble(Reason.TOO_LARGE, f"{place}: more than {MOST_PODS} pods for one node", remedy)
