# SPDX-License-Identifier: Apache-2.0
"""What one request is while it waits to be sent."""

from dataclasses import dataclass

from inferometer.model import Point
from inferometer.push.parts import count_points
from inferometer.push.record import Head, read, write


@dataclass(eq=False, slots=True)
class Waiting:
    """One request in the spool, in one of three states.

    Fresh: `body` is as the encoder made it. In memory: `packed` is its record. On disk: `number` names its file.

    Attributes:
        push: which push it belongs to; `last` says whether it is the last request of it.
        at: when it was made, Unix seconds; `since` is the same on the monotonic clock.
        ended: the points of the series that it says the end of.
        held: it is being sent.
        tried: it has been sent and not been taken, nor refused; `begun`: but for a part of it.
    """

    push: int
    last: bool
    at: float
    since: float
    body: bytes | None = None
    packed: bytes | None = None
    number: int | None = None
    ended: tuple[Point, ...] = ()
    held: bool = False
    tried: bool = False
    begun: bool = False
    counted: int | None = None

    @property
    def points(self) -> int:
        """How many data points it has. Counted only where somebody asks: it takes as long as encoding them."""
        if self.counted is None:
            self.counted = count_points(self.body or (read(self.packed)[1] if self.packed else b""))
        return self.counted

    def pack(self) -> bytes:
        """Give its record, made from the body where it is fresh."""
        if self.packed is None:
            self.packed = write(Head(self.at, self.points, self.last), self.body or b"")
            self.body = None
        return self.packed
