# SPDX-License-Identifier: Apache-2.0
"""The chart, its values files and what it renders to."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "inferometer"
VALUES = CHART / "ci"
GOLDENS = ROOT / "tests" / "golden" / "helm"
_SUFFIX = "-values.yaml"
# Renders; all but the first have a file in VALUES.
CASES = ("defaults", *sorted(path.name.removesuffix(_SUFFIX) for path in VALUES.glob(f"*{_SUFFIX}")))

Manifest = Mapping[str, Any]


def values_file(case: str) -> Path | None:
    """Give the values of a case; the defaults need none."""
    return None if case == "defaults" else VALUES / f"{case}{_SUFFIX}"


def parse(rendered: str) -> tuple[Manifest, ...]:
    """Read what the chart rendered. A key that stands twice is an error: YAML readers would keep either."""
    return tuple(manifest for manifest in yaml.load_all(rendered, _OnceOnly) if manifest is not None)


def of_kind(manifests: Iterable[Manifest], kind: str) -> tuple[Manifest, ...]:
    """Give the manifests of a kind."""
    return tuple(manifest for manifest in manifests if manifest["kind"] == kind)


def pod_of(manifests: Iterable[Manifest]) -> Manifest:
    """Give the pod of the DaemonSet."""
    (daemonset,) = of_kind(manifests, "DaemonSet")
    pod: Manifest = daemonset["spec"]["template"]["spec"]
    return pod


class _OnceOnly(yaml.SafeLoader):
    """Refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {sorted(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)
