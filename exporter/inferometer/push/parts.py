# SPDX-License-Identifier: Apache-2.0
"""Counting and parting the points of an ExportMetricsServiceRequest by its bytes, without decoding them. Pure.

A request that waited in the spool was laid out for another limit than the receiver turns out to have. Source:
opentelemetry-proto v1, metrics.proto.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Field numbers on the way from a request to a data point: resource_metrics, scope_metrics, metrics, one of the kinds of data
# (gauge, sum, histogram, exponential_histogram, summary), data_points.
_PATH = (frozenset({1}), frozenset({2}), frozenset({2}), frozenset({5, 7, 9, 10, 11}), frozenset({1}))

_DELIMITED = 2
_FIXED = {1: 8, 5: 4}  # bytes by wire type


class _Field(NamedTuple):
    """A field: its tag, where its value begins if it has a length, and the bytes of all of it."""

    tag: int
    inner: int
    raw: memoryview

    @property
    def value(self) -> memoryview:
        """What is inside."""
        return self.raw[self.inner :]


def count_points(request: bytes) -> int:
    """Count the data points. What is no such request has none."""
    messages: list[memoryview] = [memoryview(request)]
    try:
        for numbers in _PATH[:-1]:
            messages = [field.value for message in messages for field in _fields(message) if _leads(field, numbers)]
        return sum(_leads(field, _PATH[-1]) for message in messages for field in _fields(message))
    except ValueError:
        return 0


def split(request: bytes, max_bytes: int) -> Iterator[bytes]:
    """Give requests of at most `max_bytes` that together say the same, in its order; what cannot be parted stays larger.

    Each has the resource, the scope and the metric of its points again, and no two equal resources that the whole had not.
    """
    waiting = [request]
    while waiting:
        one = waiting.pop()
        halves = halve(one) if len(one) > max_bytes else None
        if halves is None:
            yield one
        else:
            waiting += (halves[1], halves[0])


def halve(request: bytes) -> tuple[bytes, bytes] | None:
    """Part a request into two of about the same size; None where it has a single point, or is no request."""
    try:
        return _halve(memoryview(request), _PATH)
    except ValueError:
        return None


def _halve(message: memoryview, path: tuple[frozenset[int], ...]) -> tuple[bytes, bytes] | None:
    if not path:
        return None
    every = list(_fields(message))
    ways = [i for i, field in enumerate(every) if _leads(field, path[0])]
    if not ways:
        return None
    if len(ways) == 1:
        field = every[ways[0]]
        halves = _halve(field.value, path[1:])
        if halves is None:
            return None
        first, second = (_delimited(field.tag, half) for half in halves)
        before, after = every[: ways[0]], every[ways[0] + 1 :]
        return _join(before, first, after), _join(before, second, after)
    total, so_far, cut = sum(len(every[i].raw) for i in ways), 0, 0
    while cut < len(ways) - 1 and (cut == 0 or 2 * (so_far + len(every[ways[cut]].raw)) <= total):
        so_far += len(every[ways[cut]].raw)
        cut += 1
    left, right = set(ways[:cut]), set(ways[cut:])
    return (
        b"".join(field.raw for i, field in enumerate(every) if i not in right),
        b"".join(field.raw for i, field in enumerate(every) if i not in left),
    )


def _join(before: Iterable[_Field], middle: bytes, after: Iterable[_Field]) -> bytes:
    return b"".join((*(field.raw for field in before), middle, *(field.raw for field in after)))


def _leads(field: _Field, numbers: frozenset[int]) -> bool:
    return field.tag & 7 == _DELIMITED and field.tag >> 3 in numbers


def _delimited(tag: int, value: bytes) -> bytes:
    return _written(tag) + _written(len(value)) + value


def _fields(message: memoryview) -> Iterator[_Field]:
    """Give the fields of a message. Raises ValueError where it is none."""
    at, end = 0, len(message)
    while at < end:
        begin = at
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _DELIMITED:
            size, at = _varint(message, at)
            inner, at = at, at + size
        elif wire == 0:
            inner = at
            _, at = _varint(message, at)
        elif wire in _FIXED:
            inner, at = at, at + _FIXED[wire]
        else:
            raise ValueError("not a protobuf message")
        if at > end:
            raise ValueError("a protobuf message that is cut off")
        yield _Field(tag, inner - begin, message[begin:at])


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte, at = message[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a protobuf message that is cut off")


def _written(value: int) -> bytes:
    """Write a varint."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
