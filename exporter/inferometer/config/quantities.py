# SPDX-License-Identifier: Apache-2.0
"""Durations and sizes as people write them: `1m30s`, `500ms`, `16MiB`."""

import re
from math import isfinite
from types import MappingProxyType

from inferometer.config.declare import Seconds, Size

# The patterns are shared with the JSON Schema, hence no Python-only syntax.
SECONDS = "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$"
SIZE = "^[0-9]{1,15}(B|kB|MB|GB|KiB|MiB|GiB)$"

SECONDS_FORM = "a duration such as 5s, 500ms, 1m30s or a number of seconds"
SIZE_FORM = "a size such as 16MiB, 512KiB, 4MB or a number of bytes"

# Longer than any sensible period, far shorter than what overflows a wait.
LONGEST = 30 * 86400.0

_TIMES = MappingProxyType({"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001})
_BYTES = MappingProxyType(
    {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1}
)
_TERM = re.compile(r"([0-9.]+)(ms|[smhd])")
_WHOLE = re.compile(r"([0-9]+)([a-zA-Z]+)")


class UnfitError(ValueError):
    """A value that its key does not take; the message says what it takes."""


def parse_seconds(value: object) -> Seconds:
    """Read a duration from a number of seconds or a text. Raises UnfitError, which says the form."""
    if isinstance(value, bool):
        raise UnfitError(f"must be {SECONDS_FORM}")
    if isinstance(value, str):
        if not re.fullmatch(SECONDS, value):
            raise UnfitError(f"must be {SECONDS_FORM}")
        # Rounded to the nanosecond: 0.001 is not a binary fraction, and 1500ms shall equal 1.5s.
        number = round(sum(float(n) * _TIMES[unit] for n, unit in _TERM.findall(value)), 9)
    elif isinstance(value, int | float):
        number = float(value)
    else:
        raise UnfitError(f"must be {SECONDS_FORM}")
    if not isfinite(number) or number > LONGEST:
        raise UnfitError(f"must be at most {format_seconds(LONGEST)}")
    return Seconds(number)


def parse_size(value: object) -> Size:
    """Read a size from a number of bytes or a text. Raises UnfitError, which says the form."""
    if isinstance(value, str) and re.fullmatch(SIZE, value):
        match = _WHOLE.match(value)
        assert match is not None  # noqa: S101  # SIZE has matched
        return Size(int(match[1]) * _BYTES[match[2]])
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitError(f"must be {SIZE_FORM}")
    return Size(value)


def format_seconds(value: float) -> str:
    """Write a duration with the largest unit that keeps it a whole number: 300.0 is `5m`."""
    for unit, factor in _TIMES.items():
        count = value / factor
        if value >= factor and count == int(count):
            return f"{int(count)}{unit}"
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


def format_size(value: int) -> str:
    """Write a size with the largest unit that keeps it a whole number: 16777216 is `16MiB`."""
    for unit, factor in _BYTES.items():
        if value >= factor and value % factor == 0:
            return f"{value // factor}{unit}"
    return f"{value}B"
