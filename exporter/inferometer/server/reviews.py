# SPDX-License-Identifier: Apache-2.0
"""Whether a bearer token may read /metrics, by the API server: whose it is (TokenReview), and what they may (SubjectAccessReview).

The same two questions that kube-rbac-proxy asks, so that the ClusterRole which a Prometheus has for others' pages does here.
"""

import json
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from inferometer.client import Client
from inferometer.model import Clock, Reason, Trouble
from inferometer.server.allowance import Allowance
from inferometer.server.secret_files import digest

log = logging.getLogger(__name__)

_AUTHENTICATION = "/apis/authentication.k8s.io/v1/tokenreviews"
_AUTHORIZATION = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_PATH = "/metrics"  # the status page shows the same, so whoever may see the one may see the other

_TOKEN = re.compile(r"[!-~]+")

_MOST = 256  # answers of each kind that are kept
_STALE = 5.0  # times the age of an answer that lets in, for which it counts while nobody can be asked
_DENIED = 10.0  # seconds that an answer counts that does not: a right that was granted is soon noticed
_PAUSE = 5.0  # seconds in which the API server is not asked again after it did not answer
_RATE, _BURST = 5.0, 50.0  # questions a second, and at once: strangers' tokens must not become load of the API server


class Verdict(Enum):
    """What is to become of a request."""

    ALLOWED = "allowed"
    UNKNOWN = "unknown"  # nobody's token, or one for another audience
    FORBIDDEN = "forbidden"  # somebody's who may not
    UNDECIDED = "undecided"  # the API server does not say


class Reviews:
    """Asks the API server, one question at a time, and keeps its answers for a while. For any number of threads.

    Tokens are not kept, only their SHA-256. At most 256 answers of each kind are kept; those that deny displace none
    that allow.

    Args:
        connect: makes the client. It may raise Trouble.
        server: base URL of the API server.
        audiences: of which a token must be for one; none are the API server's own.
        cache: seconds that an answer which lets in counts. While nobody can be asked it counts five times as long.
        patience: seconds that a request may wait for another's question.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        server: str,
        audiences: Sequence[str],
        cache: float,
        patience: float,
        steady: Clock = time.monotonic,
    ) -> None:
        self._connect = connect
        self._server = server
        self._audiences = tuple(audiences)
        self._cache = cache
        self._patience = patience
        self._steady = steady
        self._client: Client | None = None
        self._asking = threading.Lock()
        self._allowance = Allowance(_RATE, _BURST, steady)
        self._answers = threading.Lock()  # guards the two that follow
        self._allowed: OrderedDict[bytes, float] = OrderedDict()  # token -> when it was asked for
        self._denied: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._silent_since: float | None = None  # the API server did not answer; only under `_asking`

    def open(self) -> None:
        """Make the client, once. Raises Trouble where the API server is not known, or the CA file is unusable."""
        self._client = self._client or self._connect()

    def close(self) -> None:
        """Hang up, whoever is asking."""
        if self._client is not None:
            self._client.close()

    def judge(self, token: str) -> Verdict:
        """Say what is to become of a request with this token. It takes a few seconds at most."""
        if not _TOKEN.fullmatch(token):
            return Verdict.UNKNOWN
        key = digest(token)
        known = self._known(key, 1.0)
        if known is not None:
            return known
        # While another asks, an answer that is a little old is better than to wait.
        stale = self._known(key, _STALE)
        if self._asking.acquire(timeout=0 if stale else self._patience):
            try:
                return self._known(key, 1.0) or self._ask(key, token) or self._known(key, _STALE) or Verdict.UNDECIDED
            finally:
                self._asking.release()
        return stale or Verdict.UNDECIDED

    def _known(self, key: bytes, times: float) -> Verdict | None:
        now = self._steady()
        with self._answers:
            allowed = self._allowed.get(key)
            if allowed is not None and now - allowed < self._cache * times:
                return Verdict.ALLOWED
            denied = self._denied.get(key)
            return denied[1] if denied is not None and now - denied[0] < _DENIED else None

    def _keep(self, key: bytes, asked: float, verdict: Verdict) -> None:
        with self._answers:
            self._allowed.pop(key, None)
            self._denied.pop(key, None)
            if verdict is Verdict.ALLOWED:
                self._allowed[key] = asked
            else:
                self._denied[key] = (asked, verdict)
            for answers in (self._allowed, self._denied):
                while len(answers) > _MOST:
                    answers.popitem(last=False)

    def _ask(self, key: bytes, token: str) -> Verdict | None:
        """Ask now; None where there is no answer."""
        asked = self._steady()
        if self._silent_since is not None and asked - self._silent_since < _PAUSE:
            return None
        if not self._allowance.take():
            return None
        try:
            user = self._whose(token)
            verdict = Verdict.UNKNOWN if user is None else Verdict.ALLOWED if self._may(user) else Verdict.FORBIDDEN
        except Trouble as trouble:
            if self._silent_since is None:
                log.error("tokens cannot be reviewed: %s", trouble.told())  # noqa: TRY400  # no defect
            self._silent_since = self._steady()
            return None
        if self._silent_since is not None:
            log.info("tokens can be reviewed again")
        self._silent_since = None
        self._keep(key, asked, verdict)
        return verdict

    def _whose(self, token: str) -> Mapping[str, Any] | None:
        """Give the user of a token; None if it is nobody's.

        Source: authentication.k8s.io/v1 TokenReview. A server that knows of no audiences says none: then it has not looked.
        """
        spec: dict[str, Any] = {"token": token}
        if self._audiences:
            spec["audiences"] = list(self._audiences)
        status = self._post(_AUTHENTICATION, "authentication.k8s.io/v1", "TokenReview", spec)
        user, audiences = status.get("user"), status.get("audiences") or ()
        if status.get("authenticated") is not True or not isinstance(user, dict) or not user.get("username"):
            return None
        return user if not self._audiences or set(self._audiences) & set(map(str, audiences)) else None

    def _may(self, user: Mapping[str, Any]) -> bool:
        """Tell whether a user may read the page. Source: authorization.k8s.io/v1 SubjectAccessReview."""
        spec = {
            "user": user["username"],
            **{key: user[key] for key in ("groups", "uid", "extra") if user.get(key)},
            "nonResourceAttributes": {"path": _PATH, "verb": "get"},
        }
        status = self._post(_AUTHORIZATION, "authorization.k8s.io/v1", "SubjectAccessReview", spec)
        return status.get("allowed") is True and status.get("denied") is not True

    def _post(self, path: str, version: str, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask one question; give the answer's status. Raises Trouble."""
        if self._client is None:
            raise Trouble(Reason.INTERNAL, "the API server is not connected")
        url = self._server + path
        body = json.dumps({"apiVersion": version, "kind": kind, "spec": spec}).encode()
        try:
            response = self._client.post(url, body, content_type="application/json")
        except Trouble as trouble:
            if trouble.reason is not Reason.REFUSED:
                raise
            # It may have hung up a connection that was long idle just now; to ask twice does no harm.
            response = self._client.post(url, body, content_type="application/json")
        if response.status in {401, 403}:
            remedy = "grant the agent's service account system:auth-delegator"
            raise Trouble(Reason.PERMISSION, f"{url}: answers {response.status}", remedy)
        if response.status in {400, 422}:  # it finds fault with the token: it must not seem to be away because of that
            return {}
        if response.status not in {200, 201}:
            raise Trouble(Reason.REJECTED, f"{url}: answers {response.status}")
        try:
            status = json.loads(response.body)["status"]
        except (ValueError, KeyError, TypeError, RecursionError):
            status = None
        if not isinstance(status, dict):
            raise Trouble(Reason.MALFORMED, f"{url}: the answer has no status")
        return status
