# SPDX-License-Identifier: Apache-2.0
"""The table of AMD SMI's calls agrees with the catalogue, with the package, and with NVIDIA's table beside it."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from inferometer.catalog import BY_NAME
from inferometer.sources.devices import calls, tables
from inferometer.sources.devices.amd import table


def test_every_quantity_is_in_the_catalogue() -> None:
    """A row names a metric of the catalogue, and attributes and values that the metric has; no series twice (law 2)."""
    for quantity, _ in table.QUANTITIES:
        metric = BY_NAME[quantity.metric]
        for key, value in quantity.attributes:
            attribute = next(a for a in metric.attributes if a.key == key)
            assert value in attribute.values or key == "error.type"
    series = [(quantity.metric, quantity.attributes) for quantity, _ in table.QUANTITIES]
    assert len(series) == len(set(series))
    assert {fact.attribute for fact in table.FACTS} <= set(BY_NAME["gpu.info"].keys)


def test_positions_and_numbers_mean_the_same_on_both_sides() -> None:
    """What the child numbers is what the agent looks up, and no number is of two calls or beyond its byte."""
    for slot, row in table.TABLE:
        assert [quantity for quantity, _ in tables.QUANTITIES[slot : slot + len(row.gives)]] == list(row.gives)
    assert all(tables.CALLS[number] == call for call, number in (*table.NUMBER.items(), *calls.NUMBER.items()))
    assert len(tables.CALLS) <= 256


@pytest.mark.skipif(find_spec("amdsmi") is None, reason="the Python package amdsmi is not installed")
def test_every_call_exists_in_the_package() -> None:
    """A call is a function of the package, by its name there."""
    spec = find_spec("amdsmi")
    assert spec is not None
    assert spec.origin is not None
    source = ast.parse(Path(spec.origin).with_name("amdsmi_interface.py").read_text())

    assert set(table.CALLS) <= {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
