# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes Quantity (apimachinery, pkg/api/resource) as a number; pure."""

import re
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Any

_FORM = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|(n|u|m|k|[KMGTPE]i|[MGTPE])?)", re.ASCII
)
_LONGEST = 64  # characters; the API server writes far fewer

_FACTORS = MappingProxyType(
    {
        **{suffix: Decimal(f"1e{3 * power}") for power, suffix in enumerate(("n", "u", "m"), -3)},
        **{suffix: Decimal(f"1e{3 * power}") for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
        **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
    }
)


def parse_quantity(told: Any) -> float:
    """Read `80Gi`, `500m`, `1e3` or a plain number. Raises ValueError for anything else.

    The value is exact until it is made a float: 0.1 stays a tenth, and 80Gi is 85899345920. `E` alone is exa, before digits it
    is an exponent. Source: `quantity.go`, "The serialization format is".
    """
    if isinstance(told, bool) or not isinstance(told, str | int | float):
        raise ValueError("a quantity is a text or a number")  # noqa: TRY004  # one kind of error for what is malformed
    text = str(told)
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"not a quantity: {text[:_LONGEST]!r}")
    number, exponent, suffix = match.groups()
    value = Decimal(f"{number}{exponent or ''}") * _FACTORS.get(suffix or "", Decimal(1))
    if not isfinite(float(value)):
        raise ValueError(f"too large a quantity: {text!r}")
    return float(value)
