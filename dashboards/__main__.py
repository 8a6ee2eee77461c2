# SPDX-License-Identifier: Apache-2.0
"""`python -m dashboards`: write the dashboards' files, or check that they are up to date."""

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dashboards.classic import classic_json
from dashboards.every import EVERY

GENERATED = Path(__file__).parent / "generated"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. 0: done; 1: a file is out of date."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--out", default=str(GENERATED), metavar="DIR", help="where to write (default: generated/)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    given = parser.parse_args(arguments)
    files = {f"{dashboard.uid}.json": classic_json(dashboard) for dashboard in EVERY}
    return (_compare if given.check else _write)(files, Path(given.out))


def _write(files: Mapping[str, str], folder: Path) -> int:
    """Write the files; those of dashboards that are no more go."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("inferometer-*.json"):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return 0


def _compare(files: Mapping[str, str], folder: Path) -> int:
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    stale = sorted(name for name in files.keys() | there.keys() if files.get(name) != there.get(name))
    for name in stale:
        before, after = (text.get(name, "").splitlines(keepends=True) for text in (there, files))
        sys.stderr.writelines(difflib.unified_diff(before, after, str(folder / name), "new"))
        sys.stderr.write(f"{folder / name} is out of date: run python -m dashboards\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
