# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes Quantity (apimachinery, pkg/api/resource) as a number; pure."""

import re
from types import MappingProxyType
from typing import Any

_FORM = re.compile(
    r"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,3})|(n|u|m|k|[KMGTPE]i|[MGTPE])?)", re.ASCII
)
_LONGEST = 64  # characters; the API server writes far fewer

_POWERS = MappingProxyType(
    {
        "": 0,
        **{suffix: 3 * power for power, suffix in enumerate(("n", "u", "m"), -3)},
        **{suffix: 3 * power for power, suffix in enumerate("kMGTPE", 1)},
    }
)
_BINARY = MappingProxyType({f"{suffix}i": 1024**power for power, suffix in enumerate("KMGTPE", 1)})


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
    sign, whole, part, exponent, suffix = match.groups(default="")
    power = int(exponent or _POWERS.get(suffix, 0)) - len(part)
    above: int = 10 ** max(0, power)
    below: int = 10 ** max(0, -power)
    try:
        # Of whole numbers, so that it is rounded once.
        value: float = int(f"{whole}{part}") * _BINARY.get(suffix, 1) * above / below
    except OverflowError:
        raise ValueError(f"too large a quantity: {text!r}") from None
    return -value if sign == "-" else value
