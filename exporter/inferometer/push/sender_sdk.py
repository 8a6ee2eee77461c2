# SPDX-License-Identifier: Apache-2.0
"""Sending through the OpenTelemetry SDK's own exporters and MetricsData. Imported only where `otlp.sender: sdk` is set.

It is for those who need the SDK's way of sending, and the oracle of our own in the tests. What the SDK cannot do is lost
on this way: the marks of ended series (its points have no flags) and the start times of gauges. Its certificates are
read once, and it retries by itself, for as long as `otlp.timeout`, before a failure is known here.
"""

import logging
import time
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: TID251  # this is the SDK's way
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: TID251  # as above

from inferometer.client import Response
from inferometer.model import Reason
from inferometer.push.answer import Verdict, judge_http
from inferometer.push.sdk_data import as_metrics_data
from inferometer.push.sender import USER_AGENT, read_trust, system_bundle
from inferometer.push.settings import Settings

LOG = "opentelemetry.exporter"  # what it says at every try is in the verdict, and is told once

_MAX_ANSWER = 1 << 20


def silence(name: str) -> None:
    """Keep a library's log to itself; without any handler Python would write its warnings to standard error."""
    log = logging.getLogger(name)
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())


class SdkHttpSender:
    """The SDK's OTLPMetricExporter by HTTP.

    The answer is judged as our own sender judges it: the SDK takes a redirect for a success, and reads no partial success.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises Trouble that names the file where a certificate cannot be read."""
        if settings.secure:
            read_trust(settings)  # the SDK would find a bad file with the first request, and not say so
        silence(LOG)
        silence("urllib3")  # it tells whole URLs, which may hold a secret
        self._answers: list[Response] = []  # to the request that is under way
        session = requests.Session()
        session.trust_env = False  # REQUESTS_CA_BUNDLE would stand over the certificate that was configured
        session.stream = True  # an answer is read by us, up to a limit
        session.hooks["response"].append(self._keep)
        self._exporter = OTLPMetricExporter(
            endpoint=settings.target,
            certificate_file=settings.certificate or system_bundle() or None,
            client_key_file=settings.client_key or None,
            client_certificate_file=settings.client_certificate or None,
            headers={"user-agent": USER_AGENT, **settings.headers},
            timeout=settings.timeout,
            compression=Compression.Gzip if settings.compression == "gzip" else Compression.NoCompression,
            session=session,
        )

    def pack(self, request: bytes) -> bytes:
        """Give the request as it is: the SDK compresses by itself."""
        return request

    def send(self, packed: bytes, timeout: float) -> Verdict:  # noqa: ARG002  # the SDK's time is set when it is made
        """Export, and judge the newest answer."""
        data = as_metrics_data(packed)
        if not data.resource_metrics:
            return Verdict(None)
        self._answers.clear()
        self._exporter.export(data)
        if self._answers:
            return judge_http(self._answers[-1], time.time())
        return Verdict(Reason.REFUSED, "the SDK's exporter has had no answer", retry=True)

    def close(self) -> None:
        """Shut the exporter down. A request that is under way ends at its timeout."""
        self._exporter.shutdown()

    def _keep(self, response: Any, *_: object, **__: object) -> None:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = response.raw.read(_MAX_ANSWER, decode_content=True)
        response.close()  # what is left of a longer one
        self._answers.append(Response(response.status_code, headers, body))
