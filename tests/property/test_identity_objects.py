# SPDX-License-Identifier: Apache-2.0
"""Whatever the API server's or the node's files' JSON is: it is read, or refused by name; quantities are exact."""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.model import AllocatedClaim
from inferometer.sources.identity.claim_object import project
from inferometer.sources.identity.node_files import parse_cdi, parse_checkpoint, parse_state
from inferometer.sources.identity.quantity import parse_quantity
from inferometer.sources.identity.slice_object import pooled

WORDS = (
    *("metadata", "namespace", "name", "uid", "status", "allocation", "devices", "results", "config", "reservedFor"),
    *(
        "request",
        "driver",
        "pool",
        "device",
        "shareID",
        "consumedCapacity",
        "memory",
        "opaque",
        "parameters",
        "sharing",
    ),
    *(
        "items",
        "spec",
        "generation",
        "resourceSliceCount",
        "attributes",
        "capacity",
        "value",
        "uuid",
        "string",
        "source",
    ),
    *(
        "ClaimInfoStateList",
        "Entries",
        "ClaimUID",
        "DriverState",
        "Devices",
        "RequestNames",
        "v1",
        "v2",
        "preparedClaims",
    ),
    *("containerEdits", "deviceNodes", "path", "gpu.nvidia.com", "FromClaim"),
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
trees = st.recursive(
    leaves,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(WORDS), below, max_size=6),
    max_leaves=30,
)


@st.composite
def claims(draw: st.DrawFn) -> Any:
    """A claim with anything where its parts belong."""
    result = draw(st.dictionaries(st.sampled_from(WORDS), trees, max_size=4))
    named = {"request": "a", "driver": "d", "pool": "p", "device": "x"}
    devices = {"results": [named | result, *draw(st.lists(trees, max_size=2))], "config": draw(trees)}
    metadata = {"namespace": "ns", "name": "c", "uid": "u"}
    return {"metadata": metadata, "status": {"allocation": {"devices": devices}, "reservedFor": draw(trees)}}


@given(trees | claims())
def test_a_claim_is_read_or_refused(told: Any) -> None:
    """No other error than ValueError, and nothing but a claim."""
    with suppress(ValueError):
        assert isinstance(project(told), AllocatedClaim)


@given(trees, trees)
def test_slices_are_read_or_refused(told: Any, device: Any) -> None:
    """No other error than ValueError."""
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "d", "pool": pool, "devices": [{"name": "x", "attributes": told, "capacity": device}, device]}
    for listed in (told, {"items": [told]}, {"items": [{"spec": spec}]}, {"items": [{"spec": spec | {"pool": told}}]}):
        with suppress(ValueError):
            pooled(listed, ["d"])


@given(trees, st.binary(max_size=40))
def test_the_nodes_files_are_read_or_refused(told: Any, noise: bytes) -> None:
    """Internal formats of others: no other error than ValueError, whatever they become."""
    state = {"Data": json.dumps({"ClaimInfoStateList": [{"ClaimUID": "u", "DriverState": told}, told]})}
    checkpoint = {"v2": {"preparedClaims": {"u": {"status": told}, "w": told}}}
    cdi = {"devices": [{"name": "n", "containerEdits": told}, told]}
    for written in (told, state, checkpoint, cdi):
        content = json.dumps(written).encode()
        for parse in (parse_state, parse_checkpoint, parse_cdi):
            with suppress(ValueError):
                parse(content)
    for parse in (parse_state, parse_checkpoint, parse_cdi):
        with suppress(ValueError):
            parse(noise)


@given(st.integers(-(10**12), 10**12), st.sampled_from(["m", "", "k", "M", "Ki", "Mi", "Gi"]))
def test_a_quantity_is_the_number_that_is_written(number: int, suffix: str) -> None:
    """The nearest float of the exact value."""
    factors = {"m": "0.001", "": "1", "k": "1e3", "M": "1e6", "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    assert parse_quantity(f"{number}{suffix}") == float(number * Decimal(str(factors[suffix])))


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ("0.1", 0.1),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1.5Gi", 1610612736.0),
        ("1E", 1e18),
        ("1E2", 100.0),
        ("1e-999", 0.0),
        ("12345678901234567891234567890n", 12345678901234567891.23456789),
    ],
)
def test_a_quantity_is_rounded_once(told: str, number: float) -> None:
    """With a point, an exponent, or more digits than a float has."""
    assert parse_quantity(told) == number


@pytest.mark.parametrize("told", [".", "-", "e3", "1e9999", "1e400", "1.2.3", "1 Gi", "1gi", True, None])
def test_what_is_no_quantity_is_refused(told: object) -> None:
    """No digits, two points, an unknown suffix, or more than a float can say."""
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(told)


@given(st.text(max_size=12) | st.floats() | st.integers())
def test_no_text_breaks_the_parser(told: Any) -> None:
    """A finite number, or a refusal."""
    with suppress(ValueError):
        assert abs(parse_quantity(told)) < float("inf")
