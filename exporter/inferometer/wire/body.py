# SPDX-License-Identifier: Apache-2.0
"""An answer's header fields and its body, read and inflated within bounds."""

import http.client
import zlib
from collections.abc import Iterator, Mapping

from inferometer.model import Reason, Trouble

CHUNK = 64 << 10  # bytes read, or inflated, at once


def fields(response: http.client.HTTPResponse) -> Mapping[str, str]:
    """Give the header fields, names in lower case, repeated ones joined (RFC 9110 section 5.2)."""
    found: dict[str, str] = {}
    for key, value in response.headers.items():
        name = key.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def read_body(response: http.client.HTTPResponse, limit: int) -> bytes:
    """Read the whole body, decompressed. Neither side of the decompression may exceed `limit` bytes."""
    if response.length is not None and response.length > limit:
        raise _too_large(limit)
    body, size = [], 0
    for piece in _inflated(response, limit) if is_compressed(response) else _plain(response):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        body.append(piece)
    return b"".join(body)


def is_compressed(response: http.client.HTTPResponse) -> bool:
    """Whether the body has to be inflated. Raises Trouble MALFORMED for an encoding that nobody asked for."""
    encoding = str(response.headers.get("Content-Encoding", "identity")).strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise Trouble(Reason.MALFORMED, f"answers in the content encoding {encoding[:40]!r}, which was not asked for")
    return encoding not in {"identity", ""}


def refuse_cut(response: http.client.HTTPResponse) -> None:
    """Raise Trouble MALFORMED if the peer hung up before what its Content-Length promised."""
    if response.length:
        raise Trouble(Reason.MALFORMED, f"the answer was cut off {response.length} bytes early")


def _plain(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(CHUNK):
        yield piece
    refuse_cut(response)


def _inflated(response: http.client.HTTPResponse, limit: int) -> Iterator[bytes]:
    """Inflate gzip (members may follow one another, RFC 1952 section 2.2) or zlib, a bounded piece at a time."""
    either = zlib.MAX_WBITS | 32  # the header says which of the two
    inflater, begun, taken = zlib.decompressobj(either), False, 0
    for packed in _plain(response):
        taken += len(packed)
        if taken > limit:
            raise _too_large(limit)
        rest = packed
        while rest:
            try:
                piece = inflater.decompress(rest, CHUNK)
            except zlib.error:
                raise Trouble(Reason.MALFORMED, "the compressed answer is damaged") from None
            begun = True
            if piece:
                yield piece
            rest = inflater.unconsumed_tail
            if inflater.eof:
                rest, inflater, begun = inflater.unused_data, zlib.decompressobj(either), False
    while begun and (piece := inflater.decompress(b"", CHUNK)):  # output held back when its input was used up
        yield piece
    if begun and not inflater.eof:
        raise Trouble(Reason.MALFORMED, "the compressed answer was cut off")


def _too_large(limit: int) -> Trouble:
    return Trouble(Reason.TOO_LARGE, f"the answer is larger than {limit} bytes", "raise the limit if the page is right")
