# SPDX-License-Identifier: Apache-2.0
"""A kubelet's Pods API: a real gRPC server on a unix socket, as pkg/kubelet/apis/pods/server.go of Kubernetes 1.37 behaves; and its HTTPS port."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Any, Self

import grpc  # noqa: TID251  # the server side of the real protocol
from google.protobuf import json_format

from inferometer.proto import core_pb2, pods_pb2
from kubelet.certificates import Certificates
from kubelet.secured import Secured


def serialized(pod: Any) -> bytes:
    """Serialize a pod that is given as JSON; what is not among the fields of core.proto is left out."""
    return json_format.ParseDict(_timed(pod), core_pb2.Pod(), ignore_unknown_fields=True).SerializeToString()


def _timed(value: Any) -> Any:
    """Give JSON with its times as protobuf has them: a message of seconds, where JSON has a text."""
    if isinstance(value, list):
        return [_timed(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {"seconds": int(datetime.fromisoformat(each).timestamp())} if key in _TIMES and each else _timed(each)
        for key, each in value.items()
    }


_TIMES = ("lastTransitionTime", "startedAt")


class PodsApi:
    """Serves pods, given as JSON or as bytes, by UID. `refusal` refuses every call while it is set.

    A watch tells of every pod, of the end of that, and of what `put`, `delete` and `send` bring.
    """

    def __init__(self, path: Path, *pods: Any, version: str = "v1alpha1") -> None:
        self.path = path
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.lists = 0
        self.watches: list[Queue[bytes | None]] = []
        self.between: Callable[[], None] = lambda: None  # happens after a list, before the next call is answered
        self._lock = threading.RLock()
        self._pods: dict[str, bytes] = {}
        for pod in pods:
            self.put(pod)
        self._server = grpc.server(
            ThreadPoolExecutor(8), options=(("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))
        )
        handlers = {
            "ListPods": grpc.unary_unary_rpc_method_handler(self._list),
            "WatchPods": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{version}.Pods", handlers),))
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def put(self, pod: Any) -> None:
        """Add or change a pod; bytes are told of as they are."""
        uid = pod["metadata"]["uid"] if isinstance(pod, dict) else f"of {pod!r}"
        with self._lock:
            kind = pods_pb2.MODIFIED if uid in self._pods else pods_pb2.ADDED
            self._pods[uid] = serialized(pod) if isinstance(pod, dict) else pod
            self._tell(kind, self._pods[uid])

    def delete(self, pod: Any) -> None:
        """Take a pod away; the event names it and no more."""
        metadata = {key: pod["metadata"][key] for key in ("name", "namespace", "uid")}
        with self._lock:
            self._pods.pop(metadata["uid"])
            self._tell(pods_pb2.DELETED, serialized({"metadata": metadata}))

    def lose(self, pod: Any) -> None:
        """Take a pod away without an event, as a kubelet does whose watcher reads too slowly."""
        with self._lock:
            self._pods.pop(pod["metadata"]["uid"])

    def send(self, event: bytes | None) -> None:
        """Put any bytes into the watches, as an event; None ends them."""
        with self._lock:
            for queue in self.watches:
                queue.put(event)

    def _tell(self, kind: Any, pod: bytes) -> None:
        self.send(pods_pb2.WatchPodsEvent(type=kind, pod=pod).SerializeToString())

    def _list(self, _request: bytes, context: Any) -> bytes:
        self.lists += 1
        self._refuse(context)
        with self._lock:
            listed = pods_pb2.ListPodsResponse(pods=self._pods.values()).SerializeToString()
        self.between()
        return listed

    def _watch(self, _request: bytes, context: Any) -> Iterator[bytes]:
        self._refuse(context)
        queue: Queue[bytes | None] = Queue()
        with self._lock:
            self.watches.append(queue)
            known = tuple(self._pods.values())
        context.add_callback(lambda: queue.put(None))
        for pod in known:
            yield pods_pb2.WatchPodsEvent(type=pods_pb2.ADDED, pod=pod).SerializeToString()
        yield pods_pb2.WatchPodsEvent(type=pods_pb2.INITIAL_SYNC_COMPLETE).SerializeToString()
        while (event := queue.get()) is not None:
            yield event

    def _refuse(self, context: Any) -> None:
        if self.refusal is not None:
            context.abort(*self.refusal)

    def close(self) -> None:
        self.send(None)
        self._server.stop(None).wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class PodsPort(Secured):
    """The kubelet's HTTPS port: `/pods` for whoever has the token. `answer` is a status, or the bytes of a body."""

    def __init__(self, certificates: Certificates, *pods: Any, token: str = "a-token") -> None:
        self.pods = list(pods)
        self.answer: int | bytes | None = None
        self.asked: list[tuple[str, str]] = []  # path and authorization
        port = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                told = self.headers.get("Authorization", "")
                port.asked.append((self.path, told))
                status, body = 200, port.body()
                if isinstance(port.answer, int):
                    status, body = port.answer, b"told to"
                elif told != f"Bearer {token}":
                    status, body = 401, b"Unauthorized"
                elif self.path != "/pods":
                    status, body = 404, b"404 page not found"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(certificates, Handler)

    def body(self) -> bytes:
        if isinstance(self.answer, bytes):
            return self.answer
        return json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self.pods}).encode()
