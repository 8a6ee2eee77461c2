# SPDX-License-Identifier: Apache-2.0
"""Samples: the same from a snapshot as from the page that an agent serves."""

from inferometer.views.prometheus import Exposition
from inferometer.views.samples import Sample, Series, parse, samples
from inferometer.views.table import tabulate
from nodes import snapshots


def test_a_page_gives_the_table_that_the_snapshot_gives() -> None:
    """`top` reads pages and `demo` reads snapshots: both show the same."""
    before, after = snapshots({"pair": (0.0, 1000.0), "slice": (5.0, 7.0), ":8123": (0.0, 1.0)})
    render = Exposition().render
    pages = [render(snapshot, openmetrics=False).decode() for snapshot in (before, after)]

    read = tabulate(parse(pages[0], 0.0), parse(pages[1], 10.0))

    assert read == tabulate(samples(before), samples(after))


def test_label_values_are_unescaped() -> None:
    """Quotes, backslashes, line feeds, braces and commas in a value are its own."""
    page = 'inferometer_info{a="x\\\\n\\"y\\"",b="{,}",c="1\\n2"} 1\n'

    assert parse(page, 3.0) == {
        Series("inferometer_info", (("a", 'x\\n"y"'), ("b", "{,}"), ("c", "1\n2"))): Sample(1.0, 3.0)
    }


def test_other_lines_are_passed_over() -> None:
    """Comments, other families and lines that are no samples do not matter."""
    page = '# HELP gpu_info x\ngo_goroutines 5\ngpu_info{\nhw_power_watts{hw_id="G"} oops\n\n<html>'

    assert parse(page, 0.0) == {}
