# SPDX-License-Identifier: Apache-2.0
"""One request on disk: a head and a compressed body, each with its CRC. Pure.

The head is 36 bytes, little-endian: the magic `IFOTLP` with two digits of version, the time it was made (Unix seconds, f8),
its data points (u4), flags (u4; 1: the last request of its push), the lengths of the compressed and of the plain body (u4
each), and the CRC-32 of all that. Then the body, zlib, and its CRC-32. Whatever is cut off or altered reads as a ValueError.
"""

import math
import struct
import zlib
from typing import NamedTuple

from inferometer.compression import crc32, deflate

VERSION = 1

_MAGIC = b"IFOTLP%02d" % VERSION
_HEAD = struct.Struct("<8sdIIII")
_CRC = struct.Struct("<I")
_LAST = 1
_MOST = 1 << 28  # bytes of a body: no request is longer

HEAD_SIZE = _HEAD.size + _CRC.size


class Head(NamedTuple):
    """What is known of a request without its body. `at` is Unix seconds, `points` counts its data points."""

    at: float
    points: int
    last: bool


def write(head: Head, body: bytes) -> bytes:
    """Write a record."""
    packed = deflate(body)
    start = _HEAD.pack(_MAGIC, head.at, head.points, _LAST if head.last else 0, len(packed), len(body))
    return b"".join((start, _crc(start), packed, _crc(packed)))


def read_head(record: bytes) -> Head:
    """Read what stands at the start of a record. Raises ValueError if that is cut off, altered or of another version."""
    return _head(record)[0]


def read(record: bytes) -> tuple[Head, bytes]:
    """Read a whole record: its head and its body. Raises ValueError if any of it is cut off or altered."""
    head, packed_size, size = _head(record)
    packed, crc = record[HEAD_SIZE : HEAD_SIZE + packed_size], record[HEAD_SIZE + packed_size :]
    if len(packed) != packed_size or crc != _crc(packed):
        raise ValueError("the body is cut off or altered")
    unpack = zlib.decompressobj()
    try:
        body = unpack.decompress(packed, max(1, size))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(body) != size:
        raise ValueError("the body is not as long as it should be")
    return head, body


def _head(record: bytes) -> tuple[Head, int, int]:
    start = record[: _HEAD.size]
    if len(record) < HEAD_SIZE or record[_HEAD.size : HEAD_SIZE] != _crc(start):
        raise ValueError("the head is cut off or altered")
    magic, at, points, flags, packed_size, size = _HEAD.unpack(start)
    if magic != _MAGIC or not math.isfinite(at) or size > _MOST:
        raise ValueError("another version")
    return Head(at, points, bool(flags & _LAST)), packed_size, size


def _crc(data: bytes) -> bytes:
    return _CRC.pack(crc32(data))
