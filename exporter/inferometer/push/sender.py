# SPDX-License-Identifier: Apache-2.0
"""Sending one request by HTTP, and what every way to send has in common."""

import ssl
import time
import zlib
from typing import Protocol

from inferometer import __version__
from inferometer.client import Client
from inferometer.credentials import trust_file
from inferometer.model import Reason, Trouble
from inferometer.push.answer import Verdict, judge_http
from inferometer.push.settings import Settings

USER_AGENT = f"inferometer/{__version__}"

_MAX_ANSWER = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1  # on 4.4 MB of points: half the time of level 6 for a quarter more bytes


class Sender(Protocol):
    """One way to send. Made anew after a failed push, so that renewed certificates are read and connections forgotten."""

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
        self._headers = {"content-encoding": "gzip"} if settings.compression == "gzip" else {}
        self._client = Client(
            deadline=settings.timeout,
            max_body=_MAX_ANSWER,
            trust=_trust(settings) if settings.secure else None,
            headers={"user-agent": USER_AGENT, **settings.headers},
        )

    def pack(self, request: bytes) -> bytes:
        """Compress a request, once for all its tries."""
        return zlib.compress(request, _LEVEL, wbits=_GZIP) if self._headers else request

    def send(self, packed: bytes, timeout: float) -> Verdict:
        """POST once. A network's trouble may pass, so it is worth another try."""
        self._client.deadline = timeout
        try:
            response = self._client.post(
                self._settings.target, packed, content_type="application/x-protobuf", headers=self._headers
            )
        except Trouble as trouble:
            passing = trouble.reason in {Reason.TIMEOUT, Reason.REFUSED, Reason.MISSING}
            return Verdict(trouble.reason, trouble.message, retry=passing)
        return judge_http(response, time.time())

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def _trust(settings: Settings) -> ssl.SSLContext:
    """Trust the configured certificates or the system's, and show the client's own where there is one."""
    context = trust_file(settings.certificate) if settings.certificate else ssl.create_default_context()
    if settings.client_certificate:
        try:
            context.load_cert_chain(settings.client_certificate, settings.client_key or None)
        except (OSError, ssl.SSLError) as error:
            text = f"The client certificate {settings.client_certificate} cannot be used: {error.strerror or type(error).__name__}"
            remedy = "Name a PEM certificate and its key: otlp.client_certificate and otlp.client_key."
            raise Trouble(
                Reason.MISSING if isinstance(error, FileNotFoundError) else Reason.MALFORMED, text, remedy
            ) from None
    return context
