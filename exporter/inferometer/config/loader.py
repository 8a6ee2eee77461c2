# SPDX-License-Identifier: Apache-2.0
"""The loader: a file and the environment become a Config, or every error that they hold."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from inferometer.config.document import Document, Path, Problem, read_file
from inferometer.config.environment import overlay
from inferometer.config.keys import ITEM, Key, dotted, every_key, keys_of
from inferometer.config.metrics import check_metrics
from inferometer.config.nearest import nearest
from inferometer.config.quantities import UnfitError, format_seconds, format_size, parse_seconds, parse_size
from inferometer.config.schema import Config

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds all that is wrong with it, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_line))
        super().__init__("\n".join(str(p) for p in self.problems))


def load(path: str | None, environ: Mapping[str, str]) -> Config:
    """Read the file at `path`, if any, lay the `INFEROMETER_` variables over it, and check everything.

    Raises ConfigError.
    """
    document = read_file(path) if path is not None else Document()
    readable = not document.problems
    overlay(document, environ)
    # What could not be read would only add errors that are not the user's.
    config = build(document) if readable else Config()
    check_metrics(config, document)
    if document.problems:
        raise ConfigError(document.problems)
    return config


def build(document: Document) -> Config:
    """Build the configuration that a document describes; what is wrong with it joins the document's problems."""
    return build_as(Config, document)


def build_as(cls: type[T], document: Document) -> T:
    """Build any dataclass of keys (`keys.keys_of`) as `build` does the configuration."""
    document.root = cls
    return cast("T", _section(cls, (), document.tree, (), document))


def _section(cls: type, shape: tuple[str, ...], data: Any, path: Path, document: Document) -> Any:
    """Build one section. `shape` is its path among the keys, `path` its path in the file, with indexes."""
    known = keys_of(cls, shape)
    if data is None:  # a section whose keys are all commented out
        data = {}
    if not isinstance(data, dict):
        _report(document, path, f"must hold keys, not {_word(data)}; its keys are {', '.join(known)}")
        return cls()
    for name in data:
        if name not in known:
            _report(document, (*path, name), f"is not a known key; {_nearest(name, known, document.root)}")
    for key in known.values():
        if key.required and key.name not in data:
            _report(document, (*path, key.name), "is required")
    values = {
        key.name: _value(key, data[key.name], (*path, key.name), document) for key in known.values() if key.name in data
    }
    return cls(**values)


def _value(key: Key, data: Any, path: Path, document: Document) -> Any:
    """Build one value; what is wrong is reported and the default stands in, so that the rest is checked too."""
    if key.kind == "section":
        return _section(key.section, key.path, data, path, document)
    if key.kind == "sections":
        if not isinstance(data, list):
            _report(document, path, f"must be a list, not {_word(data)}")
            return key.default
        return tuple(
            _section(key.section, (*key.path, ITEM), item, (*path, i), document) for i, item in enumerate(data)
        )
    try:
        value = _READERS[key.kind](key, data)
    except UnfitError as e:
        _report(document, path, str(e))
        return key.default
    if key.minimum is not None and value < key.minimum:
        least = {"seconds": format_seconds(key.minimum), "size": format_size(int(key.minimum))}.get(
            key.kind, f"{key.minimum:g}"
        )
        _report(document, path, f"must be at least {least}")
        return key.default
    return value


def _text(key: Key, data: Any) -> str:
    """Read a text. The value itself never goes into the error: a URL may hold a password."""
    if not isinstance(data, str):
        raise UnfitError(f"must be a text, not {_word(data)}{'' if data is None else '; put it in quotes'}")
    if key.pattern and not re.fullmatch(key.pattern, data):
        raise UnfitError(f"must be {key.form}")
    return data


def _choice(key: Key, data: Any) -> str:
    """Read one of a closed set."""
    if data in key.choices:
        return str(data)
    near = nearest(str(data), key.choices, 0.6)
    raise UnfitError(f"must be one of {', '.join(key.choices)}" + (f"; the nearest is {near}" if near else ""))


def _flag(_: Key, data: Any) -> bool:
    """Read true or false."""
    if not isinstance(data, bool):
        raise UnfitError(f"must be true or false, not {_word(data)}")
    return data


def _whole(_: Key, data: Any) -> int:
    """Read a whole number; JSON knows no difference between 20000 and 20000.0."""
    if isinstance(data, bool) or not isinstance(data, int | float) or not float(data).is_integer():
        raise UnfitError(f"must be a whole number, not {_word(data)}")
    return int(data)


def _texts(_: Key, data: Any) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(data, list):
        raise UnfitError(f"must be a list of texts, not {_word(data)}")
    for i, item in enumerate(data):
        if not isinstance(item, str):
            raise UnfitError(f"must be a list of texts; item {i} is {_word(item)}")
    return tuple(data)


def _map(_: Key, data: Any) -> dict[str, str]:
    """Read a mapping of texts."""
    if not isinstance(data, dict):
        raise UnfitError(f"must be a mapping of names to texts, not {_word(data)}")
    for name, item in data.items():
        if not isinstance(item, str):
            raise UnfitError(f"must be a mapping of names to texts; {name} is {_word(item)}")
    return dict(data)


_READERS: Mapping[str, Callable[[Key, Any], Any]] = {
    "text": _text,
    "choice": _choice,
    "flag": _flag,
    "whole": _whole,
    "texts": _texts,
    "map": _map,
    "seconds": lambda _, data: parse_seconds(data),
    "size": lambda _, data: parse_size(data),
}


def _word(data: Any) -> str:
    """Name what stands there, without showing it."""
    if data is None:
        return "empty"
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "a section"),
    )
    return next(word for kind, word in kinds if isinstance(data, kind))


def _nearest(name: str, known: Mapping[str, Key], root: type) -> str:
    """Name the valid key that was probably meant: of the same section, else of the same name anywhere, else the least far."""
    if here := nearest(name, known, 0.6):
        return f"did you mean {known[here].dotted}?"
    everywhere = {key.name: key.dotted for key in every_key(root)}
    if there := nearest(name, everywhere, 0.75):
        return f"did you mean {everywhere[there]}?"
    return f"the nearest is {known[nearest(name, known)].dotted} of {', '.join(known)}"


def _line(problem: Problem) -> tuple[str, int]:
    """Order problems as a reader goes through the file."""
    name, _, line = problem.place.rpartition(":")
    return (name, int(line)) if line.isdecimal() else (problem.place, 0)


def _report(document: Document, path: Path, message: str) -> None:
    """Note what is wrong with the key at `path`."""
    document.problems.append(Problem(document.place(path), dotted(path), message))
