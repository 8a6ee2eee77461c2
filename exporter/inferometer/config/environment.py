# SPDX-License-Identifier: Apache-2.0
"""`INFEROMETER_` variables, laid over the file: `INFEROMETER_SERVER__LISTEN` sets `server.listen`."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from inferometer.config.document import Document, Path, Problem, read_text
from inferometer.config.keys import PREFIX, Key, every_key
from inferometer.config.nearest import nearest

# Kubernetes gives every container the variables of each Service of its namespace; a Service that is called "inferometer"
# or "inferometer-..." yields these. Source: kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE = re.compile(
    r"INFEROMETER_((?!.*__).+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


@cache
def variables() -> Mapping[str, Key]:
    """Give the keys that a variable can set, by the variable's name."""
    return {key.variable: key for key in every_key() if key.variable}


def overlay(document: Document, environ: Mapping[str, str]) -> None:
    """Let variables replace values of the document. Texts are taken as they are, all else is read as YAML."""
    for name in sorted(n for n in environ if n.startswith(PREFIX) and not _SERVICE.fullmatch(n)):
        key = variables().get(name)
        if key is None:
            document.problems.append(Problem(name, "", _unknown(name)))
        elif key.kind in ("text", "choice"):
            _put(document, key.path, environ[name], name)
        else:
            value = Document(places={(): name})
            read_text(environ[name], name, value)
            if value.problems:
                document.problems += [Problem(name, key.dotted, p.message) for p in value.problems]
            else:
                _put(document, key.path, value.tree, name)


def _put(document: Document, path: tuple[str, ...], value: Any, place: str) -> None:
    """Set one value and forget where the file had it. A section that is no mapping is left for the loader to refuse."""
    if document.tree is None:
        document.tree = {}
    node = document.tree
    for name in path[:-1]:
        if not isinstance(node, dict):
            return
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
    if isinstance(node, dict):
        stale: list[Path] = [p for p in document.places if p[: len(path)] == path]
        for p in stale:
            del document.places[p]
        node[path[-1]] = value
        document.places[path] = place


def _unknown(name: str) -> str:
    """Explain an unknown variable by the nearest one that exists."""
    within = [v for v in variables() if v.startswith(f"{name}__")]
    if within:
        return f"is a section; set one of its keys, such as {within[0]}"
    if name.startswith(tuple(f"{k.variable}__" for k in variables().values() if k.kind == "sections")):
        return "is a key within a list; a list is set as a whole, in YAML"
    return f"is not a known variable; the nearest is {nearest(name, variables())}"
