# SPDX-License-Identifier: Apache-2.0
"""What holds for any bytes that an engine may answer with: the judge of the fuzzer and of the properties."""

import re
from collections.abc import Iterable
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics  # noqa: TID251  # an oracle
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # an oracle

from inferometer.model import Target, Trouble
from inferometer.sources.engines.page import Page, Parser
from inferometer.sources.engines.reader import Reader

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TARGET = Target("default/engine:8000", "http://127.0.0.1:8000/metrics")

# What its OpenMetrics parser reads wrongly: it takes what follows `}` for a space, so that `a{b="c"}24` is 4 to it, and
# white space around a name for a part of the name.
_MISREAD = re.compile(r'["{]\s*\}[^ ]')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

Key = tuple[str, tuple[tuple[str, str], ...]]
Samples = dict[Key, str]


def judge(body: bytes, parser: Parser) -> None:
    """Read bytes as text and as OpenMetrics; `parser` has read anything before.

    Raises:
        AssertionError: what is remembered changes what is read, or a library reads other values.
        Exception: anything but Trouble is an error.
    """
    for content_type, library in (("", text), (OPENMETRICS, strict)):
        fresh = ours(body, content_type)
        again = ours(body, content_type, parser)
        if isinstance(fresh, str):  # of several reasons, what is remembered may find another first
            assert isinstance(again, str), "what was read before makes a bad page good"
            continue
        assert again == fresh, "what was read before changes what is read"
        theirs = library(body.decode())
        if theirs is not None:
            assert plain(fresh.items()) == plain(theirs), "the library reads other values"
        Reader(TARGET).read(body, content_type)


def ours(body: bytes, content_type: str = "", parser: Parser | None = None) -> Samples | str:
    """Give what our parser finds, values as text so that NaN equals itself; or why it refuses."""
    try:
        return said((parser or Parser()).parse(body, content_type))
    except Trouble as trouble:
        return f"{trouble.reason} {trouble.message}"


def said(page: Page) -> Samples:
    """Give a page's samples."""
    return {(s.name, s.labels): _number(value) for s, value in zip(page.layout.series, page.values, strict=True)}


def text(page: str) -> list[tuple[Key, str]] | None:
    """Give what prometheus_client's text parser finds; None if it refuses, by whatever it raises then."""
    return _found(text_string_to_metric_families, page)


def strict(page: str) -> list[tuple[Key, str]] | None:
    """Give what its OpenMetrics parser finds; None if it refuses, or may misread."""
    found = None if _MISREAD.search(page) else _found(openmetrics.text_string_to_metric_families, page)
    return found if found and all(_NAME.fullmatch(name) for (name, _), _ in found) else None


def _found(parse: Any, page: str) -> list[tuple[Key, str]] | None:
    try:
        families = list(parse(page))
    except Exception:  # its own errors are many: IndexError, KeyError, TypeError, ValueError
        return None
    return [
        ((s.name, tuple(sorted(s.labels.items()))), _number(s.value)) for family in families for s in family.samples
    ]


def _number(value: float) -> str:
    """Write a number so that NaN equals itself; the library reads `-0` as an integer, which has no sign."""
    return repr(float(value) + 0.0)


def plain(samples: Iterable[tuple[Key, str]]) -> Samples:
    """Take away the `_total` that the text parser adds to every counter."""
    return {(name.removesuffix("_total"), labels): value for (name, labels), value in samples}
