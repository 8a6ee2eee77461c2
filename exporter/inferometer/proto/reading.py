# SPDX-License-Identifier: Apache-2.0
"""Protobuf's encoding, read field by field: where a message has few fields, generated code costs 3 MiB and saves nothing.

Source: https://protobuf.dev/programming-guides/encoding/. Groups, which nobody writes any more, are not read.
"""

from collections.abc import Iterator, Mapping, Sequence

Message = Mapping[int, Sequence[bytes]]  # what its fields hold, by their numbers

_MOST = 1 << 29  # field numbers end before this
_VARINT, _DELIMITED = 0, 2  # kinds of values on the wire
_FIXED = {1: 8, 5: 4}  # others, and their bytes
_WIRES = frozenset({_VARINT, _DELIMITED, *_FIXED})


class MessageError(ValueError):
    """What was read is no message."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give the fields of a message as (number, value): numbers as unsigned int, whatever they mean, all else as bytes.

    Raises MessageError where it is none.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < _MOST or wire not in _WIRES:
            raise MessageError("not a protobuf message")
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = _varint(message, at) if wire == _DELIMITED else (_FIXED[wire], at)
        begin, at = at, at + size
        if at > end:
            raise MessageError("a protobuf message that is cut off")
        yield number, message[begin:at] if wire == _DELIMITED else int.from_bytes(message[begin:at], "little")


def parts(message: bytes) -> Message:
    """Give the texts, bytes and messages in a message by their fields' numbers. Raises MessageError where it is none."""
    found: dict[int, list[bytes]] = {}
    for number, value in fields(message):
        if isinstance(value, bytes):
            found.setdefault(number, []).append(value)
    return found


def text(message: Message, number: int) -> str:
    """Give a field's text: the last one counts, and none is empty. Raises MessageError if it is no UTF-8."""
    return texts(message, number)[-1] if number in message else ""


def texts(message: Message, number: int) -> Sequence[str]:
    """Give a repeated field's texts. Raises MessageError if one is no UTF-8."""
    try:
        return [each.decode() for each in message.get(number, ())]
    except UnicodeDecodeError:
        raise MessageError("a text of a protobuf message is not UTF-8") from None


def _varint(message: bytes, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 0x80:  # most are of one byte
        return message[at], at + 1
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise MessageError("a protobuf message that is cut off")
        byte, at = message[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MessageError("not a protobuf message")
