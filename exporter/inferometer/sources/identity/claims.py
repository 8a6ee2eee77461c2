# SPDX-License-Identifier: Apache-2.0
"""The ResourceClaims that local pods use, one GET each: request, admin access and share, which the kubelet leaves out."""

import json
import logging
import random
import threading
import time
from typing import Any, NamedTuple
from urllib.parse import quote

from inferometer import config
from inferometer.client import Client
from inferometer.model import AllocatedClaim, Binding, Grant, Reason, Trouble
from inferometer.sources.identity.apiserver import connect, server_url
from inferometer.wire import shown

log = logging.getLogger(__name__)

AT_ONCE = 20  # claims read in one tick; the rest is read in the next ones
AGE = (540.0, 660.0)  # seconds after which a claim is read again: ten minutes, spread
AGAIN = 10.0  # seconds until a claim that was not found, or was another one of that name, is asked for again
BACKOFF = (5.0, 300.0)  # seconds between attempts while the API server refuses
GRANT = 'grant a ClusterRole with apiGroups: ["resource.k8s.io"], resources: ["resourceclaims"], verbs: ["get"]'

_UNREACHABLE = (Reason.TIMEOUT, Reason.REFUSED, Reason.MISSING)

BINDINGS: tuple[Binding, ...] = ()  # what a claim adds is attributes of other sources' metrics

Wanted = tuple[str, str, str | None]  # namespace, name, UID as the node knows it


class _Read(NamedTuple):
    claim: AllocatedClaim | None
    until: float  # monotonic: when it is asked for again
    pause: float = 0.0  # seconds of the newest pause after a failure
    trouble: Trouble | None = None


class Claims:
    """Claims by name, read once per allocation: a `model.Source[tuple[AllocatedClaim, ...]]`.

    Only `get`, only what `aim` names: nothing to enumerate, no watch (KEP-4381, resource.k8s.io/v1).
    """

    name = "claims"
    instance = ""

    def __init__(self, config: config.Pods, period: float) -> None:
        self.period = period
        self.deadline = float(config.deadline)
        self._config = config
        self._server = server_url(config)
        self._lock = threading.Lock()
        self._wanted: frozenset[Wanted] = frozenset()
        self._client: Client | None = None
        # Of the reading thread alone:
        self._read: dict[tuple[str, str], _Read] = {}
        self._told = ""

    def aim(self, wanted: frozenset[Wanted]) -> bool:
        """Say which claims local pods use; gives whether there are new ones."""
        with self._lock:
            new = bool(wanted - self._wanted)
            self._wanted = wanted
        return new

    def read(self) -> tuple[AllocatedClaim, ...]:
        """Give the claims that are known of those wanted, after asking for what is missing or old.

        What was read of a claim holds as long as its UID does: an allocation does not change under a running pod. So a
        claim that cannot be read now takes nothing from the others, nor from what is known of itself.

        Raises:
            Trouble: nothing is known because the API server cannot be asked; PERMISSION names the rule that is missing.
        """
        with self._lock:
            wanted = sorted(self._wanted, key=lambda w: w[:2])
        names = {w[:2] for w in wanted}
        self._read = {name: read for name, read in self._read.items() if name in names}
        now = time.monotonic()
        self._ask([w[:2] for w in wanted if self._is_due(w, now)][:AT_ONCE], now)
        known = tuple(read.claim for _, read in sorted(self._read.items()) if read.claim is not None)
        troubles = [read.trouble for read in self._read.values() if read.trouble is not None]
        if troubles and not known:
            raise troubles[0].bare()
        self._tell(troubles)
        return known

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()

    def _is_due(self, wanted: Wanted, now: float) -> bool:
        namespace, name, uid = wanted
        read = self._read.get((namespace, name))
        if read is None or now >= read.until:
            return True
        # A claim that was deleted and made again under its name has a new UID on the node.
        other = read.claim is not None and uid is not None and read.claim.uid != uid
        return other and not read.trouble and now >= read.until - AGE[0] + AGAIN

    def _ask(self, names: list[tuple[str, str]], now: float) -> None:
        """Read these claims; stop at the first that the API server does not answer at all."""
        unreachable: Trouble | None = None
        for namespace, name in names:
            before = self._read.get((namespace, name), _Read(None, now))
            try:
                if unreachable is not None:
                    raise unreachable
                self._client = self._client or connect(self._config, self._server)
                claim = self._get(self._client, namespace, name)
                lasting = random.uniform(*AGE) if claim else AGAIN  # noqa: S311  # spread over nodes, no secret
                self._read[(namespace, name)] = _Read(claim, now + lasting)
            except Trouble as trouble:
                if trouble.reason in _UNREACHABLE:
                    unreachable = trouble.bare()
                first, longest = BACKOFF
                pause = min(longest, max(first, 2 * before.pause))
                self._read[(namespace, name)] = _Read(before.claim, now + pause, pause, trouble.bare())

    def _tell(self, troubles: list[Trouble]) -> None:
        """Log a claim that cannot be read while others can, once."""
        telling = troubles[0].told() if troubles else ""
        if telling and telling != self._told:
            log.warning("claims: %s", telling)
        self._told = telling

    def _get(self, client: Client, namespace: str, name: str) -> AllocatedClaim | None:
        """Read one claim; None if there is none of that name, or if what is there has no form that we know."""
        path = f"/apis/resource.k8s.io/v1/namespaces/{quote(namespace, safe='')}/resourceclaims/{quote(name, safe='')}"
        response = client.get(self._server + path, accept="application/json")
        place = shown(self._server)
        if response.status == 404:
            return None
        if response.status in {401, 403}:
            message = f"{place}: {response.status}: reading claim {namespace}/{name} is not allowed"
            raise Trouble(Reason.PERMISSION, message, GRANT)
        if response.status != 200:
            message = f"{place}: {response.status} for claim {namespace}/{name}"
            raise Trouble(Reason.REJECTED, message, "see the API server's log")
        try:
            return project(json.loads(response.body))
        except (ValueError, RecursionError):
            message = f"{place}: claim {namespace}/{name} has no form that is known"
            raise Trouble(Reason.MALFORMED, message, "see whether identity.pods.server is an API server") from None


def project(told: Any) -> AllocatedClaim:
    """Take from a ResourceClaim (resource.k8s.io/v1) what the join needs. Raises ValueError for another form."""
    try:
        metadata = told["metadata"]
        allocation = (told.get("status") or {}).get("allocation") or {}
        results = (allocation.get("devices") or {}).get("results") or []
        grants = tuple(
            Grant(
                request=str(result["request"]),
                driver=str(result["driver"]),
                pool=str(result["pool"]),
                device=str(result["device"]),
                admin=result.get("adminAccess") is True,
                share_id=result.get("shareID"),
            )
            for result in results
        )
        return AllocatedClaim(str(metadata["namespace"]), str(metadata["name"]), str(metadata["uid"]), grants)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a ResourceClaim: {error}") from None
