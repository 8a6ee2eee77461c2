# SPDX-License-Identifier: Apache-2.0
"""The CRC-32 of texts together is zlib's of the whole."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from inferometer.server.crc import combine


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 3000))
def test_texts_together_have_the_sum_of_the_whole(first: bytes, second: bytes, times: int) -> None:
    """Whatever their lengths, nothing at all among them."""
    second *= times

    assert combine(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)
