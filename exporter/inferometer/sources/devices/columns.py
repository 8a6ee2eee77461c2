# SPDX-License-Identifier: Apache-2.0
"""Members of many equal structures at once, in the sampler child: read one by one through ctypes, each costs ten times as much."""

import ctypes
from functools import lru_cache
from struct import Struct
from typing import Any

_SIGNED, _UNSIGNED = "bhilq", "BHILQ"  # ctypes' own letters, of which some have another width in each machine


def row(array: Any, names: tuple[str, ...], first: int) -> tuple[Any, ...]:
    """Give the members of the first so many structures of a ctypes array, in one row: those of one, those of the next, ...

    `names` are in their order in memory. A member that is no plain number, as a union, is given as its bytes.
    """
    values: tuple[Any, ...] = _layout(array._type_, names, first).unpack_from(array)
    return values


@lru_cache(64)
def _layout(structure: type[ctypes.Structure], names: tuple[str, ...], length: int) -> Struct:
    kinds = {field[0]: field[1] for field in structure._fields_}
    layout, at = "", 0
    for name in names:
        member = getattr(structure, name)
        layout += f"{member.offset - at}x{_letter(getattr(kinds[name], '_type_', ''), member.size)}"
        at = member.offset + member.size
    return Struct("=" + f"{layout}{ctypes.sizeof(structure) - at}x" * length)


def _letter(kind: Any, size: int) -> str:
    """Give struct's letter for a member: its standard sizes are the same everywhere."""
    if kind in ("d", "f"):
        return str(kind)
    for letters in (_SIGNED, _UNSIGNED):
        if isinstance(kind, str) and kind and kind in letters:
            return {1: letters[0], 2: letters[1], 4: letters[2], 8: letters[4]}[size]
    return f"{size}s"
