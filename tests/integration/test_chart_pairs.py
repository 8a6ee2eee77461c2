# SPDX-License-Identifier: Apache-2.0
"""Any two of the examples together render, or are refused in sentences: values meet that nobody thought of together."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import kubernetes_validate
import pytest

from charts import CASES, CHART, VALUES, of_kind, parse, pod_of, values_file
from integration.programs import Needs
from integration.rendering import helm

PAIRS = tuple(itertools.combinations([case for case in CASES if case != "defaults"], 2))


@pytest.fixture(autouse=True)
def _helm(needs: Needs) -> None:
    """Skip where Helm is not built."""
    needs("helm")


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_examples_render_or_contradict(first: str, second: str, tmp_path: Path) -> None:
    """No template fails in words of its own, and no pod has two volumes of a name or two mounts at a place."""
    given = [("--values", str(values_file(case))) for case in (first, second)]
    answer = helm(tmp_path, "template", "inferometer", CHART, *itertools.chain(*given))
    if answer.returncode:
        assert "The values contradict one another:\n- " in answer.stderr
        return
    manifests = parse(answer.stdout)
    (daemonset,) = of_kind(manifests, "DaemonSet")
    kubernetes_validate.validate(dict(daemonset), kubernetes_validate.latest_version(), strict=True)
    pod = pod_of(manifests)
    assert _twice(pod["volumes"], "name") == set()
    for container in pod["containers"]:
        assert _twice(container["volumeMounts"], "mountPath") == set()
        assert _twice(container["env"], "name") == set()


def _twice(items: list[Mapping[str, object]], key: str) -> set[object]:
    values = [item[key] for item in items]
    return {value for value in values if values.count(value) > 1}


def test_there_are_examples() -> None:
    """The folder is where the pairs come from."""
    assert len(PAIRS) == len(list(VALUES.glob("*.yaml"))) * (len(list(VALUES.glob("*.yaml"))) - 1) // 2 > 0
