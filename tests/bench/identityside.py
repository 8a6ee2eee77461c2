# SPDX-License-Identifier: Apache-2.0
"""The identity side alone, in a process that is measured: all its sources, without devices, engines, join and outputs.

`python -m bench.identityside FILE` takes the agent's configuration from FILE, imports what the sources need and says so. Each line
of its standard input is then a round of reads; after it, it says as one line of JSON what it has read and asked for.
"""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from inferometer import config
from inferometer.app.allocator import hold_little
from inferometer.board import Board, Poller
from inferometer.config import Config, Seconds
from inferometer.sources.identity.cgroups import Cgroups
from inferometer.sources.identity.podresources import PodResources
from inferometer.sources.identity.pods import Pods
from inferometer.sources.identity.traffic import Traffic

PERIOD = 0.1  # seconds
_AT_ONCE = 3_600.0  # seconds of the allowance to ask: the bench does not wait for what an agent spreads


def main(file: str) -> None:
    """Read a round for each line."""
    hold_little()
    settings = replace(config.load(file, {}), period=Seconds(PERIOD))
    _import_all()
    _say({})
    side = _Side(settings)
    try:
        for _ in sys.stdin:
            _say(side.read())
    finally:
        side.close()


def _import_all() -> None:
    """Import what the sources would import when they first need it, and start what starts with it."""
    import ssl

    import grpc  # noqa: TID251  # what podresources imports

    from inferometer.sources.identity import allocations

    ssl.create_default_context()
    grpc.insecure_channel("unix:/nonexistent").close()
    allocations.parse(b"")


class _Side:
    def __init__(self, settings: Config) -> None:
        from inferometer.app.dra import Dra

        identity, period = settings.identity, settings.period
        self._traffic = Traffic(_AT_ONCE)
        self._board = Board()
        self._poller = Poller(self._board, period)
        self._dra = Dra(settings, self._poller, settings.node.name, reachable=True, traffic=self._traffic)
        self._cgroups = Cgroups(identity.processes, period)
        self._poller.add(PodResources(identity.podresources, period))
        self._poller.add(Pods(identity.pods, settings.node.name, period, {}, self._traffic))
        self._poller.add(self._cgroups)

    def read(self) -> Mapping[str, Any]:
        time.sleep(PERIOD)  # so that every source is due
        self._poller.tick(5.0)
        seen = self._board.frames()
        self._dra.follow(seen)
        self._cgroups.aim({int(each.name): time.time() for each in Path("/proc").iterdir() if each.name.isdigit()})
        sizes = {f.source: len(f.value) for f in seen.good if isinstance(f.value, tuple)}
        counts = {f"{verb} {resource}": counted for (verb, resource), counted in self._traffic.counts.items()}
        return MappingProxyType({"read": sizes, "asked": counts})

    def close(self) -> None:
        self._poller.close()


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(dict(line)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
