# SPDX-License-Identifier: Apache-2.0
"""What was probably meant by a name that does not exist."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], least: float = 0.0) -> str:
    """Give the name of those known that is the most like another, at least so much (0..1); empty where none is."""
    from difflib import get_close_matches  # noqa: PLC0415  # 0.1 MiB that only a mistake costs

    return next(iter(get_close_matches(name, known, 1, least)), "")
