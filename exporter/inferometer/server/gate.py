# SPDX-License-Identifier: Apache-2.0
"""Who may read /metrics and the status page: a client certificate, a token, a name and password, or none of them."""

import base64
import binascii
import hashlib
import hmac
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.server.allowance import Allowance
from inferometer.server.certificates import Certificate, has_expired, names_of
from inferometer.server.passwords import ROUNDS, Hashed, is_password
from inferometer.server.request import Request
from inferometer.server.reviews import Reviews, Verdict
from inferometer.server.secret_files import digest, read_tokens, read_users
from inferometer.server.tally import BAD_CREDENTIALS, CERTIFICATE, FORBIDDEN, LIMITED, NO_CREDENTIALS, UNDECIDED
from inferometer.server.watched import Watched

_REALM = 'realm="inferometer"'
_RATE, _BURST = 1.0, 10.0  # passwords a second, and at once, that are tried: each costs a fifth of a second of one core
_SOON = (("Retry-After", "5"),)


class Denial(NamedTuple):
    """Why a request is not served: the status, the reason that it is counted by, what the client is told."""

    status: int
    reason: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()


_FORBIDDEN = Denial(403, FORBIDDEN, "You may not see this page.")
_UNDECIDED = Denial(503, UNDECIDED, "Whether you may see this page cannot be told now; the log says why.", _SOON)
_LIMITED = Denial(429, LIMITED, "Too many passwords are being tried.", _SOON)


class Gate:
    """Lets in whoever shows what the configuration asks for: a certificate, if it asks for one, and one of the credentials.

    Where it cannot be told whether somebody may, nobody is let in.

    Args:
        server: the configuration.
        count: is called with the name of a file of whose content nothing can be used.
        reviews: the API server's opinion of tokens; None where it is not asked.
    """

    def __init__(self, server: config.Server, count: Callable[[str], None], reviews: Reviews | None = None) -> None:
        auth = server.auth
        if auth.token_review and reviews is None:
            raise Trouble(Reason.MISSING, "server.auth.token_review: there is no API server to ask")
        self._asks_certificate = bool(server.tls.client_ca)
        self._names = frozenset(server.tls.client_names)
        self._reviews = reviews if auth.token_review else None
        self._tokens: Watched[tuple[bytes, ...]] | None = None
        if auth.tokens_file:
            path = auth.tokens_file
            self._tokens = Watched((path,), lambda: read_tokens(path), lambda: count("tokens"))
        self._users = _Users(auth.users_file, lambda: count("users")) if auth.users_file else None
        bearer = [("WWW-Authenticate", f"Bearer {_REALM}")] if self._tokens or self._reviews else []
        basic = [("WWW-Authenticate", f'Basic {_REALM}, charset="UTF-8"')] if self._users else []
        self._challenges = (*bearer, *basic)

    def open(self) -> None:
        """Read the files and connect. Raises Trouble where that cannot be."""
        if self._tokens:
            self._tokens.newest()
        if self._users:
            self._users.look()
        if self._reviews:
            self._reviews.open()

    def close(self) -> None:
        """Hang up."""
        if self._reviews:
            self._reviews.close()

    def deny(self, request: Request, certificate: Certificate | None) -> Denial | None:
        """Say why a request is not served; None where it is. It takes a few seconds at most."""
        if self._asks_certificate and (denial := self._deny_certificate(certificate)):
            return denial
        if not self._challenges:
            return None
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            match scheme.lower():
                case "bearer" if self._tokens or self._reviews:
                    return self._deny_token(value.strip())
                case "basic" if self._users:
                    return self._deny_user(self._users, value.strip())
                case _:
                    return Denial(401, NO_CREDENTIALS, "This page asks for credentials.", self._challenges)
        except Trouble:  # a file cannot be used; it was logged
            return _UNDECIDED

    def _deny_certificate(self, certificate: Certificate | None) -> Denial | None:
        if certificate is None:
            return Denial(403, CERTIFICATE, "This page asks for a client certificate.")
        if has_expired(certificate, time.time()):
            return Denial(403, CERTIFICATE, "The client certificate has expired.")
        if self._names and not self._names & names_of(certificate):
            return _FORBIDDEN
        return None

    def _deny_token(self, token: str) -> Denial | None:
        trouble = None
        try:
            if self._tokens and _is_among(token, self._tokens.newest()):
                return None
        except Trouble as caught:
            trouble = caught
        if self._reviews:
            match self._reviews.judge(token):
                case Verdict.ALLOWED:
                    return None
                case Verdict.FORBIDDEN:
                    return _FORBIDDEN
                case Verdict.UNDECIDED:
                    return _UNDECIDED
        if trouble:
            raise trouble
        return self._bad()

    def _deny_user(self, users: "_Users", value: str) -> Denial | None:
        try:
            name, colon, password = base64.b64decode(value, validate=True).partition(b":")
            known = users.knows(name.decode(), password) if colon else False
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return self._bad()
        if known is None:
            return _LIMITED
        return None if known else self._bad()

    def _bad(self) -> Denial:
        return Denial(401, BAD_CREDENTIALS, "These credentials are not known here.", self._challenges)


def _is_among(token: str, digests: tuple[bytes, ...]) -> bool:
    """Compare with every one, in the same time whichever it is."""
    shown = digest(token)
    return sum([hmac.compare_digest(shown, each) for each in digests]) > 0


class _Users:
    """Names and passwords. A password that was right is known by a keyed hash from then on, so that it costs once."""

    def __init__(self, path: str, count: Callable[[], None]) -> None:
        self._file: Watched[Mapping[str, Hashed]] = Watched((path,), lambda: read_users(path), count)
        self._key = os.urandom(32)
        self._proven: dict[str, tuple[Hashed, bytes]] = {}  # at most one of each user
        self._trying = threading.Lock()
        self._allowance = Allowance(_RATE, _BURST)
        self._nobody = Hashed("sha256", ROUNDS, os.urandom(16), os.urandom(32))

    def look(self) -> None:
        """Read the file. Raises Trouble."""
        self._file.newest()

    def knows(self, name: str, password: bytes) -> bool | None:
        """Tell whether it is the user's password; None where too many are being tried. Raises Trouble."""
        users = self._file.newest()
        hashed = users.get(name)
        shown = hashlib.blake2b(password, key=self._key).digest()
        proven = self._proven.get(name)
        if hashed and proven and proven[0] == hashed and hmac.compare_digest(proven[1], shown):
            return True
        if not self._allowance.take():
            return None
        with self._trying:  # one at a time: strangers get one core at most
            # Who does not exist takes as long as who does.
            right = is_password(hashed or next(iter(users.values()), self._nobody), password)
            if hashed is None or not right:
                return False
            self._proven = {user: known for user, known in self._proven.items() if user in users}
            self._proven[name] = hashed, shown
        return True
