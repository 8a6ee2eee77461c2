# SPDX-License-Identifier: Apache-2.0
"""Stable names for NVML's opaque handles, so that a capture says `gpu0.mig2` where the driver had an address.

A handle is named after how it was got: `gpu0`, `gpu0.mig2`, `gpu0.gi7`. A set of events and a sample of GPM counters come
from nowhere; they are named after what they were last used with (`gpu0.set`, `gpu0.sample`, `gpu0.3.sample`), which
does not depend on the order in which threads made them.
"""

import ctypes
import re
from collections.abc import Sequence
from typing import Any

Pointer = Any  # an instance of a `ctypes.POINTER` type of the binding
POINTER: type = type(ctypes.POINTER(ctypes.c_int))  # the class of all pointer types

# The binding's opaque structure, and how a handle of it is called.
_KINDS = {
    "struct_c_nvmlDevice_t": "gpu",
    "struct_c_nvmlGpuInstance_t": "gi",
    "struct_c_nvmlComputeInstance_t": "ci",
    "struct_c_nvmlEventSet_t": "set",
    "struct_c_nvmlSystemEventSet_t": "systemset",
    "struct_c_nvmlGpmSample_t": "sample",
    "struct_c_nvmlUnit_t": "unit",
}
_POINTERS = {kind: name.removeprefix("struct_") for name, kind in _KINDS.items()} | {"mig": "c_nvmlDevice_t"}
_FOLLOWERS = frozenset({"set", "systemset", "sample"})


def is_handle(value: object) -> bool:
    """Tell whether a value is a handle of NVML's."""
    return isinstance(type(value), POINTER) and _kind(value) != ""


def _kind(pointer: Pointer) -> str:
    return _KINDS.get(type(pointer)._type_.__name__, "")


def _address(pointer: Pointer) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


class Handles:
    """The names of the handles that one process has seen. Not for two threads at once."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self._names: dict[tuple[str, int], str] = {}
        self._pointers: dict[str, Pointer] = {}
        self._invented = 0

    def name(self, pointer: Pointer) -> str | None:
        """Give a handle's name; None for a null or unknown one."""
        return self._names.get((_kind(pointer), _address(pointer)))

    def follow(self, arguments: Sequence[object]) -> None:
        """Name the sets and samples among a call's arguments after the device and the numbers that stand before them."""
        before: list[str] = []
        for argument in arguments:
            if not is_handle(argument):
                if before and isinstance(argument, int):
                    before.append(str(argument))
            elif _kind(argument) not in _FOLLOWERS:
                before.append(self.name(argument) or "unknown")
            elif before:
                # A sample may be of an instance, by its number; a set's numbers say for which events it is.
                stem = before if _kind(argument) == "sample" else before[:1]
                self._names[_kind(argument), _address(argument)] = ".".join([*stem, _kind(argument)])

    def christen(self, pointer: Pointer, asked: Sequence[Any]) -> str | None:
        """Name a handle that a call has answered, from what it was asked (in its written form); None for a null one."""
        kind, address = _kind(pointer), _address(pointer)
        if not address:
            return None
        if kind in _FOLLOWERS:
            name = kind
        else:
            parents = [text[1:] for text in asked if isinstance(text, str) and re.match("@[^@]", text)]
            numbers = [str(number) for number in asked if isinstance(number, int)]
            known = self._names.get((kind, address))
            if known and not numbers:
                return known
            kind = "mig" if kind == "gpu" and parents else kind
            others = [f"[{text}]" for text in asked if isinstance(text, str) and not re.match("@[^@]", text)]
            name = ".".join([*parents[:1], kind + "-".join(numbers or others)])
        self._names[_kind(pointer), address] = name
        return name

    def find(self, name: str) -> Pointer:
        """Give the handle of a name, for an answer of a capture: always the same, except that sets and samples are new."""
        pointer = self._pointers.get(name)
        if pointer is None:
            kind = re.sub(r"[^a-z].*", "", name.rpartition(".")[2] if "[" not in name else name)
            self._invented += 1
            type_ = getattr(self._binding, _POINTERS.get(kind, "c_nvmlDevice_t"))
            pointer = ctypes.cast(ctypes.c_void_p(self._invented << 12), type_)
            self._names[_kind(pointer), _address(pointer)] = name
            if kind not in _FOLLOWERS:
                self._pointers[name] = pointer
        return pointer
