# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of the chart's values: strict everywhere, so that a misspelt key never goes unnoticed.

`config` is the agent's own schema (`inferometer config --schema`), and what a pod's fields may hold is Kubernetes' own, so
neither is written down again here. Draft 7, which every Helm since 3.0 reads.
"""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from helm.generate import prometheus
from helm.generate.values import UndocumentedError, Value

KUBERNETES = "v1.37.0-local-strict"  # the newest that kubernetes-validate carries, with unknown fields forbidden
CORE = "io.k8s.api.core.v1."
_DROPPED = ("description", "format", "default")  # of Kubernetes' schema: what checks nothing
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}

# The kinds of Kubernetes' volumes that an agent can have use for.
_VOLUMES = {
    "configMap": "ConfigMapVolumeSource",
    "secret": "SecretVolumeSource",
    "hostPath": "HostPathVolumeSource",
    "emptyDir": "EmptyDirVolumeSource",
    "projected": "ProjectedVolumeSource",
    "csi": "CSIVolumeSource",
}
_VOLUME = {
    "type": "object",
    "properties": {"name": {"type": "string"}, **{name: {"$ref": f"k8s/{kind}"} for name, kind in _VOLUMES.items()}},
    "additionalProperties": False,
    "required": ["name"],
}


def build_schema(
    values: Iterable[Value], agent: Mapping[str, Any], more: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Build the schema of values.yaml.

    Args:
        values: as `read_values` gives them.
        agent: the schema of the agent's configuration.
        more: further definitions that the values refer to, by name.

    Raises:
        UndocumentedError: a list or mapping whose content no `# @schema` describes.
    """
    root = _section("Values of the inferometer chart")
    for value in values:
        parent = root
        for name in value.path[:-1]:
            parent = parent["properties"][name]
        parent["properties"][value.path[-1]] = _section(value.text) if value.section else _leaf(value)
        # Lists and mappings may be null, which is how a user of Helm clears one; a template reads all else unasked.
        if value.section or isinstance(value.default, str | bool | int | float):
            parent["required"].append(value.path[-1])
    root["properties"]["global"] = {"description": "Helm's own, for charts of charts.", "type": "object"}
    definitions = {"agent": _agent(agent), "volume": _VOLUME, **prometheus.DEFINITIONS, **more}
    definitions |= _kubernetes(root, definitions)
    schema: dict[str, Any] = _resolved({**root, "definitions": dict(sorted(definitions.items()))})
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _section(text: str) -> dict[str, Any]:
    return {"description": text, "type": "object", "properties": {}, "additionalProperties": False, "required": []}


def _leaf(value: Value) -> dict[str, Any]:
    """Describe a value that holds no others: its default's type, and its rule."""
    told: dict[str, Any] = {"description": value.text}
    if "$ref" in value.rule:
        return {**told, **value.rule}
    kind = next((name for of, name in _TYPES.items() if type(value.default) is of), None)
    if isinstance(value.default, list):
        kind = "array"
    elif isinstance(value.default, dict):
        kind = "object"
    needs = {"array": "items", "object": "additionalProperties"}.get(str(kind))
    if kind is None or (needs and needs not in value.rule):
        raise UndocumentedError(f"values.yaml: {value.key} needs a `# @schema` with {needs or 'a type'} or $ref")
    shown = {} if kind == "object" else {"default": value.default}
    return {**told, "type": kind, **value.rule, **shown}


def _agent(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Take the agent's schema as Helm has to read it: its YAML has no bare `off`, which is false there."""

    def as_helm_reads(node: Any) -> Any:
        if isinstance(node, dict):
            changed = {name: as_helm_reads(below) for name, below in node.items()}
            if "off" in changed.get("enum", ()):
                changed["enum"] = [*changed["enum"], False]
            return changed
        return [as_helm_reads(below) for below in node] if isinstance(node, list) else node

    return {name: as_helm_reads(below) for name, below in schema.items() if name not in {"$schema", "title"}}


def _kubernetes(*roots: Any) -> dict[str, Any]:
    """Give the definitions of Kubernetes that these schemas name, and those that these name in turn."""
    carried = files("kubernetes_validate") / "kubernetes-json-schema" / KUBERNETES / "_definitions.json"
    known: Mapping[str, Any] = json.loads(carried.read_text(encoding="utf-8"))["$defs"]
    found: dict[str, Any] = {}
    wanted = {name for root in roots for name in _references(root)}
    while wanted:
        name = wanted.pop()
        if name.startswith("io.k8s.") and name not in found:
            if name not in known:
                raise UndocumentedError(f"values.yaml: Kubernetes has no {name.removeprefix(CORE)}")
            found[name] = _bare(known[name])
            wanted |= set(_references(found[name]))
    return found


def _references(node: Any) -> Iterable[str]:
    """Give the names of the definitions that a schema refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield _name(node["$ref"])
        for below in node.values():
            yield from _references(below)
    elif isinstance(node, list):
        for below in node:
            yield from _references(below)


def _name(reference: str) -> str:
    """Give the name behind a reference: `k8s/Toleration`, `agent`, or one of Kubernetes' own."""
    last = reference.rsplit("/", 1)[1] if "/" in reference else reference
    return CORE + last if reference.startswith("k8s/") else last


def _resolved(node: Any) -> Any:
    """Let every reference lead to the schema's own definitions."""
    if isinstance(node, dict):
        return {
            name: f"#/definitions/{_name(below)}" if name == "$ref" and isinstance(below, str) else _resolved(below)
            for name, below in node.items()
        }
    return [_resolved(below) for below in node] if isinstance(node, list) else node


def _bare(node: Any) -> Any:
    """Leave out what checks nothing. A property may have the name of a keyword: its schema is no text."""
    if isinstance(node, dict):
        return {
            name: _bare(below)
            for name, below in node.items()
            if not name.startswith("x-kubernetes-") and not (name in _DROPPED and not isinstance(below, dict))
        }
    return [_bare(below) for below in node] if isinstance(node, list) else node
