# SPDX-License-Identifier: Apache-2.0
"""Sending through the OpenTelemetry SDK's gRPC exporter. Imported only where `otlp.sender: sdk` is set, with gRPC.

What is lost on the SDK's way stands in `sender_sdk`; by gRPC a partial success is lost as well.
"""

import logging
import threading

import grpc  # noqa: TID251  # the SDK's credentials and compression are gRPC's own
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: TID251  # the SDK's way
from opentelemetry.sdk.metrics.export import MetricExportResult  # noqa: TID251  # as above

from inferometer.model import Reason
from inferometer.push.answer import Verdict, judge_grpc
from inferometer.push.sdk_data import as_metrics_data
from inferometer.push.sender import read_trust
from inferometer.push.sender_grpc import as_metadata, read_credentials
from inferometer.push.sender_sdk import LOG, silence
from inferometer.push.settings import Settings

_LOG = logging.getLogger(f"{LOG}.otlp.proto.grpc.exporter")


class SdkGrpcSender:
    """The SDK's OTLPMetricExporter by gRPC."""

    def __init__(self, settings: Settings) -> None:
        """Raises Trouble that names the file where a certificate cannot be read."""
        if settings.secure:
            read_trust(settings)  # gRPC says of a bad file only that it cannot connect
        silence(LOG)
        _LOG.filters.clear()  # it leaves out what it has said a moment ago, and with it why the next call failed
        self._exporter = OTLPMetricExporter(
            endpoint=settings.target,
            insecure=not settings.secure,
            credentials=read_credentials(settings) if settings.secure else None,
            headers=as_metadata(settings.headers),  # type: ignore[arg-type]  # it hands them to gRPC, which takes bytes
            timeout=settings.timeout,
            compression=grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression,
        )

    def pack(self, request: bytes) -> bytes:
        """Give the request as it is: gRPC compresses by itself."""
        return request

    def send(self, packed: bytes, timeout: float) -> Verdict:  # noqa: ARG002  # the SDK's time is set when it is made
        """Export. Why it failed, the SDK tells its log and nobody else."""
        data = as_metrics_data(packed)
        if not data.resource_metrics:
            return Verdict(None)
        listener = _Listener()
        _LOG.addHandler(listener)
        try:
            result = self._exporter.export(data)
        finally:
            _LOG.removeHandler(listener)
        if result is MetricExportResult.SUCCESS:
            return Verdict(None)
        return listener.heard or Verdict(Reason.REFUSED, "the SDK's exporter has had no answer", retry=True)

    def close(self) -> None:
        """Shut the exporter down; it ends a `send` that waits."""
        self._exporter.shutdown()


class _Listener(logging.Handler):
    """Hears in this thread why a call failed."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: Verdict | None = None
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Take the code, and the details, which stand last."""
        if record.thread == self._thread and isinstance(record.args, tuple):
            code = next((part for part in record.args if isinstance(part, grpc.StatusCode)), None)
            if code is not None:
                self.heard = judge_grpc(code.name, str(record.args[-1] or ""), b"")
