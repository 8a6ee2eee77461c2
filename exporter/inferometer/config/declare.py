# SPDX-License-Identifier: Apache-2.0
"""How a key of the configuration is declared: its default, what it is for, and the form that it must have."""

from dataclasses import field
from typing import Any


class Seconds(float):
    """A duration. Written `5s`, `500ms`, `5m`, `1h`, or a plain number of seconds."""


class Size(int):
    """A size in bytes. Written `16MiB`, `512KiB`, `1GiB`, or a plain number of bytes."""


# Patterns are the subset that Python's `re` and the JSON Schema's ECMA 262 read alike.
PORT = "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
LISTEN = rf"^(\[[0-9A-Fa-f:.]+(%[^\]\s]+)?\]|[^\[\]:/\s]*):{PORT}$"
URL = rf"^[Hh][Tt][Tt][Pp][Ss]?://([^@/\s]*@)?(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/@\s]+)(:{PORT})?([/?]\S*)?$"
URL_OR_EMPTY = rf"^$|{URL}"
# gRPC endpoints may come without a scheme: `collector:4317`.
ENDPOINT_OR_EMPTY = rf"^$|{URL}|^[^/\s]+:{PORT}$"


def key(default: Any, text: str, *, secret: bool = False, **facts: Any) -> Any:
    """Declare a key. `facts` may hold `minimum`, `pattern` with its `form` in words, and `required`.

    A secret key is left out of the value's repr, so that no log line can show it.
    """
    metadata = {"text": text, "secret": secret, **facts}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), repr=not secret, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


def section(cls: type) -> Any:
    """Declare a section; its class's docstring describes it."""
    return field(default_factory=cls, metadata={"text": (cls.__doc__ or "").strip()})
