# SPDX-License-Identifier: Apache-2.0
"""The page of what it costs says what the bench has printed."""

import json

import pytest

from bench.__main__ import PARTS
from bench.measure import Row
from bench.performance import machine, render


def test_a_row_stands_with_its_reference_and_budget() -> None:
    """Value, unit, reference, ratio, goal and limit of a row are one line, and the reference is named below."""
    row = json.loads(str(Row("encode.otlp", 0.5, "s", 10.0, "the SDK", goal=1, limit=2, least_ratio=10.0)))

    page = render([row], "2 cores")

    assert "| `encode.otlp` | 0.5 | s | 10 (1) | 20 (at least 10) | 1 | 2 |" in page
    assert "\n1. the SDK\n" in page
    assert "(2 cores)" in page


def test_a_part_that_was_not_measured_is_said_to_be_missing() -> None:
    """What the bench could not run is a row with the reason, and no other part is lost by it."""
    rows = [{"name": "devices", "missing": "no nvitop-exporter"}, json.loads(str(Row("parse.vllm", 1.0, "s")))]

    page = render(rows, machine())

    assert "missing: no nvitop-exporter" in page
    assert "| `parse.vllm` | 1 | s | | | | |" in page.replace("|  |", "| |").replace("|  |", "| |")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_of_the_bench_has_its_place(part: object) -> None:
    """No part's rows are refused by the page."""
    name = getattr(part, "name", "")
    assert f"`{name}.x`" in render([json.loads(str(Row(f"{name}.x", 1.0, "s")))], "2 cores")
