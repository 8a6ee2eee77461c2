# SPDX-License-Identifier: Apache-2.0
"""The configuration classes as data: one Key per field, for the loader, the JSON Schema and the reference."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from inferometer.config.declare import Seconds, Size
from inferometer.config.quantities import format_seconds, format_size
from inferometer.config.schema import Config

PREFIX = "INFEROMETER_"
ITEM = "[]"  # stands for any index in the path of a list's item


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `section` is the class of a section, `item` that of a list's items, `choices` closes the set of values."""

    path: tuple[str, ...]
    kind: Literal["section", "sections", "texts", "map", "text", "choice", "flag", "whole", "seconds", "size"]
    default: Any
    text: str
    secret: bool = False
    required: bool = False
    minimum: float | None = None
    pattern: str = ""
    form: str = ""
    section: Any = None
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The key's own name, the last of its path."""
        return self.path[-1]

    @property
    def dotted(self) -> str:
        """The key as people and errors name it: `engines.targets[].url`."""
        return dotted(self.path)

    @property
    def variable(self) -> str:
        """The environment variable that sets it; empty for a section, and for keys within a list."""
        if self.kind == "section" or ITEM in self.path:
            return ""
        return PREFIX + "__".join(self.path).upper()


def dotted(path: tuple[str | int, ...]) -> str:
    """Join a path: names with dots, indexes in brackets."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else part if part == ITEM else f".{part}"
    return text.removeprefix(".")


@cache
def keys_of(cls: type, path: tuple[str, ...] = ()) -> Mapping[str, Key]:
    """Give the keys of one section class, by name, in the order of declaration."""
    hints = get_type_hints(cls)
    found = {}
    for f in fields(cls):
        facts = dict(f.metadata)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        hint = hints[f.name]
        found[f.name] = Key(
            (*path, f.name), _kind(hint), default, section=_section(hint), choices=_choices(hint), **facts
        )
    return found


def every_key(cls: type = Config, path: tuple[str, ...] = ()) -> Iterator[Key]:
    """Walk all keys, a section before what is in it."""
    for key in keys_of(cls, path).values():
        yield key
        if key.kind == "section":
            yield from every_key(key.section, key.path)
        elif key.kind == "sections":
            yield from every_key(key.section, (*key.path, ITEM))


def describe_default(key: Key) -> str:
    """Write a default as it would stand in the file."""
    match key.kind:
        case "seconds":
            return format_seconds(key.default)
        case "size":
            return format_size(key.default)
        case "flag":
            return "true" if key.default else "false"
        case _:
            return str(key.default)


def _kind(hint: Any) -> Any:
    """Name the kind of a field from its type. Raises TypeError for a type that the loader could not read."""
    simple = {bool: "flag", int: "whole", Seconds: "seconds", Size: "size", str: "text"}
    if hint in simple:
        return simple[hint]
    if is_dataclass(hint):
        return "section"
    if get_origin(hint) is tuple:
        return "sections" if is_dataclass(get_args(hint)[0]) else "texts"
    if get_origin(hint) is Literal:
        return "choice"
    if get_args(hint) == (str, str):
        return "map"
    raise TypeError(f"no reader for configuration keys of type {hint}")


def _section(hint: Any) -> Any:
    """Give the section class that a field holds, alone or in a list."""
    inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
    return inner if is_dataclass(inner) else None


def _choices(hint: Any) -> tuple[str, ...]:
    """Give the values of a Literal."""
    return get_args(hint) if get_origin(hint) is Literal else ()
