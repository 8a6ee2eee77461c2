# SPDX-License-Identifier: Apache-2.0
"""`inferometer record`: what NVML answers, written into a directory, with everything hidden that identifies somebody."""

import argparse
import math
from pathlib import Path

from inferometer.app import captured
from inferometer.cli.durations import duration
from inferometer.cli.output import Failure, say, write
from inferometer.cli.screen import end_on_sigterm
from inferometer.cli.settings import settle
from inferometer.views.json import dump

_ROUNDS = 60
_MOST = 100_000


def execute(arguments: argparse.Namespace) -> int:
    """Record, and say what was written and what was hidden."""
    end_on_sigterm()
    period = duration("--period", arguments.period, least=0.05)
    rounds = _ROUNDS if arguments.rounds is None else arguments.rounds
    if arguments.duration is not None:
        rounds = max(1, math.ceil(duration("--for", arguments.duration, least=0) / period))
    if not 1 <= rounds <= _MOST:
        raise Failure(2, f"between 1 and {_MOST} rounds can be recorded, not {rounds}")
    config, _ = settle(arguments, level="warning")
    directory = Path(arguments.directory)
    say(f"recording {rounds} rounds, one every {period:g} s; Ctrl-C ends it earlier")
    written = captured.record(config, directory, rounds, period)
    if arguments.json:
        document = {**written._asdict(), "path": str(written.path), "masked": dict(written.masked)}
        write(dump(document) + "\n")
        return 0
    write(f"{written.path}: {written.rounds} rounds, {written.lines} lines, {written.bytes} bytes\n")
    hidden = ", ".join(f"{count} {kind}" for kind, count in written.masked.items()) or "nothing"
    write(f"masked: {hidden}\n")
    if written.full:
        write("the capture reached its size limit and ends early\n")
    return 0
