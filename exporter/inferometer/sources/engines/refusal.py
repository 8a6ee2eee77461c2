# SPDX-License-Identifier: Apache-2.0
"""What is announced and not scraped, and why."""

from typing import NamedTuple

CORRECT = "Correct the target or the pod."


class Refusal(NamedTuple):
    """A target that was announced and is not scraped. `place` is `namespace/pod`, or `engines.targets[i]`.

    `doubtful` is one that nobody asked for: it only looks like an engine.
    """

    place: str
    reason: str
    remedy: str = CORRECT
    doubtful: bool = False


class Refused(Exception):  # noqa: N818  # control flow, turned into a Refusal
    """A pod's announcement cannot be followed."""

    def __init__(self, reason: str, remedy: str = CORRECT, *, doubtful: bool = False) -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.doubtful = doubtful

    def at(self, place: str) -> Refusal:
        """Say it of a place."""
        return Refusal(place, str(self), self.remedy, self.doubtful)
