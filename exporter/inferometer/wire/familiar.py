# SPDX-License-Identifier: Apache-2.0
"""The head of an answer that is like the one before on its connection, but for its date and its length."""

import http.client
from collections.abc import Mapping
from typing import NamedTuple

from inferometer.wire.body import fields, is_compressed

END = b"\r\n\r\n"
_LENGTH, _DATE = b"content-length", b"date"
_MOST_DIGITS = 15


class Found(NamedTuple):
    """What a familiar head says: the header fields, where the body begins and how long it is."""

    fields: Mapping[str, str]
    start: int
    length: int


class Familiar(NamedTuple):
    """A head that http.client has read, by its lines; those that differ from answer to answer are left blank in it.

    What an engine says before its page is the same each time. http.client and the parser of e-mail behind it, which are
    made for anything, take twenty times as long for it as a comparison.
    """

    lines: list[bytes]
    fields: Mapping[str, str]
    length: tuple[int, bytes]  # the place of that line, and what of it precedes its value
    date: tuple[int, bytes] | None

    def match(self, data: bytes) -> Found | None:
        """Read the head at the beginning of an answer, if all of it is there and it is like this one."""
        end = data.find(END)
        lines = data[:end].split(b"\r\n")
        if end < 0 or len(lines) != len(self.lines):
            return None
        length, found = _blank(lines, self.length), dict(self.fields)
        if not length.isdigit() or len(length) > _MOST_DIGITS:
            return None
        found["content-length"] = length.decode()
        if self.date is not None:
            date = _blank(lines, self.date)
            if not date or b"\n" in date or b"\r" in date:
                return None
            found["date"] = date.decode("iso-8859-1")
        return Found(found, end + len(END), int(length)) if lines == self.lines else None


def learn(head: bytes, response: http.client.HTTPResponse) -> Familiar | None:
    """Remember the head of an answer, if others like it can be read without http.client; `head` is what came first."""
    end = head.find(END)
    if end < 0 or response.status != http.HTTPStatus.OK or response.will_close or is_compressed(response):
        return None
    lines = head[:end].split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines]
    unusual = any(not name or name[:1].isspace() or b"\n" in line for name, line in zip(names, lines, strict=True))
    if unusual or names.count(_LENGTH) != 1 or names.count(_DATE) > 1 or b"transfer-encoding" in names:
        return None
    length = _place(lines, names.index(_LENGTH))
    date = _place(lines, names.index(_DATE)) if _DATE in names else None
    for place in filter(None, (length, date)):
        _blank(lines, place)
    return Familiar(lines, fields(response), length, date)


def _place(lines: list[bytes], index: int) -> tuple[int, bytes]:
    name, colon, value = lines[index].partition(b":")
    return index, name + colon + value[: len(value) - len(value.lstrip(b" \t"))]


def _blank(lines: list[bytes], place: tuple[int, bytes]) -> bytes:
    """Blank the line in a place; give its value, which is empty where the line is another."""
    index, before = place
    line, lines[index] = lines[index], b""
    return line[len(before) :] if line.startswith(before) else b""
