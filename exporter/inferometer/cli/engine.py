# SPDX-License-Identifier: Apache-2.0
"""`inferometer check engine`: which engine a page is from, and which of its families map to what."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from inferometer import app
from inferometer.cli import check
from inferometer.cli.output import Failure, write
from inferometer.cli.settings import settle
from inferometer.config import Engines, Objective
from inferometer.join.blindness import STATISTICS_OFF, blindness
from inferometer.join.objectives import MEASURED_BY, complain, measure
from inferometer.model import EngineReport, Reason, Target, Trouble
from inferometer.sources.engines.access import accesses, open_client, refuse_target
from inferometer.sources.engines.advice import how_to_measure, how_to_show
from inferometer.sources.engines.reader import PageDescription, Reader, describe
from inferometer.views.json import dump
from inferometer.views.text import clean
from inferometer.wire import shown


def execute(arguments: argparse.Namespace) -> int:
    """Read one page and say what it is. A page that cannot be read is an error; an unknown engine is an answer.

    Without a page say which engines are scraped.
    """
    if arguments.page is None:
        config, environ = settle(arguments, level="error")  # the findings say it better
        return check.report(app.check_engines(config, environ), as_json=arguments.json)
    config, _ = settle(arguments, level="warning")
    page, content_type = _read(arguments.page, config.engines, arguments.credentials or "")
    try:
        found = describe(page, content_type, config.engines.passthrough)
    except Trouble as trouble:
        # What a malformed page's remedy tells to do is this very command.
        remedy = [] if trouble.reason is Reason.MALFORMED else filter(None, [trouble.remedy])
        raise Failure(1, f"{shown(arguments.page)}: {trouble.message}", *remedy) from None
    report = Reader(Target("", ""), max_samples=1_000_000).read(page, content_type)
    objectives, blind = _objectives(report, config.slo.objectives), blindness(report)
    write(dump(_document(found, objectives, blind)) + "\n" if arguments.json else _text(found, objectives, blind))
    return 0


def _read(place: str, engines: Engines, credentials: str) -> tuple[bytes, str]:
    """Read a page from a URL, a file or standard input; give it with its content type, where it has one."""
    most = engines.max_page
    if place.startswith(("http://", "https://")):
        if problem := refuse_target(credentials, engines.credentials):
            raise Failure(2, f"--credentials: {problem}")
        access = accesses(engines.credentials).get(credentials)
        client = open_client(access, deadline=engines.deadline, max_body=most)
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


def _objectives(report: EngineReport, objectives: tuple[Objective, ...]) -> list[str]:
    """Say which objectives an engine's histograms cannot tell, whatever namespace they are for, and what would help."""
    said: dict[str, None] = {}
    for each in measure([replace(each, namespace="*") for each in objectives], report, ""):
        if text := complain(each):
            metric = MEASURED_BY[each.objective.metric].name
            said[f"{text}. {how_to_measure(report.backend or report.engine, metric, each.state)}"] = None
    return list(said)


def _document(found: PageDescription, objectives: list[str], blind: str) -> dict[str, object]:
    """Give the JSON document.

    It is `{engine, backend, kind, version, models, blind, details, mapped, unmapped, unknown, missing, likely, objectives,
    passed, withheld}`.
    `mapped` and `likely` are lists of `{family, metric}`, `objectives` of sentences on those that cannot be measured.
    `passed` are the families that are passed on, `withheld` a list of `{family, reason}` of those that cannot be.
    `blind` is why the page says nothing of its engine, and empty where it does.
    """
    return {
        "engine": found.engine,
        "backend": found.backend,
        "kind": found.kind,
        "version": found.version,
        "models": list(found.models),
        "blind": blind,
        "details": dict(found.details),
        "mapped": _pairs(found.mapped),
        "unmapped": list(found.unmapped),
        "unknown": list(found.unknown),
        "missing": list(found.missing),
        "likely": _pairs(found.likely),
        "objectives": objectives,
        "passed": list(found.passed),
        "withheld": [{"family": family, "reason": reason} for family, reason in found.withheld],
    }


def _pairs(pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"family": family, "metric": metric} for family, metric in pairs]


def _text(found: PageDescription, objectives: list[str], blind: str) -> str:
    """Write the same for a reader."""
    lines = [
        f"engine   {found.engine}"
        + (f", in front of {found.backend}" if found.backend not in ("", found.engine) else ""),
        f"kind     {found.kind}",
        f"version  {found.version or 'the page does not tell'}",
        f"models   {', '.join(found.models) or 'the page does not tell'}",
    ]
    lines += [f"{'':7}  {attribute} {value}" for attribute, value in found.details]
    lines += [f"blind    {blind}"] if blind else []
    lines += [f"{'':7}  {how_to_show(found.engine)}"] if blind == STATISTICS_OFF else []
    width = max((len(family) for family, _ in (*found.mapped, *found.likely)), default=0)
    lines += _listed("mapped", [f"{family:{width}}  {metric}" for family, metric in found.mapped])
    lines += _listed("objectives that cannot be measured", objectives)
    lines += _listed("missing", found.missing)
    lines += _listed("not known to this version", found.unknown)
    lines += _listed(
        "not read, but named as other engines name", [f"{family:{width}}  {metric}" for family, metric in found.likely]
    )
    lines += _listed("not mapped", found.unmapped)
    lines += _listed("passed on", found.passed)
    lines += _listed("asked for, and not passed on", [f"{family}: {reason}" for family, reason in found.withheld])
    return "".join(f"{clean(line)}\n" for line in lines)


def _listed(title: str, items: "list[str] | tuple[str, ...]") -> list[str]:
    """Write a titled list; an empty one is left out."""
    return ["", f"{title} ({len(items)})", *(f"  {item}" for item in items)] if items else []
