# SPDX-License-Identifier: Apache-2.0
"""What the join remembers from one tick to the next: it saves work, and changes nothing but how often the unchanged is said."""

from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T")


Made = tuple[object, Any]  # all that a value was made from, and the value
_NOTHING: Mapping[Hashable, Made] = MappingProxyType({})


class Memo:
    """What was made in the newest tick, by its purpose, and for whom.

    What a tick does not ask for is forgotten with it, so that there is never more than one tick's.
    """

    __slots__ = ("_context", "_known")

    def __init__(self) -> None:
        self._context: object = None
        self._known = _NOTHING

    def begin(self, context: object) -> "Recall":
        """Begin a tick; with another context nothing of what was made before counts."""
        return Recall(self._known if context is self._context or context == self._context else _NOTHING)

    def keep(self, context: object, recall: "Recall") -> None:
        """End a tick. Called once it is whole, so that nobody sees it half done."""
        self._context, self._known = context, recall.fresh


class Recall:
    """The memory of one tick: what is known of the one before, and what is made now."""

    __slots__ = ("fresh", "known")

    def __init__(self, known: Mapping[Hashable, Made] = _NOTHING) -> None:
        self.known = known
        self.fresh: dict[Hashable, Made] = {}

    def of(self, key: Hashable, told: object, make: Callable[[], T]) -> T:
        """Give what was made of the same in the tick before; else make it.

        That objects are equal is seen at a glance where they are the same: so the newest of them are kept.
        """
        made = self.known.get(key)
        value: T = made[1] if made is not None and made[0] == told else make()
        self.fresh[key] = told, value
        return value

    def before(self, key: Hashable) -> Any:
        """Give what was noted under a key in the tick before; None where nothing was."""
        made = self.known.get(key)
        return None if made is None else made[1]

    def note(self, key: Hashable, value: object) -> None:
        """Note something for the tick after."""
        self.fresh[key] = None, value
