# SPDX-License-Identifier: Apache-2.0
"""Compressing what the agent says: by ISA-L, in a fifth of zlib's time, or by zlib where there is no ISA-L.

Either writes the same formats. What others have compressed is inflated by zlib alone, wherever that is: of the two it is the
one that strangers have tried to break for thirty years.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zlib as fast  # isal_zlib has the same functions, of the same types
else:
    try:
        from isal import isal_zlib as fast
    except ImportError:  # there is no wheel for every platform
        import zlib as fast

_GZIP = 16 + fast.MAX_WBITS  # zlib's way to say: with gzip's header and trailer
_LEVEL = 1  # ISA-L's others save nothing; zlib's level 6 takes three times as long for a sixth fewer bytes


def gzip(text: bytes) -> bytes:
    """Compress into one member of gzip (RFC 1952)."""
    return fast.compress(text, _LEVEL, wbits=_GZIP)


def gunzip(packed: bytes) -> bytes:
    """Give the text of what was compressed here."""
    return fast.decompress(packed, wbits=_GZIP)


def deflate(text: bytes) -> bytes:
    """Compress into zlib's own format (RFC 1950)."""
    return fast.compress(text, _LEVEL)


class Deflater:
    """Compresses parts of which any can be put together in any order: blocks of RFC 1951, of which none is the last."""

    def __init__(self) -> None:
        self._deflater = fast.compressobj(_LEVEL, wbits=-fast.MAX_WBITS)

    def add(self, piece: bytes) -> bytes:
        """Compress a piece of a part; what is given back may be of earlier ones, or nothing yet."""
        return self._deflater.compress(piece)

    def end(self) -> bytes:
        """Compress the rest of a part; after a full flush nothing refers to what was before it (zlib's manual, Z_FULL_FLUSH)."""
        return self._deflater.flush(fast.Z_FULL_FLUSH)


def crc32(text: bytes | memoryview, before: int = 0) -> int:
    """Give the CRC-32 of a text, as gzip's trailer has it, that goes on after one with the CRC-32 `before`."""
    return fast.crc32(text, before)
