# SPDX-License-Identifier: Apache-2.0
"""`inferometer demo`: a simulated node through the same pipeline, with a live table and the status page."""

import argparse
import queue
import time
from dataclasses import replace

from inferometer import app
from inferometer.cli.durations import duration
from inferometer.cli.output import say
from inferometer.cli.screen import Screen, end_on_sigterm
from inferometer.cli.settings import settle
from inferometer.model import Snapshot
from inferometer.views.samples import samples
from inferometer.views.table import tabulate

_GLANCE = 0.2  # seconds: how soon Ctrl-C and the end are noticed

_Pair = tuple[Snapshot | None, Snapshot]


def execute(arguments: argparse.Namespace) -> int:
    """Show the demo until its time is over or Ctrl-C."""
    end_on_sigterm()
    lasts = float("inf") if arguments.duration is None else duration("--for", arguments.duration, least=0)
    config, environ = settle(arguments, level="warning")
    news: queue.SimpleQueue[_Pair] = queue.SimpleQueue()
    with app.simulate(config, arguments.seed) as (adapted, stand):
        here = replace(adapted, server=replace(adapted.server, listen=f"127.0.0.1:{arguments.port}"))
        agent = app.Agent(here, environ=environ, stand=stand, on_snapshot=lambda *pair: news.put(pair))
        agent.start()
        try:
            say(f"simulated node, seed {arguments.seed}: {agent.url}")
            _watch(news, Screen(f"{agent.url}  Ctrl-C ends"), time.monotonic() + lasts)
        finally:
            agent.stop()
    return 0


def _watch(news: "queue.SimpleQueue[_Pair]", screen: Screen, until: float) -> None:
    """Show every snapshot until the time has come."""
    while time.monotonic() < until:
        try:
            before, after = news.get(timeout=min(_GLANCE, max(0.0, until - time.monotonic())))
        except queue.Empty:
            continue
        screen.show(tabulate(samples(before) if before else None, samples(after)))
