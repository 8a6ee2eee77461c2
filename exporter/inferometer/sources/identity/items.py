# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes list, decoded item by item: decoded at once, a node's pods would take ten times what is kept of them."""

import json
import re
from collections.abc import Callable
from typing import Any

_GAP = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


def read_items(text: str, take: Callable[[Any], None]) -> dict[str, Any]:
    """Give each of the list's items to `take`, and return the rest of it: all members but `items`.

    Go writes an empty list as null. `items` is absent from what is returned only if it was a list or null.

    Raises:
        ValueError: it is no JSON object.
    """
    rest: dict[str, Any] = {}
    at = _past(text, 0, "{")
    if text[at : at + 1] == "}":
        return rest
    while True:
        if text[at : at + 1] != '"':
            raise ValueError("no key where one has to be")
        key, at = _decode(text, at)
        at = _past(text, at, ":")
        if key == "items" and text[at : at + 1] == "[":
            at = _each(text, at, take)
        else:
            value, at = _decode(text, at)
            if key != "items" or value is not None:
                rest[key] = value
        at = _gap(text, at)
        if text[at : at + 1] == "}":
            break
        at = _past(text, at, ",")
    if _gap(text, at + 1) != len(text):
        raise ValueError("something after the end")
    return rest


def _each(text: str, at: int, take: Callable[[Any], None]) -> int:
    at = _gap(text, at + 1)
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        item, at = _decode(text, at)
        take(item)
        at = _gap(text, at)
        if text[at : at + 1] == "]":
            return at + 1
        at = _past(text, at, ",")


def _past(text: str, at: int, mark: str) -> int:
    at = _gap(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"no {mark} where one has to be")
    return _gap(text, at + 1)


def _gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at
