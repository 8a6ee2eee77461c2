# SPDX-License-Identifier: Apache-2.0
"""The ResourceClaims that local pods use: what the kubelet leaves out of them, from the API server or the node's own files."""

import json
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from inferometer import config
from inferometer.client import Client
from inferometer.model import AllocatedClaim, Binding, Reason, Trouble
from inferometer.sources.identity.apiserver import connect, pause_asked, server_url
from inferometer.sources.identity.claim_object import project
from inferometer.sources.identity.following import LONGEST_PAUSE, Busy
from inferometer.sources.identity.node_claims import NodeClaims
from inferometer.sources.identity.refreshing import Read, answered, failed, follow, is_due
from inferometer.sources.identity.traffic import Traffic
from inferometer.sources.identity.wanted import Wanted
from inferometer.wire import shown

log = logging.getLogger(__name__)

GRANT = 'grant a ClusterRole with apiGroups: ["resource.k8s.io"], resources: ["resourceclaims"], verbs: ["get"]'

_UNREACHABLE = (Reason.TIMEOUT, Reason.REFUSED, Reason.MISSING, Reason.UNSUPPORTED)
# What the API server says of a version that it does not serve; of a claim that is not there it says more.
_NOT_SERVED = (b"404 page not found", b"the server could not find the requested resource")
_SHARE = 0.5  # of the deadline in which claims are asked for, so that those which were read are given in time

_NOBODY: frozenset[str] = frozenset()

BINDINGS: tuple[Binding, ...] = ()  # what a claim adds is attributes of other sources' metrics


class Claims:
    """Claims by name, read once per allocation: a `model.Source[tuple[AllocatedClaim, ...]]`.

    `refreshing` says when one is read again. Only `get`, only what `aim` names: nothing to enumerate, no watch (KEP-4381, resource.k8s.io/v1). What the API server does
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
        self._read: dict[tuple[str, str], Read] = {}
        self._failing_since: float | None = None  # monotonic: what is still told could not be renewed since then
        self._told = ""

    def aim(self, wanted: frozenset[Wanted]) -> bool:
        """Say which claims local pods use; gives whether there are new ones, or new devices of them."""
        with self._lock:
            before, self._wanted = self._wanted, wanted
        return bool({want._replace(users=_NOBODY) for want in wanted} - {w._replace(users=_NOBODY) for w in before})

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
        if not any(read.trouble and read.claim for read in self._read.values()):
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = time.monotonic()
        self._tell(troubles, found=bool(found))
        return tuple(claim for _, claim in sorted(known.items()))

    def behind(self) -> float:
        """Give for how many seconds a claim that is told could not be asked for again."""
        return 0.0 if self._failing_since is None else time.monotonic() - self._failing_since

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
        """Read what is due as far as time and the allowance reach, what nobody knows first.

        Where nobody answers, or nobody may ask, the others are not tried: one refusal speaks for all of them.
        """
        now = time.monotonic()
        due = []
        for want in wanted:
            if (read := self._read.get(want.key)) is not None:
                self._read[want.key] = follow(read, want)
            if is_due(read, want, now):
                due.append(want)
        refused: dict[str, Trouble] = {}  # by namespace; "" is all of them
        for want in sorted(due, key=lambda want: want.key in self._read):
            before = self._read.get(want.key)
            try:
                if trouble := refused.get("") or refused.get(want.namespace):
                    raise trouble
                self._client = self._client or connect(api, self._server, self._traffic)
                if not self._traffic.may_ask():
                    return
                self._read[want.key] = answered(before, want, self._get(self._client, want.namespace, want.name), now)
            except Trouble as trouble:
                self._read[want.key] = failed(before, trouble, now)
                if isinstance(trouble, Busy) or trouble.reason in _UNREACHABLE:
                    refused[""] = trouble.bare()
                elif trouble.reason is Reason.PERMISSION:
                    refused[want.namespace] = trouble.bare()  # the right may be that of a Role in some namespaces
            if time.monotonic() - now > _SHARE * self.deadline and not refused:
                return

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
        if response.status == 404 and any(words in response.body for words in _NOT_SERVED):
            message = f"{place}: resource.k8s.io/v1 is not served"
            raise Trouble(Reason.UNSUPPORTED, message, "claims are read by that version: it needs Kubernetes 1.34")
        if response.status == 404:
            return None
        if response.status in {401, 403}:
            message = f"{place}: {response.status}: reading claim {namespace}/{name} is not allowed"
            raise Trouble(Reason.PERMISSION, message, GRANT)
        if response.status != 200:
            message = f"{place}: {response.status} for claim {namespace}/{name}"
            if pause := pause_asked(response.status, response.headers):
                raise Busy(message, "it asks to be left alone, and is", min(LONGEST_PAUSE, pause))
            raise Trouble(Reason.REJECTED, message, "see the API server's log")
        try:
            return project(json.loads(response.body))
        except (ValueError, RecursionError):
            message = f"{place}: claim {namespace}/{name} has no form that is known"
            raise Trouble(Reason.MALFORMED, message, "see whether identity.pods.server is an API server") from None
