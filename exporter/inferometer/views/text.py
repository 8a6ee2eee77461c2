# SPDX-License-Identifier: Apache-2.0
"""The joined table as lines for a terminal, or as one plain line."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from inferometer.views.table import Row, Table

_GAP = "  "
_ABSENT = "-"
_LEAST = 8  # columns that a shortened text keeps

_BOLD, _DIM, _YELLOW, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[33m", "\x1b[0m"

_WIDE = 100  # columns from which on there is room for how busy the devices are


class _Column(NamedTuple):
    """A column: its title, whether it is a number, and whether it may be shortened."""

    title: str
    is_number: bool = True
    flexible: bool = False


_COLUMNS = (
    _Column("GPU", is_number=False),
    _Column("OWNER", is_number=False, flexible=True),
    _Column("CLAIM", is_number=False, flexible=True),
    _Column("MODEL", is_number=False, flexible=True),
    _Column("BUSY"),
    _Column("SM"),
    _Column("TOKENS/S"),
    _Column("W"),
    _Column("TOKENS/J"),
)


def lines(table: Table, *, width: int = 0, height: int = 0, colour: bool = False) -> list[str]:
    """Lay the table out.

    Args:
        table: what to show.
        width: the most columns that a line may take; 0 is no limit. Long names are shortened first.
        height: the most lines; what does not fit is counted in the last one. 0 is no limit.
        colour: whether escape sequences are welcome.
    """
    shown = _columns(table, width)
    cells = [[_COLUMNS[i].title for i in shown], *([_cells(row)[i] for i in shown] for row in table.rows)]
    widths = _fit([max(map(_width, column)) for column in zip(*cells, strict=True)], shown, width)
    laid = [_clip(_lay(row, widths, shown), width).rstrip() for row in cells]
    notes = [*table.ill, *(f"no answer from {name}" for name in table.down)]
    head = [_clip(_headline(table), width), *(_clip(note, width) for note in notes)]
    if not table.rows:
        laid = ["Neither a GPU nor an engine is in sight; `inferometer check` says why."[: width or None]]
    elif height and len(head) + 1 + len(laid) > height:
        room = max(1, height - len(head) - 2)
        laid = [*laid[:room], f"... {len(laid) - room} more"]
    if colour:
        head = [f"{_BOLD}{head[0]}{_RESET}", *(f"{_YELLOW}{line}{_RESET}" for line in head[1:])]
        laid = [_paint(line, i, table.rows) for i, line in enumerate(laid)]
    return [*head, "", *laid]


def _columns(table: Table, width: int) -> list[int]:
    """Choose the columns: how busy the devices are only where a row knows, and where there is room."""
    room = not width or width >= _WIDE
    known = {
        "BUSY": any(row.busy is not None for row in table.rows),
        "SM": any(row.sm is not None for row in table.rows),
    }
    return [
        i for i, column in enumerate(_COLUMNS) if known.get(column.title, True) and (room or column.title not in known)
    ]


def plain_line(table: Table, stamp: str) -> str:
    """Say the sums in one line, as `key=value`, for a log."""
    fields = {
        "gpus": str(table.gpus),
        "instances": str(table.instances),
        "holdings": str(table.holdings),
        "engines": str(table.engines),
        "tokens_per_second": _ABSENT if table.tokens is None else f"{table.tokens:.1f}",
        "watts": _ABSENT if table.watts is None else f"{table.watts:.0f}",
        "not_ok": str(len(table.ill)),
        "down": ",".join(name.replace(" ", ":") for name in table.down) or "none",
    }
    words = [stamp, *(f"{key}={value}" for key, value in fields.items())]
    return clean(" ".join([*words, "simulated=true"] if table.simulated else words))


def number(value: float | None, digits: int) -> str:
    """Write a number for a reader: thousands apart, fewer digits when it is large, a dash when it is unknown."""
    if value is None:
        return _ABSENT
    return f"{value:,.{0 if abs(value) >= 1000 else digits}f}"  # enough digits as it is


def share(value: float | None) -> str:
    """Write a share for a reader, in hundredths."""
    return _ABSENT if value is None else f"{value:.0%}"


def clean(text: str) -> str:
    """Replace what would move the cursor or hide: names come from others' pages."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _headline(table: Table) -> str:
    parts = [
        _count(table.gpus, "GPU"),
        _count(table.instances, "MIG instance"),
        _count(table.holdings, "holding"),
        _count(table.engines, "engine"),
        f"{number(table.tokens, 1)} tokens/s",
        f"{number(table.watts, 0)} W",
    ]
    return ("SIMULATED: " if table.simulated else "") + ", ".join(parts)


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def _cells(row: Row) -> list[str]:
    """Write one row's cells."""
    texts = (row.devices, row.owner, row.claim, row.model)
    numbers = (
        *(share(row.busy), share(row.sm)),
        *(number(row.tokens, 1), number(row.watts, 0), number(row.tokens_per_joule, 2)),
    )
    return [*(clean(text) or _ABSENT for text in texts), *numbers]


def _fit(widths: Sequence[int], shown: Sequence[int], width: int) -> list[int]:
    """Shorten the widest of the texts until the line fits, down to a least width."""
    fitted = list(widths)
    flexible = [place for place, i in enumerate(shown) if _COLUMNS[i].flexible]
    while width and sum(fitted) + len(_GAP) * (len(fitted) - 1) > width:
        widest = max(flexible, key=lambda i: fitted[i])
        if fitted[widest] <= _LEAST:
            break
        fitted[widest] -= 1
    return fitted


def _lay(cells: Sequence[str], widths: Sequence[int], shown: Sequence[int]) -> str:
    """Set one row's cells side by side: texts to the left, numbers to the right."""
    laid = []
    for text, width, i in zip(cells, widths, shown, strict=True):
        clipped = _clip(text, width)
        space = " " * (width - _width(clipped))
        laid.append(space + clipped if _COLUMNS[i].is_number else clipped + space)
    return _GAP.join(laid)


def _clip(text: str, width: int) -> str:
    """Cut a text to a width, with an ellipsis where it was cut. 0 is no limit."""
    text = clean(text)
    if not width or _width(text) <= width:
        return text
    while text and _width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _width(text: str) -> int:
    """Count the columns that a text takes: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _paint(line: str, index: int, rows: Sequence[Row]) -> str:
    """Dim the title and what nobody owns."""
    if index == 0 or (index <= len(rows) and not rows[index - 1].owned):
        return f"{_DIM}{line}{_RESET}"
    return line
