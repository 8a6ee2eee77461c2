# SPDX-License-Identifier: Apache-2.0
"""Helm, run on the chart as a user would run it: without a cluster, and in a home of its own."""

import os
import subprocess
from pathlib import Path

from charts import CHART, Manifest, parse, values_file
from integration.programs import find


def helm(directory: Path, *arguments: str | Path, program: str = "helm") -> "subprocess.CompletedProcess[str]":
    """Run Helm to its end; `program` is `helm`, which is Helm 4, or `helm3`."""
    environment = {"PATH": os.defpath, "HOME": str(directory), "KUBECONFIG": str(directory / "none")}
    command = (find(program), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def render(directory: Path, *arguments: str | Path, program: str = "helm", chart: Path = CHART) -> str:
    """Render a chart as release `inferometer` of a namespace of that name."""
    given = ("--namespace", "inferometer", *arguments)
    answer = helm(directory, "template", "inferometer", chart, *given, program=program)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    return answer.stdout


def render_case(directory: Path, case: str, *arguments: str | Path, program: str = "helm") -> str:
    """Render the chart with the values of a case."""
    values = values_file(case)
    return render(directory, *(("--values", values) if values else ()), *arguments, program=program)


def rendered(directory: Path, values: str, *arguments: str | Path) -> tuple[Manifest, ...]:
    """Render the chart with values, and give what it makes."""
    return parse(render(directory, *_given(directory, values), *arguments))


def refusal(directory: Path, values: str, *arguments: str | Path) -> str:
    """Render with values that have to be refused, and give what Helm says."""
    answer = helm(directory, "template", "inferometer", CHART, *_given(directory, values), *arguments)
    assert answer.returncode != 0, answer.stdout
    return answer.stderr


def notes(directory: Path, values: str) -> str:
    """Give what Helm prints after an installation."""
    answer = helm(directory, "install", "gauge", CHART, "-n", "gpus", "--dry-run=client", *_given(directory, values))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.partition("NOTES:")[2]


def _given(directory: Path, values: str) -> tuple[str | Path, ...]:
    file = directory / "values.yaml"
    file.write_text(values, encoding="utf-8")
    return ("--values", file)
