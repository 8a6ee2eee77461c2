# SPDX-License-Identifier: Apache-2.0
"""What NVML's binding takes and gives, as JSON and back: numbers, texts, lists, handles, and any structure by its members.

No structure is named here: their `_fields_` say all. Zero members are left out, the zero end of an array too. A handle is
written `@gpu0`, a text that begins with `@` has another one before it, a structure `{"its type": {its members}}`, an array
`{"its type[length]": [...]}`, a union and an array of bytes as hexadecimal digits.
"""

import ctypes
import math
import re
from collections.abc import Iterator
from typing import Any, Protocol

from inferometer.sources.devices.captures import handles

Json = Any

_BYTES = (ctypes.c_ubyte, ctypes.c_byte)
_BYREF = type(ctypes.byref(ctypes.c_int()))
_SIMPLE: type = ctypes.c_int.__mro__[1]  # the base of all numbers
_NOTHING: tuple[Json, ...] = (0, None, "", [], {})


class View(Protocol):
    """How single values are written: masked or not. `where` is the call, and the member if there is one: `call.member`."""

    def text(self, where: str, text: str) -> Json:
        """Write a text."""

    def number(self, where: str, number: float) -> Json:
        """Write a number."""

    def data(self, where: str, data: bytes) -> Json:
        """Write bytes."""

    def handle(self, pointer: handles.Pointer) -> str | None:
        """Write a handle."""


def target(value: Any) -> Any:
    """Give what `byref` points to; everything else as it is."""
    return getattr(value, "_obj") if isinstance(value, _BYREF) else value  # noqa: B009  # ctypes does not tell its type


def is_filled(value: object) -> bool:
    """Tell whether a call may write into this argument."""
    return isinstance(value, ctypes.Structure | ctypes.Union | ctypes.Array | _SIMPLE)


def members(type_: type) -> Iterator[tuple[str, Any]]:
    """Give the members of a structure's type, inherited ones first."""
    for part in reversed(type_.__mro__):
        for name, kind, *_ in vars(part).get("_fields_", ()):
            yield name, kind


# --- to JSON --------------------------------------------------------------------------------------------------------


def plain(value: Any, where: str, view: View) -> Json:
    """Write a value."""
    value = target(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value, where, view)
    if isinstance(value, str):
        return _text(value, where, view)
    if isinstance(value, bytes):
        return {"bytes": view.data(where, value)}
    if handles.is_handle(value):
        name = view.handle(value)
        return f"@{name}" if name else None
    if isinstance(value, list):
        return [plain(item, where, view) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [plain(item, where, view) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[key, plain(item, f"{where}.{key}", view)] for key, item in value.items()]}
    if is_filled(value):
        length = f"[{len(value)}]" if isinstance(value, ctypes.Array) else ""
        name = value._type_.__name__ if isinstance(value, ctypes.Array) else type(value).__name__
        return {f"{name}{length}": _held(value, where, view)}
    if hasattr(value, "__dict__"):  # one of the binding's friendly objects
        return {
            type(value).__name__: {name: plain(item, f"{where}.{name}", view) for name, item in vars(value).items()}
        }
    return {"opaque": type(value).__name__}


def _number(number: float, where: str, view: View) -> Json:
    if not math.isfinite(number):
        return {"float": str(number)}
    return view.number(where, number)


def _text(text: str, where: str, view: View) -> Json:
    return ("@" if text.startswith("@") else "") + view.text(where, text)


def _held(value: Any, where: str, view: View) -> Json:
    """Write what a ctypes object holds."""
    if isinstance(value, ctypes.Union):
        return bytes(value).hex()
    if isinstance(value, ctypes.Structure):
        found = ((name, _member(value, name, kind, f"{where}.{name}", view)) for name, kind in members(type(value)))
        return {name: item for name, item in found if item not in _NOTHING}
    if isinstance(value, ctypes.Array):
        return _array(bytes(value), value, where, view)
    return plain(value.value, where, view)


def _member(owner: Any, name: str, kind: Any, where: str, view: View) -> Json:
    if issubclass(kind, ctypes.Array) and kind._type_ in (ctypes.c_char, *_BYTES):
        # By its bytes: the binding's own way to them stumbles over what is no text.
        place = getattr(type(owner), name)
        raw = ctypes.string_at(ctypes.addressof(owner) + place.offset, place.size)
        return _characters(raw, where, view) if kind._type_ is ctypes.c_char else _data(raw, where, view)
    if kind is ctypes.c_char:
        return ctypes.string_at(ctypes.addressof(owner) + getattr(type(owner), name).offset, 1)[0]
    value = getattr(owner, name)
    if isinstance(value, ctypes.Structure | ctypes.Union | ctypes.Array):
        return _held(value, where, view)
    if kind is ctypes.c_void_p or (isinstance(kind, handles.POINTER) and not handles.is_handle(value)):
        return None  # an address of this process
    return plain(value, where, view)


def _array(raw: bytes, array: Any, where: str, view: View) -> Json:
    if array._type_ is ctypes.c_char:
        return _characters(raw, where, view)
    if array._type_ in _BYTES:
        return _data(raw, where, view)
    written = [_held(item, where, view) if is_filled(item) else plain(item, where, view) for item in array]
    while written and written[-1] in _NOTHING:
        written.pop()
    return written


def _characters(raw: bytes, where: str, view: View) -> Json:
    raw = raw.rstrip(b"\0")
    text = raw.partition(b"\0")[0].decode(errors="replace")
    if text.isprintable() and "\ufffd" not in text and bool(text) == bool(raw):
        return _text(text, where, view)
    digits = _data(raw, where, view)
    return {"hex": digits} if digits else ""


def _data(raw: bytes, where: str, view: View) -> Json:
    raw = raw.rstrip(b"\0")
    return view.data(where, raw) if raw else ""


# --- and back -------------------------------------------------------------------------------------------------------


class Source(Protocol):
    """What makes values of a capture live ones."""

    binding: Any

    def pointer(self, name: str) -> handles.Pointer:
        """Give the handle of a name."""

    def moment(self, microseconds: int) -> int:
        """Give the time that lies so far after the beginning."""


def build(written: Json, source: Source) -> Any:
    """Make the value that was written. Raises AttributeError for a type that the binding does not have."""
    if isinstance(written, str):
        if written.startswith("@@"):
            return written[1:]
        return source.pointer(written[1:]) if written.startswith("@") else written
    if isinstance(written, list):
        return [build(item, source) for item in written]
    if not isinstance(written, dict):
        return written
    ((type_, held),) = written.items()
    if type_ in _PLAIN:
        return _plain_value(type_, held, source)
    if array := re.fullmatch(r"(\w+)\[(\d+)\]", type_):
        kind = getattr(source.binding, array[1], None) or getattr(ctypes, array[1])
        filled = (kind * int(array[2]))()
        fill(filled, held, source)
        return filled
    made = getattr(source.binding, type_, None)
    if made is None:
        made = getattr(ctypes, type_)
    if not issubclass(made, ctypes.Structure | ctypes.Union | _SIMPLE):
        return made({name: build(item, source) for name, item in held.items()})
    filled = made.from_buffer(bytearray(ctypes.sizeof(made)))  # some of the binding's own constructors want more
    fill(filled, held, source)
    return filled


_PLAIN = frozenset({"tuple", "dict", "bytes", "float", "time", "opaque"})


def _plain_value(type_: str, held: Json, source: Source) -> Any:
    """Make a value that JSON has no form for."""
    match type_:
        case "tuple":
            return tuple(build(item, source) for item in held)
        case "dict":
            return {key: build(item, source) for key, item in held}
        case "bytes":
            return bytes.fromhex(held)
        case "float":
            return float(held)
        case "time":
            return source.moment(held)
    return None


def fill(into: Any, held: Json, source: Source) -> None:
    """Write what was held into a ctypes object; handles that are there stay, everything that was left out becomes zero."""
    if isinstance(into, ctypes.Structure):
        for name, kind in members(type(into)):
            _fill_member(into, name, kind, held.get(name), source)
    elif isinstance(into, ctypes.Union):
        _copy(bytes.fromhex(held), ctypes.addressof(into), ctypes.sizeof(into))
    elif isinstance(into, ctypes.Array):
        if into._type_ in (ctypes.c_char, *_BYTES):
            _copy(_raw(held, into._type_), ctypes.addressof(into), ctypes.sizeof(into))
            return
        for i in range(len(into)):
            item = held[i] if held and i < len(held) else None
            if is_filled(into[i]):
                fill(into[i], {} if item is None else item, source)
            elif not isinstance(into._type_, handles.POINTER):
                into[i] = build(item, source) or 0
            elif item:
                into[i] = build(item, source)
    else:
        into.value = build(held, source) or 0


def _fill_member(owner: Any, name: str, kind: Any, held: Json, source: Source) -> None:
    if issubclass(kind, ctypes.Structure | ctypes.Union | ctypes.Array):
        place = getattr(type(owner), name)
        address = ctypes.addressof(owner) + place.offset
        if held is None and not issubclass(kind, ctypes.Structure):
            ctypes.memset(address, 0, place.size)
        elif issubclass(kind, ctypes.Array) and kind._type_ in (ctypes.c_char, *_BYTES):
            _copy(_raw(held, kind._type_), address, place.size)
        else:
            fill(getattr(owner, name), {} if held is None else held, source)
    elif isinstance(kind, handles.POINTER):
        if isinstance(held, str) and not getattr(owner, name):
            setattr(owner, name, source.pointer(held[1:]))
    elif kind is ctypes.c_char_p:
        setattr(owner, name, None if held is None else str(build(held, source)).encode())
    elif kind is not ctypes.c_void_p:
        setattr(owner, name, 0 if held is None else build(held, source))


def _raw(held: Json, type_: Any) -> bytes:
    """Give the bytes of characters, or of digits."""
    if isinstance(held, dict):
        return bytes.fromhex(held.get("hex", ""))
    if type_ is ctypes.c_char:
        return str(held or "").removeprefix("@").encode()
    return bytes.fromhex(held or "")


def _copy(raw: bytes, address: int, size: int) -> None:
    """Write bytes to an address, zeros behind them."""
    ctypes.memset(address, 0, size)
    ctypes.memmove(address, raw, min(len(raw), size))
