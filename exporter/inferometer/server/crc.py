# SPDX-License-Identifier: Apache-2.0
"""The CRC-32 of two texts together, from those of each: what gzip's trailer needs of a text that is only there compressed.

As zlib's `crc32_combine`, which Python's module does not pass on. To append n bytes multiplies a CRC by x to the 8n modulo the
polynomial over GF(2), written with its lowest power in the highest bit (RFC 1952 section 8).
"""

from functools import lru_cache

_POLYNOMIAL = 0xEDB8_8320
_ONE = 1 << 31
_BYTE = 1 << 23  # x to the 8


def combine(first: int, second: int, size: int) -> int:
    """Give the CRC-32 of a text followed by another one, of `size` bytes, from the CRC-32 of each."""
    return _product(_power(size), first) ^ second


def _product(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFF_FFFF
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


@lru_cache(256)  # a page has 64 parts at most, whose sizes are mostly what they were
def _power(size: int) -> int:
    """Give x to the 8 `size`."""
    power, square = _ONE, _BYTE
    while size:
        if size & 1:
            power = _product(square, power)
        square = _product(square, square)
        size >>= 1
    return power
