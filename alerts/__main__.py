# SPDX-License-Identifier: Apache-2.0
"""`python -m alerts`: write the rule files and Alertmanager's configuration, or check that they are up to date."""

import argparse
import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from alerts import burn
from alerts.files import render
from alerts.objective import Objective, load
from alerts.site import Site
from inferometer.config import ConfigError
from inferometer.config.quantities import format_seconds

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. 0: done; 1: a file is out of date; 2: something given is wrong."""
    given = _parser().parse_args(arguments)
    try:
        page = None if given.measured is None else Path(given.measured).read_text(encoding="utf-8")
        objectives = load(given.slo, page=page)
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for objective in objectives:
        _say_what_cannot_fire(objective)
    site = Site(**{field.name: getattr(given, field.name) for field in fields(Site)})
    written = render(objectives, site)
    try:
        return _compare(written, Path(given.out)) if given.check else _write(written, Path(given.out))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    site = Site()
    parser = argparse.ArgumentParser(prog="python -m alerts", description=__doc__)
    parser.add_argument("--slo", default=str(HERE / "slo.yaml"), metavar="FILE", help="the objectives")
    parser.add_argument(
        "--bounds-from",
        dest="measured",
        metavar="FILE",
        help="an agent's /metrics page: hold thresholds against its bounds",
    )
    parser.add_argument("--out", default=str(HERE), metavar="DIR", help="where to write (default: beside this program)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    parser.add_argument("--runbooks", default=site.runbooks, metavar="BASE", help="runbook_url is BASE/ALERT.md")
    parser.add_argument("--page-severity", default=site.page_severity, metavar="WORD", help="severity of a page")
    parser.add_argument("--ticket-severity", default=site.ticket_severity, metavar="WORD", help="severity of a ticket")
    parser.add_argument(
        "--jobs", type=_expression, default=site.jobs, metavar="REGEX", help="scrape jobs of the agents"
    )
    parser.add_argument("--page-url-file", default=site.page_url_file, metavar="PATH", help="URL of the pages' webhook")
    parser.add_argument("--ticket-url-file", default=site.ticket_url_file, metavar="PATH", help="of the tickets'")
    parser.add_argument(
        "--haste", type=_haste, default=site.haste, metavar="N", help="divide every duration, for a drill"
    )
    return parser


def _haste(given: str) -> float:
    haste = float(given)
    if not 0 < haste < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {given}")
    return haste


def _expression(given: str) -> str:
    try:
        re.compile(given)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"is no regular expression: {error}") from None
    return given


def _say_what_cannot_fire(objective: Objective) -> None:
    for pace in burn.unreachable(objective):
        sys.stderr.write(
            f"{objective.name}: with {objective.objective} a burn rate of {pace.factor(objective.hours):f} cannot be"
            f" reached, even if every request is slow; the {pace.severity} for {format_seconds(pace.long)} is left out\n"
        )


def _write(files: Mapping[str, str], folder: Path) -> int:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return 0


def _compare(files: Mapping[str, str], folder: Path) -> int:
    stale = 0
    for name, content in files.items():
        path = folder / name
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if there != content:
            stale = 1
            sys.stderr.writelines(
                difflib.unified_diff(
                    there.splitlines(keepends=True), content.splitlines(keepends=True), str(path), "new"
                )
            )
            sys.stderr.write(f"{path} is out of date: run python -m alerts\n")
    return stale


if __name__ == "__main__":
    sys.exit(main())
