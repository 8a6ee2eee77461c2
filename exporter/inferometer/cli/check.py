# SPDX-License-Identifier: Apache-2.0
"""`inferometer check`: what is there, what is missing and what to do, source by source."""

import argparse
import sys

from inferometer import app
from inferometer.cli.output import wants_colour, write
from inferometer.cli.replay import replayed
from inferometer.cli.screen import end_on_sigterm
from inferometer.cli.settings import settle
from inferometer.views.json import dump
from inferometer.views.text import clean

_FINE = ("ok", "off", "absent")
_COLOURS = {"ok": "\x1b[32m", "off": "\x1b[2m", "absent": "\x1b[2m", "degraded": "\x1b[33m"}
_RED, _RESET = "\x1b[31m", "\x1b[0m"


def execute(arguments: argparse.Namespace) -> int:
    """Print all findings; the exit code is 1 unless each source works, as far as its devices can, or is switched off."""
    end_on_sigterm()
    config, environ = settle(arguments, level="error")  # the findings say it better
    config, stand, _ = replayed(arguments, config, once=True)
    return report(app.check(config, environ, stand), as_json=arguments.json)


def report(findings: tuple[app.Finding, ...], *, as_json: bool) -> int:
    """Print findings, and give the exit code."""
    ok = all(finding.state in _FINE for finding in findings)
    if as_json:
        write(dump({"ok": ok, "findings": [finding._asdict() for finding in findings]}) + "\n")
        return 0 if ok else 1
    width = max((len(finding.source) for finding in findings), default=0)
    for finding in findings:
        write(f"{_state(finding.state)}  {clean(finding.source):{width}}  {clean(finding.reason)}\n")
        if finding.remedy:
            write(f"{'':8}  {'':{width}}  {clean(finding.remedy)}\n")
    return 0 if ok else 1


def _state(state: str) -> str:
    """Write a state in its column, and in its colour where that is welcome."""
    if not wants_colour(sys.stdout):
        return f"{state:8}"
    return f"{_COLOURS.get(state, _RED)}{state:8}{_RESET}"
