# SPDX-License-Identifier: Apache-2.0
"""The command line. Data goes to standard output, everything else to standard error.

Exit codes: 0 done, 1 something is wrong or unreadable, 2 wrong usage or configuration, 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from inferometer.cli.output import Failure, say, write
from inferometer.cli.parser import build_parser
from inferometer.model import Trouble

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a name shows the rest
    try:
        code = _execute(argv)
        write("", flush=True)
    except BrokenPipeError:
        _abandon_output()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Failure as failure:
        code = failure.code
        say(*failure.lines)
    except Trouble as trouble:
        code = 1
        say(*filter(None, (trouble.message, trouble.remedy)))
    except OSError as error:  # a full disk behind standard output
        code = 1
        say(f"{error.filename or 'standard output'}: {error.strerror or error}")
        _abandon_output()
    return code


def _execute(argv: Sequence[str] | None) -> int:
    """Parse and run. Only the chosen command's module is imported: `--version` must not wait for gRPC."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as done:  # argparse has answered `--help`, `--version` or a wrong usage itself
        return done.code if isinstance(done.code, int) else 2
    return int(import_module(f"inferometer.cli.{arguments.module}").execute(arguments))


def _abandon_output() -> None:
    """Point standard output elsewhere, so that the interpreter's last flush does not complain in its turn."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
