# SPDX-License-Identifier: Apache-2.0
"""Requests: the part of HTTP/1.1 (RFC 9112) that a read-only server needs, and nothing that could be smuggled through it."""

import re
from typing import NamedTuple

MAX_LINE = 8 * 1024  # bytes of the request line
MAX_HEAD = 16 * 1024  # bytes of the request line and all headers
MAX_HEADERS = 100

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/(\d)\.(\d)")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


class Refusal(Exception):  # noqa: N818  # an answer, not an error: it carries the status that the client gets
    """A request that cannot be served. The connection ends with it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Request(NamedTuple):
    """One request. `path` is without its query; header names are lower case; `keep` says the connection may stay open."""

    method: str
    path: str
    headers: dict[str, str]
    keep: bool


def take_request(buffer: bytearray) -> Request | None:
    """Take one request's head off the front of `buffer`; None while it is incomplete.

    Raises Refusal for what is malformed (400), too long (414, 431) or of another protocol version (505), as early as
    it shows, so that a client that speaks TLS or sends an endless line learns it at once.
    """
    while buffer.startswith(b"\r\n"):  # RFC 9112 section 2.2: empty lines before a request are ignored
        del buffer[:2]
    if buffer == b"\r":
        return None  # the first half of one
    if buffer and not 0x21 <= buffer[0] <= 0x7E:
        raise Refusal(400, "This is not HTTP.")
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
    line_end = buffer.find(b"\r\n", 0, MAX_LINE + 2)
    if line_end < 0 and len(buffer) > MAX_LINE:
        raise Refusal(414, f"The request line is longer than {MAX_LINE} bytes.")
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise Refusal(431, f"The headers are longer than {MAX_HEAD} bytes.")
        return None
    lines = bytes(buffer[:end]).split(b"\r\n")
    del buffer[: end + 4]
    return _parse(lines[0], lines[1:])


def _parse(line: bytes, header_lines: list[bytes]) -> Request:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Refusal(400, "The request line is malformed.")
    method, target, major, minor = (part.decode("ascii") for part in match.groups())
    if major != "1":
        raise Refusal(505, "This server speaks HTTP/1.1.")
    headers = _parse_headers(header_lines)
    modern = minor != "0"
    if modern and "host" not in headers:
        raise Refusal(400, "The Host header is missing.")
    path = _ABSOLUTE.sub("", target, count=1).partition("?")[0] or "/"
    # A body is never read: the connection ends after the answer instead, so that no byte of it is taken for a request.
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    closes = "close" in (option.strip() for option in headers.get("connection", "").lower().split(","))
    return Request(method, path, headers, keep=modern and not closes and not has_body)


def _parse_headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise Refusal(431, f"There are more than {MAX_HEADERS} headers.")
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise Refusal(400, "A header is malformed.")
        name, value = match[1].decode("ascii").lower(), match[2].decode("latin-1").rstrip(" \t")
        if name in headers:
            if name in {"host", "content-length"}:
                raise Refusal(400, f"The {name.title()} header stands twice.")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers
