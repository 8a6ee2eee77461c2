# SPDX-License-Identifier: Apache-2.0
"""How long what has ended stays, so that a slow scraper still reads the last value, and how much of it (law 4).

What ended because its device is away is remembered for longer, unseen: a driver can be upgraded, and a GPU be reset, while
the agent runs, and the device comes back under the same UUID with the counters that it had.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar


class Ending(Protocol):
    """What may be over; `ended` is monotonic seconds: since when, None while it lasts."""

    @property
    def ended(self) -> float | None:
        """Since when it is over."""
        ...

    def _replace(self, *, ended: float | None) -> Self: ...


K = TypeVar("K")
V = TypeVar("V")
E = TypeVar("E", bound=Ending)


@dataclass(frozen=True, slots=True)
class Rules:
    """How long ended counters stay, in seconds, and how many at most (law 4), and what bounds the counters of XIDs.

    `max_models` and `max_reasons` are how many models, and how many reasons of one kind, engines may have series for.
    `remember` is how long the counters of a device that is away are kept, for when it is back.
    `max_codes` is how many codes of a GPU may have a counter besides those that alerts name, `max_sxids` how many counters
    there may be of NVSwitches. `same_xid` is how many seconds apart NVML and the kernel's log may tell one XID, besides what
    NVML's own stamp is late: two clocks, and the time that a sample takes.
    """

    linger: float = 300.0
    max_ended: int = 2_000
    max_codes: int = 64
    max_sxids: int = 256
    same_xid: float = 10.0
    remember: float = 86_400.0
    max_models: int = 100
    max_reasons: int = 50


def keep(
    ended: Iterable[tuple[K, V]],
    since: Callable[[V], float],
    steady: float,
    rules: Rules,
    is_away: Callable[[K], bool] = lambda _: False,
) -> tuple[dict[K, V], int]:
    """Keep what ended within the linger, the newest where it is too much; give it, and how many the limit dropped.

    `since` gives when an item ended and `steady` is now, both in monotonic seconds. What `is_away` is kept beyond the
    linger, to be remembered: see `is_shown`.
    """
    staying = [
        (key, item) for key, item in ended if steady - since(item) <= (rules.remember if is_away(key) else rules.linger)
    ]
    excess = max(0, len(staying) - rules.max_ended)
    if excess:
        staying.sort(key=lambda pair: since(pair[1]))
    return dict(staying[excess:]), excess


def departed(before: Mapping[K, E], there: Container[K], steady: float) -> Iterator[tuple[K, E]]:
    """Give what was there before and is not any more, ended at the latest now (monotonic seconds)."""
    for key, item in before.items():
        if key not in there:
            yield key, item if item.ended is not None else item._replace(ended=steady)


def keep_departed(
    before: Mapping[K, E],
    there: Container[K],
    steady: float,
    rules: Rules,
    is_away: Callable[[K], bool] = lambda _: False,
) -> tuple[dict[K, E], int]:
    """Keep what has departed as long as the rules say; give it, and how many the limit dropped: see `keep`."""
    return keep(departed(before, there, steady), lambda item: item.ended or 0.0, steady, rules, is_away)


def is_shown(ended: float | None, steady: float, rules: Rules) -> bool:
    """Tell whether a counter is published: it has not ended, or not longer ago than the linger (monotonic seconds)."""
    return ended is None or steady - ended <= rules.linger
