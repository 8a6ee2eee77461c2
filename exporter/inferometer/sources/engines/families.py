# SPDX-License-Identifier: Apache-2.0
"""Finds which families a page has."""

from collections.abc import Iterator

from inferometer.sources.engines.page import Layout

_SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_created", "_info", "_gcount", "_gsum")


def families_of(layout: Layout) -> dict[str, None]:
    """Give the names of the families on a page, as it declares them, in its order.

    What is declared without a sample is on the page too. A `_created` family belongs to the family that it dates:
    in text pages, prometheus_client declares it as a gauge of its own.
    """
    names = dict.fromkeys(layout.types)
    names |= dict.fromkeys(_undeclared(layout))
    return {name: None for name in names if not _is_date(name, names)}


def _is_date(name: str, names: dict[str, None]) -> bool:
    base = name.removesuffix("_created")
    return base != name and (base in names or base + "_total" in names)


def _undeclared(layout: Layout) -> Iterator[str]:
    """Give the families of samples that no `# TYPE` line covers."""
    sampled = {series.name for series in layout.series}
    for name in dict.fromkeys(series.name for series in layout.series):
        base = next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)
        if name not in layout.types and base not in layout.types:
            yield base if base + "_bucket" in sampled else name
