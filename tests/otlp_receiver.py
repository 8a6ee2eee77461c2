# SPDX-License-Identifier: Apache-2.0
"""A real OTLP receiver in this process, by HTTP and by gRPC, that answers as a test tells it to.

It parses with opentelemetry-proto, so what it holds is what the protocol's own definition makes of the bytes.
"""

import gzip
import ssl
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc  # noqa: TID251  # the other side of the sender under test
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # the oracle
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_INFLATE: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "zstd": zstd.decompress}

METHOD = "opentelemetry.proto.collector.metrics.v1.MetricsService"


class Received(NamedTuple):
    """One request as it came: where, with which headers (lower case), how many bytes on the wire, and what it said."""

    path: str
    headers: dict[str, str]
    size: int
    request: Any


class Series(NamedTuple):
    """One data point: metric name, its own and its resource's attributes, its value and whether it ends the series."""

    metric: str
    attributes: tuple[tuple[str, str], ...]
    resource: tuple[tuple[str, str], ...]
    value: float | None
    ended: bool


class _Receiver(ABC):
    """What both protocols share: the requests, and the answers that are still to be given."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[Any] = deque()
        self.max_bytes: int | None = None  # of an uncompressed request; above it HTTP 413 or RESOURCE_EXHAUSTED
        self._changed = threading.Condition()

    def _take(self, received: Received) -> Any:
        """Keep a request; give the answer that was prepared for it, None for success."""
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
            return self.answers.popleft() if self.answers else None

    def wait_for(self, count: int, seconds: float = 30.0) -> list[Received]:
        """Give the first `count` requests as soon as they have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, seconds), (
                f"{len(self.received)} of {count} requests came within {seconds} s"
            )
            return self.received[:count]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None: ...


class Answer(NamedTuple):
    """A prepared HTTP answer; with `hang` it never comes."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/x-protobuf"),)
    hang: bool = False


class HttpReceiver(_Receiver):
    """OTLP/HTTP on 127.0.0.1, or at another address; `answers` holds `Answer`s. `tls` makes it https."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        super().__init__()
        self._released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                plain = _INFLATE[self.headers.get("Content-Encoding", "")](raw)
                request = ExportMetricsServiceRequest.FromString(plain)
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver._take(Received(self.path, headers, len(plain), request)) or Answer()
                if receiver.max_bytes is not None and len(plain) > receiver.max_bytes:
                    answer = Answer(413)
                if answer.hang:
                    receiver._released.wait(30)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                request.settimeout(30)
                if tls is None:
                    super().finish_request(request, client_address)
                    return
                try:
                    with tls.wrap_socket(request, server_side=True) as secure:
                        super().finish_request(secure, client_address)
                except OSError:
                    pass  # the client did not like our certificate, or we not the client's: the sender's matter

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a sender that hangs up is part of the tests

        self._server = Listener((address, port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://{address}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class Abort(NamedTuple):
    """A prepared gRPC failure; `details` are the bytes of grpc-status-details-bin."""

    code: grpc.StatusCode
    text: str = ""
    details: bytes = b""


class GrpcReceiver(_Receiver):
    """OTLP/gRPC on 127.0.0.1; `answers` holds `Abort`s or ExportMetricsServiceResponses."""

    def __init__(self, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(4)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=ExportMetricsServiceRequest.FromString,
            response_serializer=ExportMetricsServiceResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD, {"Export": handler}),))
        address = f"127.0.0.1:{port}"
        self.port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self.url = f"http{'s' if credentials else ''}://127.0.0.1:{self.port}"
        self._server.start()

    def _export(self, request: Any, context: Any) -> Any:
        headers = dict(context.invocation_metadata())
        size = request.ByteSize()
        answer = self._take(Received(METHOD, headers, size, request))
        if self.max_bytes is not None and size > self.max_bytes:
            text = f"received message larger than max ({size} vs. {self.max_bytes})"
            answer = Abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        if isinstance(answer, Abort):
            if answer.details:
                context.set_trailing_metadata((("grpc-status-details-bin", answer.details),))
            context.abort(answer.code, answer.text)
        return answer or ExportMetricsServiceResponse()

    def close(self) -> None:
        self._server.stop(None).wait(5)
        self._pool.shutdown()


def series(*received: Received) -> list[Series]:
    """List every data point of these requests, in order."""
    found = []
    for one in received:
        for resource in one.request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    found += [
                        Series(
                            metric.name,
                            _pairs(point.attributes),
                            _pairs(resource.resource.attributes),
                            getattr(point, "as_double", None),
                            bool(point.flags & 1),  # DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
                        )
                        for point in data.data_points
                    ]
    return found


def point_times(received: Received) -> list[float]:
    """List the times of every data point of a request, in Unix seconds to the millisecond."""
    return [
        round(point.time_unix_nano / 1e9, 3)
        for resource in received.request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def _pairs(attributes: Any) -> tuple[tuple[str, str], ...]:
    return tuple((pair.key, pair.value.string_value) for pair in attributes)
