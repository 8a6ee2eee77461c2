# SPDX-License-Identifier: Apache-2.0
"""The simulated GPUs' registers: one mapped file that the node writes at every step and the sampler child reads.

The child imports this module, so it imports nothing but the standard library.
"""

import json
import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import Any

SIZE = 1 << 18  # of the file: two documents, each with room for eight GPUs of seven instances
_SEQUENCE = struct.Struct("<Q")  # of the newest document: the odd ones and the even ones have a half of the rest each
_HEADER = struct.Struct("<QII")  # of a half: sequence, length and CRC-32 of the JSON document that follows
ROOM = (SIZE - _SEQUENCE.size) // 2 - _HEADER.size
_TRIES = 1000


def _half(sequence: int) -> int:
    return _SEQUENCE.size + sequence % 2 * (_HEADER.size + ROOM)


class Writer:
    """The node's side. The file is created, and only its owner may read it.

    What is being written is never what is being read: a writer that is interrupted leaves the document before as it is.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.ftruncate(descriptor, SIZE)
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self._sequence = 0

    def write(self, document: dict[str, Any]) -> None:
        """Replace the document. Raises ValueError if it is too large."""
        body = json.dumps(document, separators=(",", ":")).encode()
        if len(body) > ROOM:
            raise ValueError(f"{len(body)} bytes do not fit the registers")
        self._sequence += 1
        half = _half(self._sequence)
        _HEADER.pack_into(self._map, half, self._sequence, len(body), zlib.crc32(body))
        self._map[half + _HEADER.size : half + _HEADER.size + len(body)] = body
        _SEQUENCE.pack_into(self._map, 0, self._sequence)

    def close(self) -> None:
        """Let go of the mapping; the file stays to whoever made its directory."""
        self._map.close()


class Reader:
    """The child's side. Raises OSError where the file cannot be opened."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib would cost the child 1 MiB for this one line
            self._map = mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)
        self._newest: tuple[int, dict[str, Any]] = (0, {})  # one value: several threads may read

    def read(self) -> dict[str, Any]:
        """Give the newest whole document. Costs about a microsecond when it is still the same.

        Raises RuntimeError if the writer never leaves a whole one.
        """
        for _ in range(_TRIES):
            (newest,) = _SEQUENCE.unpack_from(self._map)
            known, document = self._newest
            if newest == known and newest:
                return document
            half = _half(newest)
            sequence, length, checksum = _HEADER.unpack_from(self._map, half)
            body = self._map[half + _HEADER.size : half + _HEADER.size + length]
            # Two steps later the writer is at this half again.
            if newest and sequence == newest and zlib.crc32(body) == checksum:
                document = dict(json.loads(body))
                self._newest = (sequence, document)
                return document
        raise RuntimeError("the registers are never whole")

    def close(self) -> None:
        """Let go of the mapping."""
        self._map.close()
