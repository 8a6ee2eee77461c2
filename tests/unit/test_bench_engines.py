# SPDX-License-Identifier: Apache-2.0
"""The engines' bench reads what it says it reads: pages whose numbers move and whose series stay."""

from bench.engines import PAGES, moved
from inferometer.sources.engines.page import Parser


def test_a_moved_page_has_the_same_series_and_other_numbers() -> None:
    """Every sample of a recorded page but the start times and what is no number has another value, in the same layout."""
    text = (PAGES / "vllm" / "real_v0.32.0_cpu_after60.txt").read_text()
    parser = Parser()

    first, second = (parser.parse(moved(text, factor).encode()) for factor in (1, 2))

    assert first.layout is second.layout
    same = {s.name for s, a, b in zip(first.layout.series, first.values, second.values, strict=True) if a == b}
    assert same
    assert all("_created" in name for name in same)
