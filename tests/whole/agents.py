# SPDX-License-Identifier: Apache-2.0
"""The whole agent on a simulated node, and waiting for what it will say."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any, Literal

from inferometer import app
from inferometer.app.simulated import point_at
from inferometer.config import Accounting, Config, Limits, Passthrough, Seconds, Server
from inferometer.simulation.node import SimulatedNode
from whole.pages import Page, scrape

NOTHING = Passthrough()
_FEWEST = 10


@contextmanager
def agent_on(
    node: SimulatedNode,
    *,
    endpoint: str = "",
    protocol: Literal["grpc", "http/protobuf"] = "http/protobuf",
    server: Server | None = None,
    passthrough: Passthrough = NOTHING,
    limits: Limits | None = None,
    accounting: Accounting | None = None,
    period: float = 0.5,
    **otlp: Any,
) -> Iterator[app.Agent]:
    """Run an agent on a simulated node; it is scraped, as `server` says, and pushes where `endpoint` is given, as `otlp` says.

    All tiers and pushes have one `period` (seconds): what is not read for two of them is gone from the page.
    """
    base = Config()
    config, stand = point_at(node.endpoints, base)
    nvidia = replace(config.devices.nvidia, medium_period=Seconds(period), slow_period=Seconds(period))
    config = replace(
        config,
        period=Seconds(period),
        limits=limits or base.limits,
        accounting=accounting or base.accounting,
        devices=replace(config.devices, nvidia=nvidia),
        server=replace(server or base.server, listen="127.0.0.1:0"),
        engines=replace(config.engines, passthrough=passthrough),
        otlp=replace(base.otlp, endpoint=endpoint, protocol=protocol, interval=Seconds(period), **otlp),
    )
    agent = app.Agent(config, environ={}, stand=stand)
    agent.start()
    try:
        await_that(lambda: agent.newest is not None, "the first snapshot")
        yield agent
    finally:
        agent.stop()


def tries(seconds: float = 30.0) -> Iterator[None]:
    """Give turns for so many seconds, and ten at least: where the machine has little time to give, one can take as long.

    Between two of them as much time is left to whom is looked at: agents are in this very process.
    """
    end = time.monotonic() + seconds
    for number in count(1):
        began = time.monotonic()
        yield
        now = time.monotonic()
        if now > end and number >= _FEWEST:
            return
        time.sleep(max(0.02, now - began))


def await_that(is_so: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until something is so."""
    assert any(is_so() for _ in tries(seconds)), f"not within {seconds:.0f} s: {what}"


def page_where(agent: app.Agent, check: Callable[[Page], None]) -> Page:
    """Scrape until a page is as it should be, and give it."""
    pages: list[Page] = []

    def look() -> None:
        pages[:] = [scrape(agent.url)]
        check(pages[0])

    eventually(look)
    return pages[0]


def eventually(check: Callable[[], None], seconds: float = 30.0) -> None:
    """Check until nothing is wrong any more; on a machine that stalls a page can lack what was not read in time."""
    wrong: Exception | None = None
    for _ in tries(seconds):
        try:
            return check()
        except (AssertionError, LookupError, ValueError, OSError) as error:
            wrong = error
    raise wrong or AssertionError
