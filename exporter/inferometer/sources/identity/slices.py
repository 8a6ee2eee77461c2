# SPDX-License-Identifier: Apache-2.0
"""The devices of this node's ResourceSlices: what a claim's device is, where its name alone does not tell."""

import json
import logging
import random
import threading
import time
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlencode

from inferometer import config
from inferometer.client import Client
from inferometer.model import Binding, PooledDevice, Reason, Trouble
from inferometer.sources.identity.apiserver import connect, pause_asked, server_url
from inferometer.sources.identity.following import LONGEST_PAUSE, Busy
from inferometer.sources.identity.slice_object import Pools, pooled
from inferometer.sources.identity.traffic import Traffic
from inferometer.wire import shown

log = logging.getLogger(__name__)

AGE = (540.0, 660.0)  # seconds after which all is read again: ten minutes, spread
AFTER_CHANGE = (0.0, 10.0, 30.0, 60.0)  # seconds after the hardware changed: its driver publishes a little later
MISSED = (10.0, 300.0)  # seconds, doubled, until a device that a claim names, and no slice, is looked for again
BACKOFF = (5.0, 300.0)  # seconds between attempts while the API server refuses
GRANT = 'grant a ClusterRole with apiGroups: ["resource.k8s.io"], resources: ["resourceslices"], verbs: ["list"]'

BINDINGS: tuple[Binding, ...] = ()  # what a slice adds is attributes of other sources' metrics

Place = tuple[str, str, str]  # driver, pool, device


class Named(NamedTuple):
    """A device that a claim names, and whether the claim has a share of it: then several may have it (KEP-5075)."""

    driver: str
    pool: str
    device: str
    shared: bool = False


class Slices:
    """The devices that drivers publish for this node: a `model.Source[tuple[PooledDevice, ...]]`.

    Nothing is watched: a list by node name, which the API server has an index for, when there is a reason to ask. That is at
    first, when a claim names a device that is not known or has a share of one that was not to be shared, when the driver shows
    other GPUs or instances than before, and every ten minutes. At all other times what was read holds: a device does not become another one under a running claim.
    """

    name = "slices"
    instance = ""

    def __init__(
        self, api: config.Pods, drivers: Collection[str], node_name: str, period: float, traffic: Traffic | None = None
    ) -> None:
        self.period = period
        self.deadline = float(api.deadline)
        self._api = api
        self._drivers = frozenset(drivers)
        self._server = server_url(api)
        self._place = shown(self._server)
        query = urlencode({"fieldSelector": f"spec.nodeName={node_name}"})
        self._url = f"{self._server}/apis/resource.k8s.io/v1/resourceslices?{query}"
        self._traffic = traffic or Traffic(period)
        self._lock = threading.Lock()
        self._named: frozenset[Named] = frozenset()
        self._hardware: frozenset[str] | None = None
        self._due = [0.0]  # monotonic: when to ask; the first counts
        self._known: dict[Place, PooledDevice] | None = None
        self._unknown: frozenset[Named] = frozenset()  # asked for, and not found as claims name it
        # Of the reading thread alone:
        self._client: Client | None = None
        self._version = 0  # of what is known
        self._pause = 0.0
        self._missed = 0.0
        self._trouble: Trouble | None = None
        self._failing_since: float | None = None  # monotonic
        self._told = ""

    def aim(self, named: frozenset[Named], hardware: frozenset[str] | None) -> bool:
        """Say which devices local claims name, and the UUIDs of what the GPUs' driver shows (None: it does not answer).

        Gives whether there is a new reason to ask.
        """
        now = time.monotonic()
        with self._lock:
            self._named = frozenset(each for each in named if each.driver in self._drivers)
            unknown = self._not_known() - self._unknown
            changed = None not in (hardware, self._hardware) and hardware != self._hardware
            self._hardware = self._hardware if hardware is None else hardware
            if changed:
                self._due = sorted([*self._due, *(now + after for after in AFTER_CHANGE)])
            if unknown and self._trouble is None and self._due[0] > now:
                self._due.insert(0, now)
            return self._due[0] <= now

    def read(self) -> tuple[PooledDevice, ...]:
        """Give what is known, after asking if there is a reason to.

        Raises:
            Trouble: nothing is known yet. PERMISSION names the rule that is missing, UNSUPPORTED a cluster before 1.34.
        """
        now = time.monotonic()
        with self._lock:
            due = self._due[0] <= now
        if due and self._traffic.may_ask():
            self._ask(now)
        if self._known is None:
            trouble = self._trouble or Trouble(
                Reason.TIMEOUT, f"{self._place}: not asked yet", "it is in the next period"
            )
            raise trouble.bare()
        return tuple(self._known.values())

    def behind(self) -> float:
        """Give for how many seconds what is told could not be renewed."""
        return 0.0 if self._failing_since is None else time.monotonic() - self._failing_since

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()

    def _ask(self, now: float) -> None:
        try:
            pools = self._list()
        except Trouble as trouble:
            first, longest = BACKOFF
            self._pause = min(longest, max(first, 2 * self._pause))
            asked = trouble.pause if isinstance(trouble, Busy) else 0.0
            self._failing_since = now if self._failing_since is None else self._failing_since
            with self._lock:
                self._trouble, self._due = trouble.bare(), [now + max(self._pause, asked)]
            self._tell(trouble.told() if self._known is not None else "")
            return
        self._failing_since = None
        with self._lock:
            # While a driver rewrites its pool what it said before holds, as a claim on it does.
            kept = {place: device for place, device in (self._known or {}).items() if place[:2] in pools.partial}
            self._known = kept | {(d.driver, d.pool, d.device): d for d in pools.devices}
            self._version = pools.version
            self._unknown = self._not_known()
            later = [due for due in self._due if due > now]
            if self._unknown or pools.partial:
                first, longest = MISSED
                self._missed = min(longest, max(first, 2 * self._missed))
                later.append(now + self._missed)
            else:
                self._missed = 0.0
            # Ten minutes count from now; what else is due was put there for a reason of its own.
            soon = [due for due in later if due <= now + max(AFTER_CHANGE[-1], MISSED[-1])]
            self._due = sorted([*soon, now + random.uniform(*AGE)])  # noqa: S311  # spread over nodes, no secret
            self._trouble, self._pause = None, 0.0
        self._tell("")

    def _tell(self, telling: str) -> None:
        """Log that what is known is no longer renewed, once."""
        if telling and telling != self._told:
            log.warning("slices: %s What was read before holds.", telling)
        self._told = telling

    def _not_known(self) -> frozenset[Named]:
        """Give what claims name that is not as they name it in what is known. Lock held."""
        known = self._known or {}
        return frozenset(
            each
            for each in self._named
            if (device := known.get((each.driver, each.pool, each.device))) is None or each.shared > device.shared
        )

    def _list(self) -> Pools:
        """Ask the API server's cache; itself where that has not what claims name, or is behind what is known."""
        if self._unknown:
            return self._get(self._url)
        # Several API servers may stand behind one address, each with a cache of its own.
        pools = self._get(f"{self._url}&resourceVersion=0")
        return self._get(self._url) if pools.version < self._version else pools

    def _get(self, url: str) -> Pools:
        self._client = self._client or connect(self._api, self._server, self._traffic)
        # It is asked for too rarely to keep a connection.
        response = self._client.get(url, accept="application/json", headers={"Connection": "close"})
        if response.status in {401, 403}:
            message = f"{self._place}: {response.status}: listing resourceslices is not allowed"
            raise Trouble(Reason.PERMISSION, message, GRANT)
        if response.status == 404:
            message = f"{self._place}: resource.k8s.io/v1 is not served"
            raise Trouble(Reason.UNSUPPORTED, message, "DRA needs Kubernetes 1.34; without it this is not needed")
        if response.status != 200:
            message = f"{self._place}: {response.status} for resourceslices"
            if pause := pause_asked(response.status, response.headers):
                raise Busy(message, "it asks to be left alone, and is", min(LONGEST_PAUSE, pause))
            raise Trouble(Reason.REJECTED, message, "see the API server's log")
        try:
            return pooled(json.loads(response.body), self._drivers)
        except (ValueError, RecursionError) as error:
            message = f"{self._place}: {str(error)[:200]} where ResourceSlices were asked for"
            raise Trouble(Reason.MALFORMED, message, "see whether identity.pods.server is an API server") from None
