# SPDX-License-Identifier: Apache-2.0
"""What is compressed by ISA-L or by zlib is read back by zlib, which is what everybody else has."""

import random
import subprocess
import sys
import zlib
from importlib import import_module
from types import ModuleType

import pytest

from inferometer import compression

TEXTS = (b"", b"x", b"a page of numbers\n" * 9999, random.Random(1).randbytes(70_000))


@pytest.fixture(params=["isal.isal_zlib", "zlib"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each library in turn."""
    found = import_module(request.param)
    monkeypatch.setattr(compression, "fast", found)
    return found


def _part(deflater: compression.Deflater, *pieces: bytes) -> bytes:
    return b"".join((*map(deflater.add, pieces), deflater.end()))


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_what_is_compressed_is_read_back(text: bytes) -> None:
    """Gzip and zlib's format, by zlib; gzip also by what made it."""
    packed = compression.gzip(text)

    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert (member.decompress(packed), member.eof, member.unused_data) == (text, True, b"")
    assert compression.gunzip(packed) == text
    assert zlib.decompress(compression.deflate(text)) == text


def test_the_same_text_gives_the_same_bytes() -> None:
    """Neither a clock nor what was compressed before is in them."""
    text = TEXTS[2]
    used = compression.Deflater()
    _part(used, TEXTS[3])

    assert compression.gzip(text) == compression.gzip(text)
    assert _part(used, text) == _part(compression.Deflater(), text)


def test_parts_can_be_put_together_in_any_order() -> None:
    """Of one deflater or of several, in however many pieces: a part does not need what stood before it."""
    one, other = compression.Deflater(), compression.Deflater()
    parts = [
        (text, _part(each, text[:cut], text[cut:])) for text in TEXTS for each in (one, other) for cut in (0, 50_000)
    ]
    dice = random.Random(2)

    for _ in range(20):
        several = dice.choices(parts, k=5)
        body = b"".join(packed for _, packed in several) + zlib.compressobj(wbits=-zlib.MAX_WBITS).flush()
        assert zlib.decompress(body, wbits=-zlib.MAX_WBITS) == b"".join(text for text, _ in several)


def test_checksums_are_zlibs() -> None:
    """From the start, and going on after another text."""
    for text in TEXTS:
        assert compression.crc32(text) == zlib.crc32(text)
        assert compression.crc32(memoryview(text), 17) == zlib.crc32(text, 17)


def test_zlib_is_there_where_isa_l_is_not() -> None:
    """A platform without a wheel compresses all the same."""
    code = (
        "import sys; sys.modules['isal'] = None; from inferometer import compression; print(compression.fast.__name__)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "zlib\n"


def test_isa_l_is_used_where_it_is() -> None:
    """Which is what is installed with the agent."""
    code = "from inferometer import compression; print(compression.fast.__name__)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "isal.isal_zlib\n"
