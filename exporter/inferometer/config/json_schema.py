# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of the configuration file, for editors and pipelines (draft 2020-12)."""

from typing import Any

from inferometer.config.keys import ITEM, Key, describe_default, keys_of
from inferometer.config.quantities import LONGEST, SECONDS, SECONDS_FORM, SIZE, SIZE_FORM
from inferometer.config.schema import Config


def schema() -> dict[str, Any]:
    """Give the schema of the whole file.

    A validator and the loader accept the same files, but for two things that JSON Schema cannot say: the least value of
    a duration or size that is written with a unit, and duplicate keys.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Inferometer configuration",
        **_object(Config, ()),
    }


def _object(cls: type, path: tuple[str, ...], *, nullable: bool = True) -> dict[str, Any]:
    """Describe a section; an empty one is its defaults."""
    known = keys_of(cls, path)
    required = [key.name for key in known.values() if key.required]
    return {
        "type": ["object", "null"] if nullable and not required else "object",
        "properties": {key.name: {"description": key.text, **_value(key)} for key in known.values()},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _value(key: Key) -> dict[str, Any]:
    """Describe one key."""
    least = {} if key.minimum is None else {"minimum": key.minimum}
    match key.kind:
        case "section":
            return _object(key.section, key.path)
        case "sections":
            return {"type": "array", "items": _object(key.section, (*key.path, ITEM)), "default": list(key.default)}
        case "texts":
            return {"type": "array", "items": {"type": "string"}, "default": list(key.default)}
        case "map":
            return {"type": "object", "additionalProperties": {"type": "string"}, "default": dict(key.default)}
        case "choice":
            return {"enum": list(key.choices), "default": key.default}
        case "flag":
            return {"type": "boolean", "default": key.default}
        case "whole":
            return {"type": "integer", **least, "default": key.default}
        case "seconds":
            number = {"type": "number", **least, "maximum": LONGEST}
            return {"anyOf": [number, _text(SECONDS, SECONDS_FORM)], "default": describe_default(key)}
        case "size":
            return {"anyOf": [{"type": "integer", **least}, _text(SIZE, SIZE_FORM)], "default": describe_default(key)}
        case _:
            pattern = {"pattern": key.pattern} if key.pattern else {}
            return {"type": "string", **pattern, **({} if key.required else {"default": key.default})}


def _text(pattern: str, form: str) -> dict[str, Any]:
    """Describe a text that follows a pattern."""
    return {"type": "string", "pattern": pattern, "description": form}
