# SPDX-License-Identifier: Apache-2.0
"""How the values of OTEL_* variables are written. Each reader gives the value, or raises ValueError and shows no secret.

Source: OpenTelemetry specification, "Environment Variable Specification", "Configuration types".
"""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from inferometer.push.temporality import Preference

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2: what a header's name is made of
_ENDLESS = 600.0  # seconds: what a timeout of 0 is, "indefinite"; nothing here waits without an end


def read_url(text: str) -> SplitResult:
    """Split a URL, also where only its port is wrong."""
    try:
        parts = urlsplit(text)
        fine = parts.port != 0 and not any(c.isspace() or not c.isprintable() for c in text)
    except ValueError:  # its own message may quote a password
        fine = False
    if not fine:
        raise ValueError("it is not a URL")
    return parts


def read_protocol(text: str) -> str:
    """Read `grpc` or `http/protobuf`."""
    if text not in {"grpc", "http/protobuf"}:
        raise ValueError(f"{text[:40]!r} is not supported, only grpc and http/protobuf are")
    return text


def read_compression(text: str) -> str:
    """Read `gzip`, `zstd` or `none`."""
    if text not in {"gzip", "zstd", "none"}:
        raise ValueError(f"{text[:40]!r} is not supported, only gzip, zstd and none are")
    return text


def read_preference(text: str) -> Preference:
    """Read a temporality preference, in any case."""
    try:
        return Preference(text.lower())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is none of {', '.join(Preference)}") from None


def read_boolean(text: str) -> bool:
    """Read `true` or `false`, in any case; the specification takes everything else for false, with a warning."""
    if text.lower() not in {"true", "false"}:
        raise ValueError("it is neither true nor false, so it counts as false")
    return text.lower() == "true"


def read_duration(text: str) -> float:
    """Read whole milliseconds above 0, as seconds."""
    seconds = _milliseconds(text)
    if seconds == 0:
        raise ValueError("it is not a positive whole number of milliseconds")
    return seconds


def read_timeout(text: str) -> float:
    """Read whole milliseconds, as seconds; 0 is as long as anything here may take."""
    return _milliseconds(text) or _ENDLESS


def _milliseconds(text: str) -> float:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise ValueError("it is not a whole number of milliseconds")
    return int(text) / 1000


def read_headers(text: str) -> dict[str, str]:
    """Read headers; their names become lower case."""
    headers = read_pairs(text)
    for key, value in headers.items():
        if not _TOKEN.fullmatch(key):
            raise ValueError("a header's name has a character that HTTP forbids")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the value of {key!r} has a character that HTTP forbids")
    return {key.lower(): value for key, value in headers.items()}


def read_pairs(text: str) -> dict[str, str]:
    """Read `key=value,key=value` with percent-encoded values (W3C Baggage)."""
    pairs: dict[str, str] = {}
    for number, item in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        key, equals, value = item.partition("=")
        key = unquote(key.strip(), errors="strict")
        if not equals or not key:
            raise ValueError(f"its entry {number} is not key=value")
        try:
            pairs[key] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            raise ValueError(f"the value of {key!r} is not UTF-8") from None
    return pairs
