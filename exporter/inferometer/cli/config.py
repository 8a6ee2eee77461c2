# SPDX-License-Identifier: Apache-2.0
"""`inferometer config`: the defaults with comments, validation, the JSON Schema and the reference page."""

import argparse
import json as plain_json
import os
from typing import Any

from inferometer.cli.output import say, write
from inferometer.config import ConfigError, Problem, load
from inferometer.config.example import commented_defaults, default_text
from inferometer.config.json_schema import schema
from inferometer.config.keys import Key, every_key
from inferometer.views import docs
from inferometer.views.json import dump


def execute(arguments: argparse.Namespace) -> int:
    """Print the defaults, or what the options ask for; a file that is wrong gives exit code 2."""
    if arguments.check is not None:
        return _check(arguments.check, as_json=arguments.json)
    if arguments.schema:
        write(plain_json.dumps(schema(), indent=2) + "\n")
    elif arguments.markdown:
        write(docs.configuration())
    elif arguments.json:
        write(dump({"keys": [_key(key) for key in every_key() if key.kind != "section"]}) + "\n")
    else:
        write(commented_defaults())
    return 0


def _check(path: str, *, as_json: bool) -> int:
    """Say whether a file can be used, together with the variables that are set here."""
    problems: tuple[Problem, ...] = ()
    try:
        load(path, os.environ)
    except ConfigError as error:
        problems = error.problems
    if as_json:
        write(dump({"ok": not problems, "problems": [problem._asdict() for problem in problems]}) + "\n")
    elif problems:
        say(*map(str, problems))
    else:
        write(f"{path}: ok\n")
    return 2 if problems else 0


def _key(key: Key) -> dict[str, Any]:
    """Describe one key; the default as it stands in the file."""
    known = {
        "key": key.dotted,
        "variable": key.variable,
        "type": key.kind,
        "default": None if key.required else default_text(key),
        "values": list(key.choices) or None,
        "minimum": key.minimum,
        "required": key.required,
        "secret": key.secret,
        "description": key.text,
    }
    return {name: value for name, value in known.items() if value is not None}
