# SPDX-License-Identifier: Apache-2.0
"""An answer whose head is like the one before on its connection, but for its date and its length: read by comparison."""

import http.client
from collections.abc import Mapping
from typing import NamedTuple

from inferometer.wire.body import fields, is_compressed

_END = b"\r\n\r\n"
_LENGTH, _DATE, _CODING = b"content-length", b"date", b"transfer-encoding"
_MOST_DIGITS = 15
_MOST_PIECES = 64  # in which a chunked body may come: each time it is gone through again

Place = tuple[int, bytes]  # of a line that differs from answer to answer, and what of it precedes its value


class Familiar(NamedTuple):
    """A head that http.client has read, by its lines; those that differ from answer to answer are left blank in it.

    What an engine says before its page is the same each time. http.client and the parser of e-mail behind it, which are
    made for anything, take many times as long for it as a comparison.
    """

    lines: list[bytes]
    fields: Mapping[str, str]
    length: Place | None  # without it the body comes in chunks
    date: Place | None

    def match(self, data: bytes) -> tuple[Mapping[str, str], int, int] | None:
        """Read the head at the beginning of an answer, if all of it is there and it is like this one.

        Gives the header fields, where the body begins, and where it ends: 0 where it says so itself.
        """
        start = data.find(_END)
        lines = data[:start].split(b"\r\n")
        if start < 0 or len(lines) != len(self.lines):
            return None
        found = dict(self.fields)
        start += len(_END)
        end = 0
        if self.length is not None:
            length = _blank(lines, self.length)
            if not length.isdigit() or len(length) > _MOST_DIGITS:
                return None
            found["content-length"] = length.decode()
            end = start + int(length)
        if self.date is not None:
            date = _blank(lines, self.date)
            if not date or b"\n" in date or b"\r" in date:
                return None
            found["date"] = date.decode("iso-8859-1")
        return (found, start, end) if lines == self.lines else None


class Coming:
    """An answer as it comes: pieces are added until it is whole, or seen to be `odd`, which http.client may judge.

    `limit` is the most bytes of its body.
    """

    def __init__(self, known: Familiar, limit: int) -> None:
        self._known = known
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: tuple[Mapping[str, str], int, int] | None = None
        self.odd = False

    def so_far(self) -> bytes:
        """Give all that has come."""
        return b"".join(self._pieces)

    def add(self, piece: bytes) -> tuple[Mapping[str, str], bytes] | None:
        """Take what has come, which is empty at the peer's hanging up; give header fields and body when all is there."""
        if self._head is None:
            self._head = self._known.match(piece)
        self._pieces.append(piece)
        self._size += len(piece)
        if self._head is None or not piece:
            self.odd = True
            return None
        found, start, end = self._head
        if end:
            self.odd = end - start > self._limit or self._size > end
            return (found, self.so_far()[start:]) if self._size == end and not self.odd else None
        if self._size - start > self._limit or len(self._pieces) > _MOST_PIECES:
            self.odd = True
        elif piece.endswith(b"\n"):
            try:
                body = _unchunked(self.so_far(), start)
            except ValueError:
                self.odd = True
            else:
                return (found, body) if body is not None else None
        return None


def learn(head: bytes, response: http.client.HTTPResponse) -> Familiar | None:
    """Remember the head of an answer, if others like it can be read without http.client; `head` is what came first."""
    end = head.find(_END)
    if end < 0 or response.status != http.HTTPStatus.OK or response.will_close or is_compressed(response):
        return None
    lines = head[:end].split(b"\r\n")
    # Before the answer an interim one may have come (RFC 9110 section 15.2), whose head is then what came first.
    if lines[0].split()[1:2] != [b"200"]:
        return None
    names = [line.partition(b":")[0].lower() for line in lines]
    unusual = any(not name or name[:1].isspace() or b"\n" in line for name, line in zip(names, lines, strict=True))
    if unusual or names.count(_LENGTH) + names.count(_CODING) != 1 or names.count(_DATE) > 1:
        return None
    if _CODING in names and not response.chunked:
        return None
    length = _place(lines, names.index(_LENGTH)) if _LENGTH in names else None
    date = _place(lines, names.index(_DATE)) if _DATE in names else None
    for place in filter(None, (length, date)):
        _blank(lines, place)
    return Familiar(lines, fields(response), length, date)


def _place(lines: list[bytes], index: int) -> Place:
    name, colon, value = lines[index].partition(b":")
    return index, name + colon + value[: len(value) - len(value.lstrip(b" \t"))]


def _blank(lines: list[bytes], place: Place) -> bytes:
    """Blank the line in a place; give its value, which is empty where the line is another."""
    index, before = place
    line, lines[index] = lines[index], b""
    return line[len(before) :] if line.startswith(before) else b""


def _unchunked(data: bytes, at: int) -> bytes | None:
    """Put the chunks of a body together (RFC 9112 section 7.1); None as long as they are not all there.

    Raises:
        ValueError: there is anything but plain chunks: extensions, trailers, more than that.
    """
    pieces: list[bytes] = []
    while True:
        end = data.find(b"\r\n", at, at + _MOST_DIGITS)
        digits = data[at : end if end >= 0 else at + _MOST_DIGITS]
        if end < 0 and not digits:
            return None
        if end < 0 or not digits.isalnum():
            raise ValueError("no size of a chunk")
        size, start = int(digits, 16), end + 2
        at = start + size
        if not size and data[at:] == b"\r\n":
            return b"".join(pieces)
        if not b"\r\n".startswith(data[at : at + 2]) or (not size and data[at:] not in (b"", b"\r")):
            raise ValueError("no end of a chunk")
        if len(data) < at + 2:
            return None
        pieces.append(data[start:at])
        at += 2
