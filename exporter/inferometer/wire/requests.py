# SPDX-License-Identifier: Apache-2.0
"""One question: whom it is for, what is asked, and how a URL may be shown."""

import base64
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

from inferometer.model import Reason, Trouble


class Origin(NamedTuple):
    """Whom a connection is to."""

    scheme: str
    host: str
    port: int


class Request(NamedTuple):
    """One question. `url` is as configured and only for messages; `target` is what goes on the request line."""

    method: str
    url: str
    origin: Origin
    target: str
    body: bytes | None
    headers: Mapping[str, str]


def request(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Request:
    """Take a URL apart; its user information becomes an Authorization header (RFC 7617).

    Raises:
        Trouble: MALFORMED, if it is no http or https URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urllib.parse.SplitResult("", "", "", "", ""), 0
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Trouble(Reason.MALFORMED, f"{shown(url)}: not an http:// or https:// URL", "write http://host:port/path")
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode(), **headers}
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(method, url, Origin(parts.scheme, parts.hostname, port), target, body, headers)


def shown(url: str) -> str:
    """Give a URL as messages may show it: without user, password and the values of its query."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "a URL that cannot be parsed"
    place = parts.netloc.rpartition("@")[2]
    query = "&".join(f"{pair.partition('=')[0]}=..." for pair in parts.query.split("&") if pair)
    return urllib.parse.urlunsplit((parts.scheme, place, parts.path, query, ""))
