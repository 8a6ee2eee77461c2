# SPDX-License-Identifier: Apache-2.0
"""Sending one request by gRPC. Imported only where gRPC is configured: grpcio costs 20 MiB."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core writes to standard error past our log; read on import

import grpc  # noqa: TID251  # after its setting; the OTLP sender is one of the two that may

from inferometer.model import Reason, Trouble
from inferometer.push.answer import Verdict, judge_grpc, judge_success
from inferometer.push.sender import USER_AGENT, read_trust, system_bundle
from inferometer.push.settings import Settings

_METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_DETAILS = "grpc-status-details-bin"
_OPTIONS = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.enable_retries", 0),  # ours follow the OTLP specification, and end with the push
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection, not the failed one again
    ("grpc.max_receive_message_length", 1 << 20),  # bytes of an answer, which has a few
)


class GrpcSender:
    """OTLP/gRPC over one channel. The encoded bytes go out as they are: no generated code, no second copy."""

    def __init__(self, settings: Settings) -> None:
        """Raises Trouble that names the file where a certificate cannot be read."""
        self._settings = settings
        self._metadata = as_metadata(settings.headers)
        self._compression = grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression
        files = settings.certificate or settings.client_certificate
        self._trust = read_trust(settings) if settings.secure and files else None
        self._trusted: ssl.SSLContext | None = None  # by the channel
        self._closed = False
        self._channel = self._dial()

    def pack(self, request: bytes) -> bytes:
        """Give the request as it is: gRPC compresses by itself."""
        return request

    def send(self, packed: bytes, timeout: float) -> Verdict:
        """Call Export once."""
        try:
            self._follow_renewals()
        except Trouble as trouble:  # while a pair is being renewed, one half may not fit the other
            return Verdict(trouble.reason, trouble.told(), retry=True)
        try:
            export = self._channel.unary_unary(_METHOD)  # without serializers it takes and gives bytes
            answer = export(packed, timeout=timeout, metadata=self._metadata, compression=self._compression)
        except grpc.RpcError as error:
            return _judge_error(error)
        except ValueError:  # the channel was closed by another thread, or a header is not valid metadata
            return Verdict(Reason.REFUSED, "the channel is closed, or a header is not valid gRPC metadata")
        return judge_success(answer)

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        self._channel.close()

    def _dial(self) -> grpc.Channel:
        """Make a channel with what is to be trusted and shown now: a channel keeps the files that it was made with."""
        if not self._settings.secure:
            return grpc.insecure_channel(self._settings.target, options=_OPTIONS)
        if self._trust is not None:
            # OpenSSL has read the same files and found them good; gRPC says of a bad one only that it cannot connect.
            self._trusted = self._trust.context()
        return grpc.secure_channel(self._settings.target, read_credentials(self._settings), options=_OPTIONS)

    def _follow_renewals(self) -> None:
        """Take a new channel where a certificate's file has changed. Raises Trouble that names what cannot be used."""
        if self._trust is None or self._closed or self._trust.context() is self._trusted:
            return
        before, self._channel = self._channel, self._dial()
        before.close()
        if self._closed:  # meanwhile
            self._channel.close()


def _judge_error(error: Any) -> Verdict:
    """Judge a grpc.RpcError, which in a synchronous call is a grpc.Call as well."""
    status = next((value for key, value in error.trailing_metadata() or () if key == _DETAILS), b"")
    return judge_grpc(error.code().name, error.details() or "", status)


def as_metadata(headers: Mapping[str, str]) -> tuple[tuple[str, str | bytes], ...]:
    """Give headers as gRPC takes them: bytes where the name ends in `-bin`."""
    return tuple((key, value.encode() if key.endswith("-bin") else value) for key, value in headers.items())


def read_credentials(settings: Settings) -> grpc.ChannelCredentials:
    """Trust the configured certificates or the system's, and show the client's own where there is one."""
    bundle = settings.certificate or system_bundle()
    trusted = _read(bundle) if bundle else None  # None: a list that grpcio brings along
    chain = _read(settings.client_certificate) if settings.client_certificate else None
    key = _read(settings.client_key or settings.client_certificate) if chain else None
    return grpc.ssl_channel_credentials(trusted, key, chain)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = Reason.MISSING if isinstance(error, FileNotFoundError) else Reason.PERMISSION
        raise Trouble(reason, f"{path} cannot be read: {error.strerror}", "Name a readable PEM file.") from None
