# SPDX-License-Identifier: Apache-2.0
"""A driver as a test sees it: what it answers now, what it was asked; and how to wait for what it does."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from fakenvml.fakenvml import Node
from inferometer.model import DeviceReport, Trouble
from inferometer.sources.devices.nvidia import Nvidia


class Driver:
    """The driver that the library plays: what it answers now, and what it was asked."""

    def __init__(self, directory: Path, library: Path) -> None:
        self.library = library
        self.text = directory / "node.txt"
        self.log = directory / "calls.log"
        self.log.touch()

    def is_now(self, node: Node) -> None:
        """Change what the driver answers, live."""
        node.write(self.text)

    def calls(self) -> list[tuple[int, str, str]]:
        """Give the logged calls: process, call, subject."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        return [(int(pid), call, subject) for pid, call, subject in lines]


class Open(Protocol):
    """Opens a source on the driver."""

    def __call__(self, deadline: float = 10.0, kill_after: float = 60.0, library: Path | None = None) -> Nvidia: ...


class Tuned(Protocol):
    """Opens a source with some of the keys of `devices.nvidia`; its slow tier is due at each read, and counts for a minute."""

    def __call__(self, **settings: object) -> Nvidia: ...


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something to become true; fail when it does not."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class Closes(Protocol):
    """Can be closed."""

    def close(self) -> None: ...


def children() -> set[int]:
    """Give the processes that this one has started, those that have ended and were not seen to among them."""
    return {p.pid for p in psutil.Process().children()}


def close_all(sources: Sequence[Closes], before: set[int]) -> None:
    """Close sources, and again where a machine that stalls took the time to see their processes end."""

    def are_gone() -> bool:
        for source in sources:
            source.close()
        return not children() - before

    wait_until(are_gone)


def read_until(source: Nvidia, holds: Callable[[DeviceReport], bool], seconds: float = 60.0) -> DeviceReport:
    """Read, as the poller does again and again, until a report is as wanted; a trouble is no report."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            report = source.read()
        except Trouble as trouble:
            last = trouble
        else:
            last = report
            if holds(report):
                return report
        time.sleep(0.02)
    raise AssertionError(f"no such report; the last was {last!r}")
