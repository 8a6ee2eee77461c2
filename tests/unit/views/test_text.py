# SPDX-License-Identifier: Apache-2.0
"""The table on a terminal: it fits, it is safe, and it says the same in a log."""

from inferometer.views.samples import samples
from inferometer.views.table import Row, Table, tabulate
from inferometer.views.text import lines, number, plain_line
from nodes import snapshots


def example() -> Table:
    before, after = snapshots({"pair": (0.0, 1000.0), "claimed": (0.0, 12_345.0)})
    return tabulate(samples(before), samples(after))


def of(*rows: Row) -> Table:
    return Table(rows, 1, 0, 1, 1, None, None, (), simulated=True)


def test_columns_are_aligned_and_numbers_are_to_the_right() -> None:
    """A reader finds a value below its title."""
    head, down, empty, title, first, *_ = lines(example())

    assert head == "7 GPUs, 2 MIG instances, 7 holdings, 2 engines, 1,334 tokens/s, 2,100 W"
    assert down == "no answer from engine serving/gone:8000"
    assert empty == ""
    assert title.split() == ["GPU", "OWNER", "CLAIM", "MODEL", "TOKENS/S", "W", "TOKENS/J"]
    assert first.split() == ["GPU", "0,", "GPU", "1", "serving/pair", "-", "llama-3-70b", "100.0", "600", "0.20"]
    assert title.index("TOKENS/S") + len("TOKENS/S") == first.index("100.0") + len("100.0")


def test_no_line_is_wider_than_the_terminal() -> None:
    """Long names are shortened first; below that the line is cut."""
    row = Row("GPU 0", "n" * 90, "c" * 40, "日本" * 30, 1.0, 2.0, 3.0)
    for width in (200, 100, 80, 60, 20):
        laid = lines(of(row), width=width)

        assert all(len(line) + sum(c in "日本" for c in line) <= width for line in laid), width
    assert "1.0" in lines(of(row), width=80)[-1] and "…" in lines(of(row), width=80)[-1]


def test_how_busy_the_devices_are_is_shown_where_it_is_known_and_there_is_room() -> None:
    """A narrow terminal keeps the columns that it had."""
    row = Row("GPU 0", "a/b", "", "m", 1.0, 2.0, 3.0, busy=0.5, sm=0.125)

    _, _, title, first = lines(of(row), width=120)

    assert title.split() == ["GPU", "OWNER", "CLAIM", "MODEL", "BUSY", "SM", "TOKENS/S", "W", "TOKENS/J"]
    assert first.split() == ["GPU", "0", "a/b", "-", "m", "50%", "12%", "1.0", "2", "3.00"]
    assert "BUSY" not in lines(of(row), width=90)[2]


def test_what_is_wrong_with_a_gpu_stands_above_the_table() -> None:
    """Each GPU that is not ok has a line of its own, and a log counts them."""
    ill = of()._replace(ill=("GPU 3: nvlink_down (degraded)",))

    assert lines(ill)[1] == "GPU 3: nvlink_down (degraded)"
    assert "not_ok=1" in plain_line(ill, "T")


def test_what_does_not_fit_is_counted() -> None:
    """A low terminal shows the first rows and how many more there are."""
    row = Row("GPU 0", "a/b", "", "", None, None, None)

    laid = lines(of(*[row] * 50), height=10)

    assert len(laid) == 10
    assert laid[-1] == "... 44 more"


def test_names_cannot_move_the_cursor() -> None:
    """Escape sequences and line feeds from others' pages are shown as question marks."""
    hostile = of(Row("GPU 0", "a\x1b[2Jb", "\r\n", "m\u202e", None, None, None))

    text = "".join(lines(hostile)) + plain_line(hostile, "now")

    assert text.isprintable()
    assert "a?[2Jb" in text


def test_colour_only_when_asked() -> None:
    """Without colour there is no escape sequence; with it every one is closed."""
    assert "\x1b" not in "".join(lines(example()))
    painted = lines(example(), colour=True)
    assert all(line.count("\x1b[") in (0, 2) for line in painted)
    assert any("\x1b[2m" in line and "(free)" in line for line in painted)


def test_a_plain_line_has_the_sums() -> None:
    """One line of `key=value` for a log; what is unknown is a dash."""
    assert plain_line(example(), "T") == (
        "T gpus=7 instances=2 holdings=7 engines=2 tokens_per_second=1334.5 watts=2100 not_ok=0 down=engine:serving/gone:8000"
    )
    assert plain_line(of(), "T").endswith("tokens_per_second=- watts=- not_ok=0 down=none simulated=true")


def test_an_empty_node_says_what_to_do() -> None:
    """A node without GPUs and engines is a normal state with a next step."""
    assert "inferometer check" in lines(of())[-1]
    assert "SIMULATED" in lines(of())[0]


def test_numbers_are_for_readers() -> None:
    """A dash for the unknown, no false precision for the large."""
    assert [number(v, 1) for v in (None, 0.0, 12.34, 12_345.6)] == ["-", "0.0", "12.3", "12,346"]
