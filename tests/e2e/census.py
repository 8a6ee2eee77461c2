# SPDX-License-Identifier: Apache-2.0
"""Every object that the API server has, so that what an installation leaves behind can be seen."""

from collections.abc import Iterator

from e2e.node import Node

# What comes and goes by itself, and what is only told of others.
_PASSING = {"events", "leases", "endpointslices", "endpoints", "componentstatuses"}


def census(node: Node) -> set[tuple[str, str, str]]:
    """Give resource, namespace and name of each object, of every group in the version that the API server prefers."""
    return {
        (f"{resource}.{version}", found["metadata"].get("namespace", ""), found["metadata"]["name"])
        for version, path, resource in _resources(node)
        for found in node.api.ask("GET", f"{path}/{resource}")["items"]
    }


def _resources(node: Node) -> Iterator[tuple[str, str, str]]:
    """Give each resource that can be listed, with its API version and the path of that."""
    groups = node.api.ask("GET", "/apis")["groups"]
    versions = [group["preferredVersion"]["groupVersion"] for group in groups]
    for version, path in [("v1", "/api/v1"), *((version, f"/apis/{version}") for version in versions)]:
        for resource in node.api.ask("GET", path)["resources"]:
            if "list" in resource["verbs"] and resource["name"] not in _PASSING:
                yield version, path, resource["name"]
