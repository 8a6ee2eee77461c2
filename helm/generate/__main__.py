# SPDX-License-Identifier: Apache-2.0
"""`python -m helm.generate [--check]`: write what of the chart is derived, or say what of it is out of date."""

import argparse
import difflib
import json
import sys
from pathlib import Path

from helm.generate.files import definitions, files, fill_values
from helm.generate.privileges import fill_privileges
from helm.generate.readme import fill_readme
from helm.generate.schema import build_schema
from helm.generate.values import UndocumentedError, read_values
from inferometer.config.json_schema import schema as agent_schema

CHART = Path(__file__).parents[1] / "inferometer"
DOCS = Path(__file__).parents[2] / "docs"


def generate(chart: Path = CHART) -> dict[Path, str]:
    """Give the files that are derived, with what they have to hold."""
    text = fill_values((chart / "values.yaml").read_text(encoding="utf-8"))
    values = read_values(text)
    schema = build_schema(values, agent_schema(), definitions())
    readme = chart / "README.md"
    return {
        chart / "values.yaml": text,
        **{chart / path: content for path, content in files().items()},
        chart / "values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        readme: fill_readme(readme.read_text(encoding="utf-8"), values, schema),
    }


def pages(docs: Path = DOCS) -> dict[Path, str]:
    """Give the pages of the documentation that are derived in part."""
    privileges = docs / "privileges.md"
    return {privileges: fill_privileges(privileges.read_text(encoding="utf-8"))}


def main() -> int:
    """Write the files; with `--check` compare them instead. Gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helm.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where a file is out of date")
    check = parser.parse_args().check
    try:
        derived = {**generate(), **pages()}
    except (UndocumentedError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # a program for developers: it prints
        return 1
    stale = 0
    for path, text in derived.items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == text:
            continue
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            continue
        name = str(path.relative_to(CHART.parents[1]))
        difference = difflib.unified_diff(
            before.splitlines(), text.splitlines(), name, f"{name} (derived)", lineterm=""
        )
        print(*difference, f"{name} is out of date: run python -m helm.generate", sep="\n")  # noqa: T201  # it prints
        stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
