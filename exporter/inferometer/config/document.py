# SPDX-License-Identifier: Apache-2.0
"""A YAML file as plain values, with the line of each key; bounded, and nothing in it is ever executed.

Scalars resolve by the core schema of YAML 1.2, as editors with a JSON Schema do: `off` is a text, only `true` and `false`
are flags. Duplicate keys, tags and aliases are refused; an alias is how a small file becomes a large one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from inferometer.config.keys import dotted

MAX_BYTES = 1 << 20

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing wrong: where (file and line, or variable), which key, and what. Never holds a secret's value."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


@dataclass(slots=True)
class Document:
    """Plain values, where each of them came from, and what was wrong so far. `root` is the class that they are to fill."""

    tree: Any = None
    places: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    root: type = object

    def place(self, path: Path) -> str:
        """Say where a key stands, or the nearest key above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, "")


class _Loader(yaml.SafeLoader):
    """Composes nodes only; without aliases and with YAML 1.2's scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own name and type

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", self.peek_event().start_mark)  # type: ignore[no-untyped-call]  # the stubs leave it untyped
        return super().compose_node(parent, index)


_TAG = "tag:yaml.org,2002:"
_SCALARS: tuple[tuple[str, str, str, Callable[[str], object]], ...] = (
    ("null", "~|null|Null|NULL|", "~nN", lambda _: None),
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    ("int", "[-+]?[0-9]+", "-+0123456789", int),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        "-+.0123456789",
        lambda t: float(t.replace(".inf", "inf").replace(".nan", "nan")),
    ),
)
_CONSTRUCT: dict[str, Callable[[str], object]] = {_TAG + "str": str}
for _name, _pattern, _first, _construct in _SCALARS:
    _Loader.add_implicit_resolver(
        _TAG + _name, re.compile(f"^(?:{_pattern})$"), [*_first, ""] if _name == "null" else list(_first)
    )
    _CONSTRUCT[_TAG + _name] = _construct


def read_file(path: str) -> Document:
    """Read a file. What is wrong with it is in `problems`; a file that cannot be read at all has no tree."""
    document = Document(places={(): path})
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # /dev/stdin and pipes are welcome too
            data = file.read(MAX_BYTES + 1)
    except OSError as e:
        document.problems.append(Problem(path, "", f"cannot be read: {e.strerror or e}"))
        return document
    if len(data) > MAX_BYTES:
        document.problems.append(Problem(path, "", f"is larger than {MAX_BYTES} bytes"))
        return document
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        document.problems.append(Problem(path, "", f"is not UTF-8 (byte {e.start})"))
        return document
    read_text(text, path, document)
    return document


def read_text(text: str, place: str, document: Document) -> None:
    """Read YAML into a document's tree. Errors name the line, never the text: it may hold a secret."""
    try:
        node = yaml.compose(text, Loader=_Loader)  # a SafeLoader, and nothing is constructed
        document.tree = None if node is None else _plain(node, (), place, document)
    except yaml.MarkedYAMLError as e:
        line = f":{e.problem_mark.line + 1}" if e.problem_mark else ""
        document.problems.append(Problem(f"{place}{line}", "", f"is not valid YAML: {e.problem or e.context}"))
    except yaml.YAMLError:
        document.problems.append(Problem(place, "", "is not valid YAML: it holds a character that YAML does not allow"))
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        document.problems.append(
            Problem(place, "", "is not valid YAML: it is nested too deeply or a number is too long")
        )


def _plain(node: yaml.Node, path: Path, place: str, document: Document) -> Any:
    """Turn a node into plain values and note the lines of its keys."""
    at = f"{place}:{node.start_mark.line + 1}"
    document.places.setdefault(path, at)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, i), place, document) for i, child in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        if node.tag in _CONSTRUCT:
            return _CONSTRUCT[node.tag](node.value)
        document.problems.append(Problem(at, dotted(path), "carries a tag; tags are not supported"))
        return None
    values: dict[str, Any] = {}
    for key, child in node.value:
        line = f"{place}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            document.problems.append(Problem(line, dotted(path), "has a key that is not a text"))
            continue
        below = (*path, key.value)
        if key.value in values:
            first = document.places[below].rpartition(":")[2]
            document.problems.append(Problem(line, dotted(below), f"stands twice; first in line {first}"))
            continue
        document.places[below] = line
        values[key.value] = _plain(child, below, place, document)
    return values
