# SPDX-License-Identifier: Apache-2.0
"""What may stand in a cell of what was written down: each reader gives the value, or says that it is none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

Attributes = tuple[str | None, ...]
T = TypeVar("T")

_MOST = 1e18  # of any count or sum: a float still tells such joules and seconds apart from nonsense
_MOST_WHOLE = 1 << 53


class UnusableError(ValueError):
    """What was written down cannot be taken up: no agent has written it, or not for this one."""


class Moment(NamedTuple):
    """Now, by both clocks: Unix and monotonic seconds."""

    at: float
    steady: float


def number(cell: object) -> float:
    """Read a finite number that is not negative. Raises UnusableError, as all of these do."""
    if type(cell) not in (int, float) or not 0 <= cell <= _MOST:  # type: ignore[operator]  # its type was looked at
        raise UnusableError("a number is none, or out of bounds")
    return float(cell)  # type: ignore[arg-type]  # its type was looked at


def whole(cell: object) -> int:
    """Read a whole number that is not negative."""
    if type(cell) is not int or not 0 <= cell <= _MOST_WHOLE:
        raise UnusableError("a whole number is none, or out of bounds")
    return cell


def flag(cell: object) -> bool:
    """Read true or false."""
    if not isinstance(cell, bool):
        raise UnusableError("true or false is neither")
    return cell


def text(cell: object) -> str:
    """Read a text that can be written in UTF-8."""
    if not isinstance(cell, str):
        raise UnusableError("a text is none")
    try:
        cell.encode()
    except UnicodeEncodeError as error:
        raise UnusableError("a text is not Unicode") from error
    return cell


def maybe(read: Callable[[object], T], cell: object) -> T | None:
    """Read what may be null."""
    return None if cell is None else read(cell)


def mapping(cell: object) -> Mapping[str, Any]:
    """Read an object."""
    if not isinstance(cell, dict):
        raise UnusableError("an object is none")
    return cell


def several(cell: object, length: int | None = None) -> list[Any]:
    """Read a list, of so many."""
    if not isinstance(cell, list) or length not in (None, len(cell)):
        raise UnusableError("a list is none, or not as long as it has to be")
    return cell


def rows(cell: object, length: int) -> Iterator[list[Any]]:
    """Read a list of lists that are so long."""
    for row in several(cell):
        yield several(row, length)


class Columns:
    """Attributes that were written down in the order of the `keys` there, in the order of those `now`."""

    def __init__(self, keys: object, now: Sequence[str]) -> None:
        self._keys = [text(key) for key in several(keys)]
        self._now = now
        self._known = frozenset(now)

    def read(self, cell: object) -> Attributes | None:
        """Give a series' attributes; None where one of them is not known now."""
        values = [maybe(text, value) for value in several(cell, len(self._keys))]
        said = {key: value for key, value in zip(self._keys, values, strict=True) if value is not None}
        return tuple(map(said.get, self._now)) if said.keys() <= self._known else None


def to_unix(steady: float | None, now: Moment) -> float | None:
    """Say in Unix seconds when something monotonic was."""
    return None if steady is None else now.at - (now.steady - steady)


def to_steady(cell: object, now: Moment) -> float | None:
    """Say in monotonic seconds when something was; what lies ahead, as the clock was set back, is now."""
    at = maybe(number, cell)
    return None if at is None else now.steady - max(0.0, now.at - at)
