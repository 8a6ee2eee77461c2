# SPDX-License-Identifier: Apache-2.0
"""Which form of /metrics a client gets, and whether it has it already (RFC 9110 sections 12.4, 12.5 and 13.1.2)."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


class Form(NamedTuple):
    """One way to write the same samples: the page's name in `Published`, and the Content-Type that says so."""

    page: str
    content_type: str


# Our names need no escaping in any scheme, so every client gets `underscores`, whatever it allows: the series' names
# must not depend on who scrapes. Version 0.0.4 is older than the parameter.
TEXT = Form("text", "text/plain; version=0.0.4; charset=utf-8")
TEXT_1 = Form("text", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores")
OPENMETRICS = Form("openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores")

# (media range, version parameter) -> form.
_SERVED = {
    ("application/openmetrics-text", "1.0.0"): OPENMETRICS,
    ("application/openmetrics-text", ""): OPENMETRICS,
    ("text/plain", "1.0.0"): TEXT_1,
    ("text/plain", "0.0.4"): TEXT,
    ("text/plain", ""): TEXT,
    ("text/*", ""): TEXT,
    ("*/*", ""): TEXT,
}

_TAG = re.compile(r'(?:W/)?("[!#-~\x80-\xff]*")')  # RFC 9110 section 8.8.3

_SPOKEN = 32  # headers whose meaning is remembered: a client says the same at every scrape


class _Choice(NamedTuple):
    value: str
    parameters: dict[str, str]
    quality: float


def _choices(header: str) -> Iterator[_Choice]:
    """Read a header of comma-separated values with parameters; what has a senseless q-value is left out."""
    for item in header.lower().split(","):
        value, *rest = (part.strip() for part in item.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip(): text.strip().strip('"') for key, _, text in pairs}
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            continue
        if value and 0.0 <= quality <= 1.0:
            yield _Choice(value, parameters, quality)


@lru_cache(_SPOKEN)
def choose_form(accept: str) -> Form:
    """Choose by Accept: the highest q-value that can be served, the first of equals, as Prometheus' own libraries do.

    A client that accepts nothing of ours gets the classic text: a page it may not like is more use than a 406.
    """
    best, form = 0.0, TEXT
    for choice in _choices(accept):
        served = _SERVED.get((choice.value, choice.parameters.get("version", "")))
        if served and choice.quality > best:
            best, form = choice.quality, served
    return form


@lru_cache(_SPOKEN)
def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether the client takes gzip, and likes it no less than the plain page."""
    qualities = {choice.value: choice.quality for choice in _choices(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0.0 and gzip >= qualities.get("identity", 0.0)


def has_already(if_none_match: str, tag: str) -> bool:
    """Say whether a client has the page of this entity tag. The comparison is the weak one, as RFC 9110 section 13.1.2 asks."""
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)
