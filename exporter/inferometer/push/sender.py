# SPDX-License-Identifier: Apache-2.0
"""Sending one request by HTTP, and what every way to send has in common."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from inferometer import __version__
from inferometer.client import Client
from inferometer.compression import gzip
from inferometer.credentials import Tls
from inferometer.model import Reason, Trouble
from inferometer.push.answer import Verdict, judge_http
from inferometer.push.libraries import zstd
from inferometer.push.settings import Settings

USER_AGENT = f"inferometer/{__version__}"

_MAX_ANSWER = 1 << 20

# Where Debian, Red Hat and SUSE keep it (gRPC core, load_system_roots_supported.cc).
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")

# After these the same request may be taken: nothing came back that says it was judged. The others are a redirect, and an
# answer that is larger than any has to be, which most likely is somebody's page under a 200.
_FINAL = frozenset({Reason.REJECTED, Reason.TOO_LARGE, Reason.INTERNAL})


class Sender(Protocol):
    """One way to send. Certificates that are renewed are read before the next request, which goes by a new connection."""

    def pack(self, request: bytes) -> bytes:
        """Compress a request, once for all its tries."""
        ...

    def send(self, packed: bytes, timeout: float) -> Verdict:
        """Send and judge the answer, in `timeout` seconds. Raises Trouble only for what no retry can mend."""
        ...

    def close(self) -> None:
        """Hang up; from another thread it ends a `send` that waits."""
        ...


class HttpSender:
    """OTLP/HTTP with protobuf bodies: one kept connection, POSTs."""

    def __init__(self, settings: Settings) -> None:
        """Raises Trouble that names the file where a certificate cannot be read."""
        self._settings = settings
        self._trust = read_trust(settings) if settings.secure else None
        compressed = settings.compression != "none"
        # An answer is too short to be worth compressing, and some gateways compress without saying so.
        self._headers = {"Accept-Encoding": "identity"} | (
            {"Content-Encoding": settings.compression} if compressed else {}
        )
        self._compress: Callable[[bytes], bytes] = zstd() if settings.compression == "zstd" else gzip
        self._packs = compressed
        self._client = Client(
            deadline=settings.timeout,
            max_body=_MAX_ANSWER,
            trust=self._trust,
            headers={"user-agent": USER_AGENT, **settings.headers},
        )

    def pack(self, request: bytes) -> bytes:
        """Compress a request, once for all its tries."""
        return self._compress(request) if self._packs else request

    def send(self, packed: bytes, timeout: float) -> Verdict:
        """POST once. A network's trouble may pass, so it is worth another try."""
        self._client.deadline = timeout
        try:
            if self._trust is not None:
                self._trust.context()  # while a pair is being renewed, one half may not fit the other
        except Trouble as trouble:
            return Verdict(trouble.reason, trouble.told(), retry=True)
        try:
            response = self._client.post(
                self._settings.target, packed, content_type="application/x-protobuf", headers=self._headers
            )
        except Trouble as trouble:
            reason = Reason.MALFORMED if trouble.reason is Reason.TOO_LARGE else trouble.reason
            return Verdict(reason, trouble.told(), retry=trouble.reason not in _FINAL)
        return judge_http(response, time.time())

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def read_trust(settings: Settings) -> Tls:
    """Trust the configured certificates or the system's, and show the client's own where there is one.

    Its files are read at once, and again when they change. Raises Trouble that names the file that cannot be used.
    """
    pair = settings.client_certificate
    trust = Tls(settings.certificate, pair, (settings.client_key or pair) if pair else "")
    trust.context()
    return trust


def system_bundle() -> str:
    """Find the file of the authorities that the system trusts; libraries bring lists that lack what a site has installed."""
    bundles = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((path for path in bundles if path and Path(path).is_file()), "")
