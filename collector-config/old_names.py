# SPDX-License-Identifier: Apache-2.0
"""Write old-names/: these configurations with the names that Collectors before 0.154 know, or check that they are up to date.

Run by its path: `python collector-config/old_names.py [--check]`.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
OLD = HERE / "old-names"


class Renamed(NamedTuple):
    """A component that a release renamed: what it was called, what it is called, and the first release that knows that.

    Source: `Type` in internal/metadata/generated_status.go of the component's module, before and at that release.
    """

    old: str
    new: str
    since: str


# The old names are understood by 0.161 too, as deprecated aliases.
RENAMED = (
    Renamed("otlp", "otlp_grpc", "0.144.0"),
    Renamed("otlphttp", "otlp_http", "0.144.0"),
    Renamed("k8sattributes", "k8s_attributes", "0.146.0"),
    Renamed("resourcedetection", "resource_detection", "0.153.0"),
    Renamed("prometheusremotewrite", "prometheus_remote_write", "0.154.0"),
)


class Changed(NamedTuple):
    """Text that an older release wants otherwise, and the first release that wants it as it stands."""

    old: str
    new: str
    since: str


CHANGED = (
    # Before, the remote write exporter had its endpoint beside its other keys.
    Changed(
        "    endpoint: ${env:REMOTE_WRITE_ENDPOINT",
        "    http:\n      endpoint: ${env:REMOTE_WRITE_ENDPOINT",
        "0.158.0",
    ),
    Changed("", "    disable_scope_info: true # no labels that a scrape does not have\n", "0.147.0"),
)

_NEW = {one.new: one.old for one in RENAMED}
_NAME = re.compile(rf"\b({'|'.join(_NEW)})(?=[/:\],]|$)", re.MULTILINE)
_LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"
_NOTE = "# Made of ../{name} by old_names.py, with the names that Collectors before 0.154 know.\n"


def old_text(text: str, name: str) -> str:
    """Give a configuration's text with the old names; `name` is where it stands, as its first lines then say."""
    for change in CHANGED:
        text = text.replace(change.new, change.old)
    renamed = _NAME.sub(lambda found: _NEW[found[1]], text)
    return renamed.replace(_LICENCE, _LICENCE + _NOTE.format(name=name), 1)


def render() -> dict[Path, str]:
    """Give every file of old-names/ with its content: of all that a Collector reads, where the names make a difference."""
    current = sorted([*HERE.glob("*.yaml"), *HERE.glob("overlays/*.yaml")])
    written = {}
    for path in current:
        text = path.read_text(encoding="utf-8")
        if "\nservice:\n" in text:
            name = path.relative_to(HERE)
            written[OLD / name] = old_text(text, f"../{name}" if len(name.parts) > 1 else str(name))
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. 0: done; 1: a file is out of date."""
    parser = argparse.ArgumentParser(prog="old_names.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    check = parser.parse_args(arguments).check
    files = render()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    stale += [path for path in OLD.rglob("*.yaml") if path not in files]
    if check:
        sys.stderr.writelines(f"{path.relative_to(HERE.parent)} is out of date: run make docs\n" for path in stale)
        return 1 if stale else 0
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in set(stale) - files.keys():
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
