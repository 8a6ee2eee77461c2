# SPDX-License-Identifier: Apache-2.0
"""values.yaml as a list of documented values: key, default, description, and what its type is beyond the default's."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

_INDENT = re.compile(r" *")


class UndocumentedError(Exception):
    """A value of values.yaml that says too little of itself. The message names its line and key."""


class Value(NamedTuple):
    """One value. A `section` holds other values, which stand after it."""

    path: tuple[str, ...]
    default: Any
    text: str  # the comment that begins with `# --`
    rule: Mapping[str, Any]  # of `# @schema`: JSON Schema that the default does not tell
    section: bool

    @property
    def key(self) -> str:
        """The value as `--set` names it."""
        return ".".join(self.path)


def read_values(text: str) -> tuple[Value, ...]:
    """Read the text of values.yaml.

    Raises:
        UndocumentedError: a value without a `# --` comment, or a `# @schema` that is no mapping.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return tuple(_below(root, (), text.splitlines()))


def _below(mapping: Any, path: tuple[str, ...], lines: list[str]) -> Iterator[Value]:
    """Give the values of a mapping in their order, each section before what it holds."""
    for name, node in mapping.value:
        key = (*path, name.value)
        text, rule = _comment(lines, name.start_mark.line, ".".join(key))
        section = isinstance(node, yaml.MappingNode) and bool(node.value) and not rule
        yield Value(key, _plain(node), text, rule, section)
        if section:
            yield from _below(node, key, lines)


def _plain(node: yaml.Node) -> Any:
    """Turn a node into plain values."""
    return yaml.safe_load(yaml.serialize(node))


def _comment(lines: list[str], line: int, key: str) -> tuple[str, Mapping[str, Any]]:
    """Read the comment above a line: the description from `# --` on, and the rules of `# @schema` taken together."""
    indent = _INDENT.match(lines[line])
    assert indent is not None  # noqa: S101  # the pattern matches the empty text too
    above: list[str] = []
    while line > 0 and lines[line - 1].startswith(indent[0] + "#"):
        line -= 1
        above.insert(0, lines[line].strip().removeprefix("#").strip())
    starts = [i for i, told in enumerate(above) if told.startswith("-- ")]
    place = f"values.yaml:{line + len(above) + 1}: {key}"
    if not starts:
        raise UndocumentedError(f"{place} has no description: write a comment that begins with `# --` above it")
    told = above[starts[-1] :]
    rule: dict[str, Any] = {}
    for given in (part.removeprefix("@schema ") for part in told if part.startswith("@schema ")):
        try:
            parsed = yaml.safe_load(given)
        except yaml.YAMLError:
            parsed = None
        if not isinstance(parsed, dict):
            raise UndocumentedError(f"{place} has a `# @schema` that is no mapping: {given}")
        rule |= parsed
    text = " ".join(part for part in told if not part.startswith("@schema ")).removeprefix("-- ")
    return text, rule
