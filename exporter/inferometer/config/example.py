# SPDX-License-Identifier: Apache-2.0
"""The defaults as a commented file, which loads back to the defaults."""

import json
import re
import textwrap
from collections.abc import Iterator

from inferometer.config.keys import ITEM, Key, describe_default, keys_of
from inferometer.config.schema import Config

_HEAD = """\
# Inferometer's configuration: every key, with its default. A file needs only the keys that differ.
#
# Durations are written 5s, 500ms or 1m30s, sizes 16MiB or 4MB; plain numbers are seconds and bytes.
# A variable overrides its key: INFEROMETER_SERVER__LISTEN=127.0.0.1:9466 sets server.listen. Lists and mappings are
# written in YAML there too.
"""
_WIDTH = 110
# What needs no quotes under any version of YAML: begins with a letter or slash, and is no word with a meaning.
_PLAIN = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z/][\w./=-]*(?::\w[\w./=-]*)*")


def commented_defaults() -> str:
    """Write the file."""
    return _HEAD + "".join(f"{line}\n" for line in _section(Config, (), ""))


def default_text(key: Key) -> str:
    """Write a key's default in one line, as it could stand in the file."""
    if key.kind in ("texts", "sections"):
        return f"[{', '.join(_scalar(item) for item in key.default)}]"
    return _default(key)


def _section(cls: type, path: tuple[str, ...], indent: str) -> Iterator[str]:
    """Write a section's keys; at the top an empty line sets them apart."""
    for key in keys_of(cls, path).values():
        if not indent:
            yield ""
        yield from _comment(key, indent)
        if key.kind == "section":
            yield f"{indent}{key.name}:"
            yield from _section(key.section, key.path, f"{indent}  ")
        elif key.kind == "texts" and key.default:
            yield f"{indent}{key.name}:"
            yield from (f"{indent}  - {_scalar(item)}" for item in key.default)
        elif key.kind == "sections":
            yield f"{indent}{key.name}: []"
            yield from _item(key, indent)
        else:
            yield f"{indent}{key.name}: {_default(key)}"


def _item(key: Key, indent: str) -> Iterator[str]:
    """Show, as a comment, what an item of a list looks like."""
    lead = "- "
    for inner in keys_of(key.section, (*key.path, ITEM)).values():
        value = "http://127.0.0.1:8000/metrics" if inner.name == "url" else _default(inner)
        yield f"{indent}#   {lead}{inner.name}: {value}  # {inner.text}"
        lead = "  "


def _comment(key: Key, indent: str) -> Iterator[str]:
    """Write a key's description, with the values that it can take."""
    choices = f" One of {', '.join(key.choices)}." if key.choices else ""
    for line in textwrap.wrap(key.text + choices, _WIDTH - len(indent)):
        yield f"{indent}# {line}"


def _default(key: Key) -> str:
    """Write a default value."""
    if key.kind in ("texts", "map"):
        return "[]" if key.kind == "texts" else "{}"
    if key.kind in ("text", "choice"):
        return _scalar(key.default)
    return describe_default(key)


def _scalar(text: str) -> str:
    """Write a text, in quotes where YAML could read something else."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
