# SPDX-License-Identifier: Apache-2.0
"""Durations among the options: `30s`, `5m`, or a plain number of seconds."""

from inferometer.cli.output import Failure
from inferometer.config.quantities import UnfitError, parse_seconds


def duration(option: str, text: str, *, least: float) -> float:
    """Read an option's duration, in seconds. Raises Failure with exit code 2 for what is none, or too short."""
    try:
        seconds = float(parse_seconds(float(text) if text.replace(".", "", 1).isdecimal() else text))
    except UnfitError as error:
        raise Failure(2, f"{option} {error}") from None
    if seconds < least:
        raise Failure(2, f"{option} must be at least {least:g} s")
    return seconds
