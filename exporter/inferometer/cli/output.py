# SPDX-License-Identifier: Apache-2.0
"""The two streams: `write` for data, `say` for everything else."""

import os
import sys
from typing import TextIO


class Failure(Exception):  # noqa: N818  # it ends a command with an exit code; nothing of ours went wrong
    """Ends a command: an exit code, and what to say on standard error."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.code = code
        self.lines = lines


def write(text: str, *, flush: bool = False) -> None:
    """Write data to standard output."""
    if sys.stdout is None:  # started with standard output closed
        return
    sys.stdout.write(text)
    if flush:
        sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Write encoded data to standard output as it is."""
    if sys.stdout is None:
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def say(*lines: str) -> None:
    """Tell the person at the terminal."""
    if sys.stderr is not None:
        for line in lines:
            sys.stderr.write(f"inferometer: {line}\n")


def wants_colour(stream: TextIO | None) -> bool:
    """Whether escape sequences are welcome there (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at the stream, on something that can move its cursor."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
