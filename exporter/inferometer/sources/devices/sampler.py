# SPDX-License-Identifier: Apache-2.0
"""The sampler child: reads one vendor's GPUs when told to, one frame per GPU, and survives what hangs in the driver.

Run as `python -I -m inferometer.sources.devices.sampler KEY VALUE ...`, with the standard library and the vendor's binding
only. It never outlives its agent: the end of its standard input ends it, hung or not.

- Standard input, lines: `sample N`, `sample N skip I J`, `sample N only I`. The newest command counts.
- Standard output, frames of a 4-byte big-endian length and JSON or numbers (see `frames`), with their sample's number `n`:
  for each GPU its numbers, before them what it has not told before or what has changed of it (see `telling`), or `lost`
  with a reason; `users` where it was time for them (`users.Users.read`); `events` where there were
  any (`events.Events.take`), which are told once; then `done` with the count of GPUs, those that the driver leaves out,
  and what the calls have cost since the last one. `fatal` says that the driver is no use, `released` that it is being
  unbound from a GPU: then the process lets go of the driver and ends.
- The page of `whereabouts` says which call is under way on which GPU.

The main thread never calls the driver, until the end.
"""

import gc
import importlib
import os
import select
import signal
import sys

from inferometer.sources.devices import calls, exclusion
from inferometer.sources.devices.jobs import GRACE, Sampler
from inferometer.sources.devices.meter import Meter
from inferometer.sources.devices.vendor import Options
from inferometer.sources.devices.whereabouts import LIBRARY

# The module that makes a vendor's driver, by the vendor's name; the others are not loaded.
VENDORS = {
    "nvidia": "inferometer.sources.devices.nvml",
    "amd": "inferometer.sources.devices.amd.driver",
}

_YOUNG = 10_000  # containers that are made and not freed until the collector of garbage looks


def obey(sampler: Sampler, patience: float) -> None:
    """Take commands until standard input ends; add a worker when a sample makes no end for longer than the patience."""
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], None if sampler.is_idle() else patience)
        if not ready:
            sampler.add_worker()
            continue
        received = os.read(0, 4096)
        if not received:
            return
        *lines, pending = (pending + received).split(b"\n")
        if lines:
            _, number, *rest = lines[-1].split()
            indexes = frozenset(map(int, rest[1:]))
            only = next(iter(indexes), None) if rest[:1] == [b"only"] else None
            sampler.ask(int(number), frozenset() if only is not None else indexes, only)


def main(arguments: list[str]) -> None:
    """Sample until told to end.

    Keys: `vendor`, `page` (descriptor), `patience` (seconds), `binding` (a module) and what it is told by `argument`,
    `library`, `unbind`, `processes`, `exclude`, and the slower tiers (seconds).
    """
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    # Frames have a descriptor of their own: whatever the driver's library prints goes to standard error.
    output = os.dup(1)
    os.dup2(2, 1)
    page = Meter(int(options["page"]))
    os.close(int(options["page"]))
    maker = importlib.import_module(VENDORS[options["vendor"]])
    page.enter(LIBRARY, maker.OPENING)  # loading the binding counts as the beginning of opening the library
    wanted = Options(
        periods={tier: float(options[tier]) for tier in calls.TIERS if tier in options},
        exclude=exclusion.parse(options["exclude"]),
        with_processes=bool(options["processes"]),
        hears_unbind=bool(options["unbind"]),
    )
    vendor = maker.make(options["binding"], options["argument"], options["library"], wanted)
    sampler = Sampler(vendor, page, output)
    gc.freeze()  # what is there now stays, and a sample leaves next to no garbage
    gc.set_threshold(_YOUNG)
    obey(sampler, float(options["patience"]))
    signal.alarm(GRACE)  # the kernel ends the process if the driver does not let go
    sampler.close()


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)
