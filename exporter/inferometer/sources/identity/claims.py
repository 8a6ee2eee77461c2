# SPDX-License-Identifier: Apache-2.0
"""The ResourceClaims that local pods use: what the kubelet leaves out of them, from the API server or the node's own files."""

import json
import logging
import random
import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from inferometer import config
from inferometer.client import Client
from inferometer.model import AllocatedClaim, Binding, Reason, Trouble
from inferometer.sources.identity.apiserver import connect, server_url
from inferometer.sources.identity.claim_object import project
from inferometer.sources.identity.node_claims import NodeClaims
from inferometer.sources.identity.traffic import Traffic
from inferometer.sources.identity.wanted import Wanted
from inferometer.wire import shown

log = logging.getLogger(__name__)

AGE = (540.0, 660.0)  # seconds after which a claim is read again: ten minutes, spread
AGAIN = 10.0  # seconds until a claim that was not found, or was another one of that name, is asked for again
BACKOFF = (5.0, 300.0)  # seconds between attempts while the API server refuses
GRANT = 'grant a ClusterRole with apiGroups: ["resource.k8s.io"], resources: ["resourceclaims"], verbs: ["get"]'

_UNREACHABLE = (Reason.TIMEOUT, Reason.REFUSED, Reason.MISSING)

BINDINGS: tuple[Binding, ...] = ()  # what a claim adds is attributes of other sources' metrics


class _Read(NamedTuple):
    """What came of the newest question for a claim, which was asked at `at` (monotonic) and will be at `until`."""

    claim: AllocatedClaim | None
    at: float
    until: float
    pause: float = 0.0  # seconds, after a failure
    trouble: Trouble | None = None
    users: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()


class Claims:
    """Claims by name, read once per allocation: a `model.Source[tuple[AllocatedClaim, ...]]`.

    Only `get`, only what `aim` names: nothing to enumerate, no watch (KEP-4381, resource.k8s.io/v1). What the API server does
    not tell, for want of a right or of an answer, is looked up in the node's own files where they can be read.

    Args:
        settings: where to look.
        api: the way to the API server; None where there is none, or it is not to be asked.
        period: seconds between two reads.
        traffic: where requests are counted and allowed.
    """

    name = "claims"
    instance = ""

    def __init__(
        self, settings: config.Claims, api: config.Pods | None, period: float, traffic: Traffic | None = None
    ) -> None:
        self.period = period
        self.deadline = float(api.deadline if api else config.Pods().deadline)
        self._api = api if settings.source in {"auto", "api"} else None
        self._node = NodeClaims(settings) if settings.source in {"auto", "node"} else None
        self._server = server_url(api) if api else ""
        self._traffic = traffic or Traffic(period)
        self._lock = threading.Lock()
        self._wanted: frozenset[Wanted] = frozenset()
        self._client: Client | None = None
        # Of the reading thread alone:
        self._read: dict[tuple[str, str], _Read] = {}
        self._told = ""

    def aim(self, wanted: frozenset[Wanted]) -> bool:
        """Say which claims local pods use; gives whether there are new ones."""
        with self._lock:
            new = bool({want[:3] for want in wanted} - {want[:3] for want in self._wanted})
            self._wanted = wanted
        return new

    def read(self) -> tuple[AllocatedClaim, ...]:
        """Give the claims that are known of those wanted, after asking for what is missing, new or old.

        What was read of a claim holds as long as its UID does: an allocation does not change under a running pod. So a
        claim that cannot be read now takes nothing from the others, nor from what is known of itself.

        Raises:
            Trouble: nothing is known because nobody can be asked; PERMISSION names the rule that is missing.
        """
        with self._lock:
            wanted = sorted(self._wanted, key=lambda want: want.key)
        asked = {want.key for want in wanted}
        self._read = {key: read for key, read in self._read.items() if key in asked}
        troubles: list[Trouble] = []
        if self._api is not None:
            self._ask(self._api, wanted)
            troubles = [read.trouble for read in self._read.values() if read.trouble is not None]
        known = {key: read.claim for key, read in self._read.items() if read.claim is not None}
        found = self._look_up([want for want in wanted if want.key not in known], troubles)
        known |= {(claim.namespace, claim.name): claim for claim in found}
        if troubles and not known:
            raise troubles[0].bare()
        self._tell(troubles, found=bool(found))
        return tuple(claim for _, claim in sorted(known.items()))

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()

    def _look_up(self, missing: Sequence[Wanted], troubles: list[Trouble]) -> list[AllocatedClaim]:
        """Find claims in the node's files; of what bears a wanted name, that of another UID is another claim."""
        if self._node is None or not missing:
            return []
        try:
            claims = self._node.read([want.uid for want in missing if want.uid])
        except Trouble as trouble:
            troubles.append(trouble.bare())
            return []
        by_uid = {claim.uid: claim for claim in claims}
        by_name: dict[tuple[str, str], list[AllocatedClaim]] = {}
        for claim in claims:
            by_name.setdefault((claim.namespace, claim.name), []).append(claim)
        found = []
        for want in missing:
            named = by_name.get(want.key, [])
            if want.uid is not None:
                found += [by_uid[want.uid]] if want.uid in by_uid else []
            elif len(named) == 1:
                found += named
        return found

    def _ask(self, api: config.Pods, wanted: Iterable[Wanted]) -> None:
        """Read what is due as far as is allowed, what nobody knows first; stop where nobody answers."""
        now = time.monotonic()
        due = [want for want in wanted if self._is_due(want, now)]
        unreachable: Trouble | None = None
        for want in sorted(due, key=lambda want: want.key in self._read):
            before = self._read.get(want.key, _Read(None, now, now))
            try:
                if unreachable is not None:
                    raise unreachable
                self._client = self._client or connect(api, self._server, self._traffic)
                if not self._traffic.may_ask():
                    return
                claim = self._get(self._client, want.namespace, want.name)
                lasting = random.uniform(*AGE) if claim else AGAIN  # noqa: S311  # spread over nodes, no secret
                self._read[want.key] = _Read(claim, now, now + lasting, users=want.users, running=want.running)
            except Trouble as trouble:
                if trouble.reason in _UNREACHABLE:
                    unreachable = trouble.bare()
                first, longest = BACKOFF
                pause = min(longest, max(first, 2 * before.pause))
                self._read[want.key] = _Read(before.claim, now, now + pause, pause, trouble.bare())

    def _is_due(self, want: Wanted, now: float) -> bool:
        read = self._read.get(want.key)
        if read is None or now >= read.until:
            return True
        if read.trouble is not None:
            return False
        if not (want.users <= read.users and want.running <= read.running):
            return True  # a pod came, or began to run: what its driver says of it is complete only then
        # A claim that was deleted and made again under its name has a new UID on the node.
        other = read.claim is not None and want.uid is not None and read.claim.uid != want.uid
        return other and now >= read.at + AGAIN

    def _tell(self, troubles: list[Trouble], *, found: bool) -> None:
        """Log what cannot be read while something else can, once."""
        telling = troubles[0].told() if troubles else ""
        if telling and telling != self._told:
            log.warning("claims: %s%s", telling, " The node's own files are read instead." if found else "")
        self._told = telling

    def _get(self, client: Client, namespace: str, name: str) -> AllocatedClaim | None:
        """Read one claim; None if there is none of that name."""
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
