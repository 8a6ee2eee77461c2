# SPDX-License-Identifier: Apache-2.0
"""What the sources have to say that still counts."""

from typing import TypeVar, cast

from inferometer.model import Frame, Frames

T = TypeVar("T")


def good(frames: Frames, source: str, kind: type[T]) -> list[Frame[T]]:
    """Give a source's valid frames."""
    return [cast("Frame[T]", f) for f in frames.good if f.source == source and isinstance(f.value, kind)]


def items(frames: Frames, source: str, kind: type[T]) -> tuple[T, ...] | None:
    """Give what a source that answers with a list said; None if it has nothing valid to say."""
    for frame in good(frames, source, tuple):
        return tuple(item for item in frame.value or () if isinstance(item, kind))
    return None
