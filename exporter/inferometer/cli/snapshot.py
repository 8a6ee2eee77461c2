# SPDX-License-Identifier: Apache-2.0
"""`inferometer snapshot`: one collection, long enough for rates, printed."""

import argparse
import shutil
import sys
from contextlib import ExitStack

from inferometer import app
from inferometer.cli.output import is_terminal, wants_colour, write, write_bytes
from inferometer.cli.replay import replayed
from inferometer.cli.screen import end_on_sigterm
from inferometer.cli.settings import settle
from inferometer.model import Snapshot
from inferometer.views import json, otlp
from inferometer.views.prometheus import Exposition
from inferometer.views.samples import samples
from inferometer.views.table import tabulate
from inferometer.views.text import lines


def execute(arguments: argparse.Namespace) -> int:
    """Collect twice and print the newer snapshot, with the rates between the two where the format has rates."""
    end_on_sigterm()
    config, environ = settle(arguments, level="warning")
    with ExitStack() as stack:
        config, stand, _ = replayed(arguments, config)
        if arguments.simulate:
            config, stand = stack.enter_context(app.simulate(config, arguments.seed))
        before, after = app.collect(config, environ, stand)
    _print(before, after, "json" if arguments.json else arguments.format)
    return 0


def _print(before: Snapshot, after: Snapshot, form: str) -> None:
    """Print in one of the formats."""
    if form == "json":
        write(json.dump(json.snapshot(after)) + "\n")
    elif form == "prometheus":
        write_bytes(Exposition().render(after, openmetrics=False))
    elif form == "otlp-json":
        write(otlp.otlp_json(after) + "\n")
    else:
        width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else 0
        table = tabulate(samples(before), samples(after))
        write("".join(f"{line}\n" for line in lines(table, width=width, colour=wants_colour(sys.stdout))))
