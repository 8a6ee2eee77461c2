# SPDX-License-Identifier: Apache-2.0
"""The way to the kubelet: gRPC on the unix socket that is there now, and what its statuses mean."""

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer.model import Reason, Trouble

if TYPE_CHECKING:
    import grpc  # noqa: TID251  # types only; it is imported when something is first asked


class Remedies(NamedTuple):
    """What to do about one of the kubelet's sockets: `key` is the configuration's name of its path."""

    key: str
    missing: str
    too_large: str
    unsupported: str


class KubeletSocket:
    """One of the kubelet's sockets: bytes in, bytes out. `close` may come from another thread and ends a call.

    A kubelet that restarts makes another socket, which is looked for at each call.
    """

    def __init__(self, path: str, max_message: int, remedies: Remedies) -> None:
        self.path = path
        self._max_message = max_message
        self._remedies = remedies
        self._inode: tuple[int, int] | None = None
        self._channel: grpc.Channel | None = None
        self._asking: tuple[grpc.Channel, str, Any] | None = None  # what asks a method on a channel, asked each period

    def ask(self, method: str, timeout: float) -> bytes:
        """Call a method with an empty request, and give the answer.

        Raises:
            Trouble: MISSING, PERMISSION, TIMEOUT, REFUSED, REJECTED, UNSUPPORTED, TOO_LARGE or MALFORMED.
        """
        channel, asking = self._connect(), self._asking
        if asking is None or asking[:2] != (channel, method):
            # Bytes in, bytes out: gRPC would log a message that it cannot parse with a traceback.
            made = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
            asking = self._asking = channel, method, made
        call = asking[2]
        return next(self._answers(lambda: iter((call(b"", timeout=timeout),)), method, timeout))

    def follow(self, method: str, lasting: float) -> Iterator[bytes]:
        """Call a method that streams, with an empty request, for so many seconds at most. Raises as `ask` does."""
        call: Any = self._connect().unary_stream(method, request_serializer=None, response_deserializer=None)
        try:
            yield from self._answers(lambda: call(b"", timeout=lasting), method, lasting)
        except Trouble as trouble:
            if trouble.reason is not Reason.TIMEOUT:
                raise

    def close(self) -> None:
        """Close the channel; a call under way ends."""
        channel, self._channel, self._asking = self._channel, None, None
        if channel is not None:
            channel.close()

    def _connect(self) -> "grpc.Channel":
        inode = _socket_inode(self.path, self._remedies)
        if self._channel is None or inode != self._inode:
            self.close()
            # gRPC's C core writes lines of its own to standard error; each status reaches us as an error anyway.
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")
            import grpc  # noqa: PLC0415, TID251  # 20 MiB that a node without Kubernetes never pays

            options = (
                ("grpc.max_receive_message_length", self._max_message),
                ("grpc.use_local_subchannel_pool", 1),  # or a new channel inherits the back-off of the old one
                ("grpc.enable_retries", 0),  # the next period is the retry
                ("grpc.enable_http_proxy", 0),
            )
            self._channel = grpc.insecure_channel(f"unix:{os.path.abspath(self.path)}", options)  # noqa: PTH100  # gRPC takes a relative path for a host
            self._inode = inode
        return self._channel

    def _answers(self, call: Any, method: str, timeout: float) -> Iterator[bytes]:
        import grpc  # noqa: PLC0415, TID251  # as above

        try:
            yield from call()
        except grpc.RpcError as error:
            self.close()  # a new channel next time: no back-off of gRPC's own between two periods
            raise self._trouble(error, method, timeout) from None
        except ValueError:  # "Cannot invoke RPC on closed channel!"
            raise Trouble(Reason.REFUSED, f"{self.path}: the source is closed") from None

    def _trouble(self, error: Any, method: str, timeout: float) -> Trouble:
        """Name a gRPC status (grpc.StatusCode) as the kubelet uses it."""
        path, code, details = self.path, error.code().name, str(error.details() or "")[:200]
        match code:
            case "DEADLINE_EXCEEDED":
                return Trouble(
                    Reason.TIMEOUT, f"{path}: no answer within {timeout:g} s", "see whether the kubelet hangs"
                )
            case "UNAVAILABLE":
                return Trouble(Reason.REFUSED, f"{path}: {details}", "see whether the kubelet runs")
            case "RESOURCE_EXHAUSTED" if "larger than max" in details:
                return Trouble(Reason.TOO_LARGE, f"{path}: {details}", self._remedies.too_large)
            case (
                "RESOURCE_EXHAUSTED"
            ):  # pkg/kubelet/apis/grpc/ratelimit.go: 100 a second, burst 10, for all of the node
                remedy = "find who else on this node asks the kubelet that often"
                return Trouble(Reason.REJECTED, f"{path}: {details}", remedy)
            case "FAILED_PRECONDITION":  # "Kubelet is initializing", until it has its pods from all of their sources
                return Trouble(Reason.REJECTED, f"{path}: {details}", "wait until the kubelet has started")
            case "UNIMPLEMENTED":
                message = f"{path}: the kubelet does not know {_spoken(method)}"
                return Trouble(Reason.UNSUPPORTED, message, self._remedies.unsupported)
            case "PERMISSION_DENIED" | "UNAUTHENTICATED":
                return Trouble(Reason.PERMISSION, f"{path}: {details}", "run as root")
            case "CANCELLED":
                return Trouble(Reason.REFUSED, f"{path}: the call was cancelled")
            case "INTERNAL" | "DATA_LOSS":
                return Trouble(Reason.MALFORMED, f"{path}: {details}", "see the kubelet's log")
            case _:
                return Trouble(Reason.REJECTED, f"{path}: {code}: {details}", "see the kubelet's log")


def _socket_inode(path: str, remedies: Remedies) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  # asked each period; no Path object for it
        allowed = os.access(path, os.W_OK, effective_ids=True)
    except FileNotFoundError:
        raise Trouble(Reason.MISSING, f"{path}: no such socket", remedies.missing) from None
    except OSError as error:
        found, allowed = None, False
        if not isinstance(error, PermissionError):
            raise Trouble(Reason.MISSING, f"{path}: {error.strerror}", f"correct {remedies.key}") from None
    if found is None or not allowed:
        raise Trouble(Reason.PERMISSION, f"{path}: not allowed to connect", "run as root: the socket has mode 0660")
    if not stat.S_ISSOCK(found.st_mode):
        remedy = "mount the directory of the kubelet's socket, not the socket itself"
        raise Trouble(Reason.MISSING, f"{path}: not a socket", remedy)
    return found.st_dev, found.st_ino


def _spoken(method: str) -> str:
    """Turn `/v1.PodResourcesLister/List` into `PodResourcesLister.List v1`."""
    service, _, name = method.strip("/").partition("/")
    version, _, service = service.partition(".")
    return f"{service}.{name} {version}"
