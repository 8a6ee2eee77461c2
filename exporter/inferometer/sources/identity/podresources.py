# SPDX-License-Identifier: Apache-2.0
"""Which container holds which device, from the kubelet's PodResources API (v1, KEP-606 and KEP-3695)."""

import os
import stat
from typing import TYPE_CHECKING, Any

from inferometer import config
from inferometer.model import Allocation, Binding, Reason, Trouble

if TYPE_CHECKING:
    import grpc  # noqa: TID251  # types only; the source imports it when it first reads

LIST = "/v1.PodResourcesLister/List"
CALL = "PodResourcesLister.List"

BINDINGS = (
    Binding("gpu.owner.info", f"{CALL} containers[].devices[].device_ids", "podresources"),
    Binding("gpu.owner.info", f"{CALL} containers[].dynamic_resources[].claim_resources[]", "podresources"),
)


class PodResources:
    """The kubelet's answer as allocations, sorted, each once: a `model.Source[tuple[Allocation, ...]]`."""

    name = "podresources"
    instance = ""

    def __init__(self, config: config.PodResources, period: float) -> None:
        self.period = period
        self.deadline = float(config.deadline)
        self._path = config.socket
        self._max_message = int(config.max_message)
        self._inode: tuple[int, int] | None = None
        self._channel: grpc.Channel | None = None
        self._known: tuple[bytes, tuple[Allocation, ...]] | None = None

    def read(self) -> tuple[Allocation, ...]:
        """Ask once. An answer equal to the one before is not parsed again.

        Raises:
            Trouble: MISSING, PERMISSION, TIMEOUT, REFUSED, REJECTED, UNSUPPORTED, TOO_LARGE or MALFORMED.
        """
        answer = self._list(self._connect())
        if self._known is None or answer != self._known[0]:
            from inferometer.sources.identity import allocations  # noqa: PLC0415  # with it comes protobuf, 3 MiB

            try:
                self._known = answer, allocations.parse(answer)
            except ValueError as error:
                remedy = "see whether the socket is the kubelet's"
                raise Trouble(Reason.MALFORMED, f"{self._path}: {error}", remedy) from None
        return self._known[1]

    def close(self) -> None:
        """Close the channel; a call under way ends."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _connect(self) -> "grpc.Channel":
        """Give the channel to the socket that is there now; a kubelet that restarts makes another one."""
        inode = _socket_inode(self._path)
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
            self._channel = grpc.insecure_channel(f"unix:{os.path.abspath(self._path)}", options)  # noqa: PTH100  # gRPC takes a relative path for a host
            self._inode = inode
        return self._channel

    def _list(self, channel: "grpc.Channel") -> bytes:
        import grpc  # noqa: PLC0415, TID251  # as above

        # Bytes in, bytes out: gRPC would log a message that it cannot parse with a traceback.
        ask: Any = channel.unary_unary(LIST, request_serializer=None, response_deserializer=None)
        try:
            answer: bytes = ask(b"", timeout=self.deadline)  # an empty message is an empty ListPodResourcesRequest
        except grpc.RpcError as error:
            self.close()  # a new channel next time: no back-off of gRPC's own between two periods
            raise _trouble(self._path, error, self.deadline) from None
        except ValueError:  # "Cannot invoke RPC on closed channel!"
            raise Trouble(Reason.REFUSED, f"{self._path}: the source is closed") from None
        return answer


def _socket_inode(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  # asked each period; no Path object for it
        allowed = os.access(path, os.W_OK, effective_ids=True)
    except FileNotFoundError:
        remedy = "mount the directory of the kubelet's socket; without Kubernetes, disable identity.podresources"
        raise Trouble(Reason.MISSING, f"{path}: no such socket", remedy) from None
    except OSError as error:
        found, allowed = None, False
        if not isinstance(error, PermissionError):
            raise Trouble(Reason.MISSING, f"{path}: {error.strerror}", "correct identity.podresources.socket") from None
    if found is None or not allowed:
        raise Trouble(Reason.PERMISSION, f"{path}: not allowed to connect", "run as root: the socket has mode 0660")
    if not stat.S_ISSOCK(found.st_mode):
        remedy = "mount the directory of the kubelet's socket, not the socket itself"
        raise Trouble(Reason.MISSING, f"{path}: not a socket", remedy)
    return found.st_dev, found.st_ino


def _trouble(path: str, error: Any, deadline: float) -> Trouble:
    """Name a gRPC status (grpc.StatusCode) as the kubelet uses it."""
    code, details = error.code().name, str(error.details() or "")[:200]
    match code:
        case "DEADLINE_EXCEEDED":
            return Trouble(Reason.TIMEOUT, f"{path}: no answer within {deadline:g} s", "see whether the kubelet hangs")
        case "UNAVAILABLE":
            return Trouble(Reason.REFUSED, f"{path}: {details}", "see whether the kubelet runs")
        case "RESOURCE_EXHAUSTED" if "larger than max" in details:
            remedy = "raise identity.podresources.max_message"
            return Trouble(Reason.TOO_LARGE, f"{path}: {details}", remedy)
        case "RESOURCE_EXHAUSTED":  # pkg/kubelet/apis/grpc/ratelimit.go: 100 a second, burst 10, for all of the node
            remedy = "find who else on this node asks the kubelet that often"
            return Trouble(Reason.REJECTED, f"{path}: {details}", remedy)
        case "UNIMPLEMENTED":
            remedy = "upgrade to a kubelet that serves PodResources v1 (1.20 or newer)"
            return Trouble(Reason.UNSUPPORTED, f"{path}: the kubelet does not know {CALL} v1", remedy)
        case "PERMISSION_DENIED" | "UNAUTHENTICATED":
            return Trouble(Reason.PERMISSION, f"{path}: {details}", "run as root")
        case "CANCELLED":
            return Trouble(Reason.REFUSED, f"{path}: the call was cancelled")
        case "INTERNAL" | "DATA_LOSS":
            return Trouble(Reason.MALFORMED, f"{path}: {details}", "see the kubelet's log")
        case _:
            return Trouble(Reason.REJECTED, f"{path}: {code}: {details}", "see the kubelet's log")
