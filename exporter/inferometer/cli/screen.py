# SPDX-License-Identifier: Apache-2.0
"""The live table: redrawn in place on a terminal, one plain line a snapshot elsewhere."""

import os
import shutil
import signal
import sys
import time

from inferometer.cli.output import is_terminal, wants_colour, write
from inferometer.views.table import Table
from inferometer.views.text import lines, plain_line

_CLEAR_REST = "\x1b[J"
_CLEAR_LINE = "\x1b[K"


class Screen:
    """Shows one table after the other on standard output. `footer` stands below the table."""

    def __init__(self, footer: str) -> None:
        self._footer = footer
        self._drawn = 0
        self._size = os.terminal_size((0, 0))

    def show(self, table: Table) -> None:
        """Show the newest table."""
        if not is_terminal(sys.stdout):
            write(plain_line(table, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())) + "\n", flush=True)
            return
        size = shutil.get_terminal_size()
        laid = lines(table, width=size.columns, height=size.lines - 3, colour=wants_colour(sys.stdout))
        laid += ["", self._footer[: size.columns]]
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        if self._drawn and size != self._size:
            up = "\x1b[H"  # lines have wrapped anew: where the table began is no longer known
        write(up + "".join(f"{line}{_CLEAR_LINE}\n" for line in laid) + _CLEAR_REST, flush=True)
        self._drawn, self._size = len(laid), size


def end_on_sigterm() -> None:
    """Let SIGTERM unwind like Ctrl-C, so that what a command has started is ended with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
