# SPDX-License-Identifier: Apache-2.0
"""`inferometer check engine`: which engine a page is from, and which of its families map to what."""

import argparse
import sys
from pathlib import Path

from inferometer.cli.output import Failure, write
from inferometer.cli.settings import settle
from inferometer.client import Client
from inferometer.model import Reason, Trouble
from inferometer.sources.engines.reader import PageDescription, describe
from inferometer.views.json import dump
from inferometer.views.text import clean
from inferometer.wire import shown


def execute(arguments: argparse.Namespace) -> int:
    """Read one page and say what it is. A page that cannot be read is an error; an unknown engine is an answer."""
    config, _ = settle(arguments, level="warning")
    page, content_type = _read(arguments.page, config.engines.deadline, config.engines.max_page)
    try:
        found = describe(page, content_type)
    except Trouble as trouble:
        # What a malformed page's remedy tells to do is this very command.
        remedy = [] if trouble.reason is Reason.MALFORMED else filter(None, [trouble.remedy])
        raise Failure(1, f"{shown(arguments.page)}: {trouble.message}", *remedy) from None
    write(dump(_document(found)) + "\n" if arguments.json else _text(found))
    return 0


def _read(place: str, deadline: float, most: int) -> tuple[bytes, str]:
    """Read a page from a URL, a file or standard input; give it with its content type, where it has one."""
    if place.startswith(("http://", "https://")):
        client = Client(deadline=deadline, max_body=most)
        try:
            response = client.get(place, accept="text/plain; version=0.0.4")
        finally:
            client.close()
        if response.status != 200:
            raise Trouble(Reason.REJECTED, f"the page answers with status {response.status}")
        return response.body, response.headers.get("content-type", "")
    if place == "-" and sys.stdin is None:
        raise Failure(1, "standard input: is closed")
    try:
        with sys.stdin.buffer if place == "-" else Path(place).open("rb") as file:
            page = file.read(most + 1)
    except OSError as error:
        raise Failure(1, f"{place}: {error.strerror or error}") from None
    if len(page) > most:
        raise Trouble(Reason.TOO_LARGE, f"{place} is larger than {most} bytes", "Raise engines.max_page.")
    return page, ""


def _document(found: PageDescription) -> dict[str, object]:
    """Give the JSON document: `{engine, backend, kind, version, models, mapped: [{family, metric}], unmapped, missing}`."""
    return {
        "engine": found.engine,
        "backend": found.backend,
        "kind": found.kind,
        "version": found.version,
        "models": list(found.models),
        "mapped": [{"family": family, "metric": metric} for family, metric in found.mapped],
        "unmapped": list(found.unmapped),
        "missing": list(found.missing),
    }


def _text(found: PageDescription) -> str:
    """Write the same for a reader."""
    lines = [
        f"engine   {found.engine}"
        + (f", in front of {found.backend}" if found.backend not in ("", found.engine) else ""),
        f"kind     {found.kind}",
        f"version  {found.version or 'the page does not tell'}",
        f"models   {', '.join(found.models) or 'the page does not tell'}",
    ]
    width = max((len(family) for family, _ in found.mapped), default=0)
    lines += _listed("mapped", [f"{family:{width}}  {metric}" for family, metric in found.mapped])
    lines += _listed("missing", found.missing) + _listed("not mapped", found.unmapped)
    return "".join(f"{clean(line)}\n" for line in lines)


def _listed(title: str, items: "list[str] | tuple[str, ...]") -> list[str]:
    """Write a titled list; an empty one is left out."""
    return ["", f"{title} ({len(items)})", *(f"  {item}" for item in items)] if items else []
