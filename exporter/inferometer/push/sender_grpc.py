# SPDX-License-Identifier: Apache-2.0
"""Sending one request by gRPC. Imported only where gRPC is configured: grpcio costs 20 MiB."""

import os
import ssl
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core writes to standard error past our log; read on import

import grpc  # noqa: TID251  # after its setting; the OTLP sender is one of the two that may

from inferometer.model import Reason, Trouble
from inferometer.push.answer import Verdict, judge_success, read_retry_delay
from inferometer.push.sender import USER_AGENT
from inferometer.push.settings import Settings

_METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_DETAILS = "grpc-status-details-bin"
_OPTIONS = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.enable_retries", 0),  # ours follow the OTLP specification, and end with the push
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection, not the failed one again
)

# Where Debian, Red Hat and SUSE keep it (gRPC core, load_system_roots_supported.cc).
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")

_Code = grpc.StatusCode
# OTLP specification, "Failures", OTLP/gRPC: what a client should retry. RESOURCE_EXHAUSTED only with a RetryInfo.
_RETRYABLE = frozenset(
    {_Code.CANCELLED, _Code.DEADLINE_EXCEEDED, _Code.ABORTED, _Code.OUT_OF_RANGE, _Code.UNAVAILABLE, _Code.DATA_LOSS}
)
_REASONS = {
    _Code.DEADLINE_EXCEEDED: Reason.TIMEOUT,
    _Code.CANCELLED: Reason.REFUSED,
    _Code.UNAVAILABLE: Reason.REFUSED,
    _Code.PERMISSION_DENIED: Reason.PERMISSION,
    _Code.UNAUTHENTICATED: Reason.PERMISSION,
    _Code.UNIMPLEMENTED: Reason.UNSUPPORTED,
}


class GrpcSender:
    """OTLP/gRPC over one channel. The encoded bytes go out as they are: no generated code, no second copy."""

    def __init__(self, settings: Settings) -> None:
        """Raises Trouble that names the file where a certificate cannot be read."""
        self._metadata = tuple(settings.headers.items())
        self._compression = grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression
        if settings.secure:
            self._channel = grpc.secure_channel(settings.target, _credentials(settings), options=_OPTIONS)
        else:
            self._channel = grpc.insecure_channel(settings.target, options=_OPTIONS)
        self._export = self._channel.unary_unary(_METHOD)  # without serializers it takes and gives bytes

    def pack(self, request: bytes) -> bytes:
        """Give the request as it is: gRPC compresses by itself."""
        return request

    def send(self, packed: bytes, timeout: float) -> Verdict:
        """Call Export once."""
        try:
            answer = self._export(packed, timeout=timeout, metadata=self._metadata, compression=self._compression)
        except grpc.RpcError as error:
            return _judge_error(error)
        except ValueError:  # the channel was closed by another thread, or a header is not valid metadata
            return Verdict(Reason.REFUSED, "the channel is closed, or a header is not valid gRPC metadata")
        return judge_success(answer)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def _judge_error(error: Any) -> Verdict:
    """Judge a grpc.RpcError, which in a synchronous call is a grpc.Call as well."""
    code: grpc.StatusCode = error.code()
    message = f"{code.name}: {' '.join((error.details() or '').split())[:200]}"
    details = next((value for key, value in error.trailing_metadata() or () if key == _DETAILS), b"")
    wait = read_retry_delay(details)
    if code is _Code.RESOURCE_EXHAUSTED:
        # With a RetryInfo it is overload; without, most likely a request above the receiver's limit.
        return Verdict(
            Reason.REJECTED if wait is not None else Reason.TOO_LARGE, message, retry=wait is not None, wait=wait
        )
    return Verdict(_REASONS.get(code, Reason.REJECTED), message, code in _RETRYABLE, wait)


def _credentials(settings: Settings) -> grpc.ChannelCredentials:
    """Trust the configured certificates or the system's, and show the client's own where there is one."""
    trusted = _read(settings.certificate) if settings.certificate else _system_roots()
    chain = _read(settings.client_certificate) if settings.client_certificate else None
    key = _read(settings.client_key or settings.client_certificate) if chain else None
    return grpc.ssl_channel_credentials(trusted, key, chain)


def _system_roots() -> bytes | None:
    """Read the system's bundle: grpcio trusts a list that it brings along, which lacks what a site has installed."""
    bundles = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((_read(path) for path in bundles if path and Path(path).is_file()), None)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = Reason.MISSING if isinstance(error, FileNotFoundError) else Reason.PERMISSION
        raise Trouble(reason, f"{path} cannot be read: {error.strerror}", "Name a readable PEM file.") from None
