# SPDX-License-Identifier: Apache-2.0
"""What the sources have to say that still counts."""

from typing import TypeVar, cast

from inferometer.join.memo import Recall
from inferometer.model import Frame, Frames

T = TypeVar("T")


def good(frames: Frames, source: str, kind: type[T]) -> list[Frame[T]]:
    """Give a source's valid frames."""
    return [cast("Frame[T]", f) for f in frames.good if f.source == source and isinstance(f.value, kind)]


def items(frames: Frames, source: str, kind: type[T], recall: Recall) -> tuple[T, ...] | None:
    """Give what a source that answers with a list said, the same object while it says the same; None if it has nothing valid to say."""
    said = next((frame.value or () for frame in good(frames, source, tuple)), None)
    if said is None:
        return None
    return recall.of(("items", source), said, lambda: tuple(item for item in said if isinstance(item, kind)))
