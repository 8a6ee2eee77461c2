# SPDX-License-Identifier: Apache-2.0
"""What the kubelet's Pods API says, as pods: core/v1 protobuf read by way of the names that its JSON has; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message

from inferometer.proto import core_pb2, pods_pb2

ADDED, MODIFIED = pods_pb2.ADDED, pods_pb2.MODIFIED
DELETED, SYNCED = pods_pb2.DELETED, pods_pb2.INITIAL_SYNC_COMPLETE


def read_list(answer: bytes) -> Sequence[bytes]:
    """Take a serialized ListPodsResponse apart; the pods remain serialized. Raises ValueError if it is none."""
    try:
        return pods_pb2.ListPodsResponse.FromString(answer).pods
    except DecodeError:
        raise ValueError("not a ListPodsResponse") from None


def read_event(event: bytes) -> tuple[int, bytes]:
    """Give a serialized WatchPodsEvent's type and its pod, still serialized. Raises ValueError if it is none."""
    try:
        told = pods_pb2.WatchPodsEvent.FromString(event)
    except DecodeError:
        raise ValueError("not a WatchPodsEvent") from None
    return told.type, told.pod


def read_pod(pod: bytes) -> Any:
    """Give a serialized Pod as its decoded JSON would be, as far as anybody reads it; None if it is no pod."""
    try:
        return _plain(core_pb2.Pod.FromString(pod))
    except DecodeError:
        return None


def _plain(value: Any) -> Any:
    """Turn a message into dicts and lists. What is not set is left out, as Go's JSON leaves it out."""
    match value:
        case Message():
            return {field.name: _plain(one) for field, one in value.ListFields()}
        case bytes():  # Go writes what is no UTF-8 into protobuf as it is, and replaces it in JSON
            return value.decode("utf-8", "replace")
        case str() | bool() | int():
            return value
        case Mapping():
            return {_plain(key): _plain(one) for key, one in value.items()}
        case _:
            return [_plain(one) for one in value]
