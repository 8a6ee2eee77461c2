# SPDX-License-Identifier: Apache-2.0
"""The command line as a user runs it: a program of its own, with a bounded life."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

PROGRAM = (sys.executable, "-m", "inferometer")
PATIENCE = 60.0  # seconds; only a hang takes so long


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give this process's environment without what would configure the program."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("INFEROMETER_", "OTEL_", "KUBERNETES_"))}
    return {**kept, "COLUMNS": "100", **(more or {})}


def run(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=environment(env),
        input=stdin or b"",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def started(
    arguments: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Start a command; it does not outlive the test."""
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
