# SPDX-License-Identifier: Apache-2.0
"""A kubelet's PodResources socket: a real gRPC server on a unix socket, fed from recorded answers, with faults."""

import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc  # noqa: TID251  # the server side of the real protocol
from google.protobuf import json_format

from inferometer.proto import podresources_pb2

Answer = Callable[[Any], bytes]


def message(listed: Any) -> bytes:
    """Serialize a ListPodResourcesResponse given as protobuf JSON."""
    response = podresources_pb2.ListPodResourcesResponse()
    json_format.ParseDict(listed, response)
    return response.SerializeToString()


def recorded(path: Path) -> bytes:
    """Serialize a recorded answer of a real kubelet."""
    return message(json.loads(path.read_bytes())["list"])


def always(answer: bytes) -> Answer:
    return lambda _context: answer


def refusing(code: grpc.StatusCode, details: str) -> Answer:
    """Answer with a gRPC status."""

    def answer(context: Any) -> bytes:
        context.abort(code, details)
        raise AssertionError("abort raises")

    return answer


def rate_limited() -> Answer:
    """Refuse as the kubelet's rate limiter does (pkg/kubelet/apis/grpc/ratelimit.go)."""
    return refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit")


class Kubelet:
    """Serves `answer` as v1 List on `path`. `service` may be another one, as on an old kubelet."""

    def __init__(self, path: Path, answer: Answer, *, service: str = "v1.PodResourcesLister") -> None:
        self.path = path
        self.answer = answer
        self.asked = 0
        self._over = threading.Event()
        self._server = grpc.server(
            ThreadPoolExecutor(2), options=(("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))
        )
        handler = grpc.unary_unary_rpc_method_handler(self._list)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"List": handler}),))
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def hang(self, _context: Any) -> bytes:
        """Answer when the kubelet is closed."""
        self._over.wait(30)
        return b""

    def _list(self, _request: bytes, context: Any) -> bytes:
        self.asked += 1
        return self.answer(context)

    def close(self) -> None:
        self._over.set()
        self._server.stop(None).wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class Impostor:
    """A unix socket that speaks something else: it sends `noise` to whoever connects, and then hangs up or not."""

    def __init__(self, path: Path, noise: bytes, *, hang_up: bool = True) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._noise, self._hang_up = noise, hang_up
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                with suppress(OSError):
                    peer.sendall(self._noise)
                if self._hang_up:
                    peer.close()
                else:
                    self._kept.append(peer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for peer in self._kept:
            peer.close()
