# SPDX-License-Identifier: Apache-2.0
"""`inferometer top`: the live table of a running agent, read from its /metrics page."""

import argparse
import time
from collections import deque
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

from inferometer import catalog
from inferometer.cli.access import open_agent
from inferometer.cli.output import say
from inferometer.cli.screen import Screen
from inferometer.cli.settings import settle
from inferometer.client import Client
from inferometer.model import Reason, Trouble
from inferometer.views.samples import Samples, parse
from inferometer.views.table import tabulate
from inferometer.wire import shown

_POLL = 0.5  # seconds: how exactly the time of a new page is known, since the page itself bears none
_SPAN = 10.0  # seconds that rates are taken over


def execute(arguments: argparse.Namespace) -> NoReturn:
    """Show the table until Ctrl-C; an agent that cannot be read at the start is an error."""
    settle(arguments, level="warning")
    url = metrics_url(arguments.url)
    client = open_agent(arguments, "top")
    try:
        _watch(client, url, Screen(f"{shown(url)}  Ctrl-C ends"))
    finally:
        client.close()


def metrics_url(url: str) -> str:
    """Complete what a person types: `node-7:9466` means its metrics page over HTTP. What is no URL stays as it is."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:  # the client says what is wrong with it
        return url
    return urlunsplit(parts._replace(path="/metrics")) if parts.path in ("", "/") else urlunsplit(parts)


def _watch(client: Client, url: str, screen: Screen) -> NoReturn:
    """Show every new page. Pages between two snapshots of the agent are the same, to the byte."""
    past: deque[tuple[float, Samples]] = deque()
    newest = b""
    failing = False
    while True:
        try:
            page = _get(client, url)
        except Trouble as trouble:
            if not past:
                raise
            if not failing:
                say(trouble.message)
            failing = True
            past.clear()
            page = newest
        else:
            failing = False
        if page != newest:
            newest = page
            now = time.monotonic()
            after = parse(page.decode("utf-8", "replace"), now)
            past.append((now, after))
            while len(past) > 2 and now - past[1][0] >= _SPAN:
                past.popleft()
            screen.show(tabulate(past[0][1] if len(past) > 1 else None, after))
        time.sleep(_POLL)


def _get(client: Client, url: str) -> bytes:
    """Read the page. Raises Trouble, also for a page that is not Inferometer's."""
    response = client.get(url, accept="text/plain")
    if response.status != 200:
        text = response.body[:200].decode("utf-8", "replace").strip()
        raise Trouble(Reason.REJECTED, f"{shown(url)} answers {response.status}: {text}")
    if f"\n{catalog.AGENT_INFO.prometheus}{{".encode() not in response.body:
        raise Trouble(Reason.MALFORMED, f"{shown(url)} is not the page of an Inferometer agent")
    return response.body
