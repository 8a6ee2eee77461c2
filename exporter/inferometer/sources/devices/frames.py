# SPDX-License-Identifier: Apache-2.0
"""The frames from the sampler child to the agent: a length, and JSON, or what is told at each sample, which is but numbers.

Both ends are on one machine, and of one release: numbers are written as they lie in memory.
"""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from struct import Struct, pack
from typing import Any

MAX = 1 << 20  # bytes; a GPU with 64 instances needs 10 KiB
# JSON begins with a brace. The others begin with a mark and the number of the sample.
_NUMBERS = Struct("=cQBH")  # then the number of the layout, and the GPU's NVML index: doubles follow
_OF_NUMBERS = b"#"
_DONE = Struct("=cQH")  # then how many GPUs there are: triples follow
_OF_DONE = b"."
_COST = Struct("=3Q")  # a call's number, how often it was made, and the microseconds


def write(frame: dict[str, Any]) -> bytes:
    """Give a frame as it is sent."""
    return _with_length(_ENCODE(frame).encode())


def write_numbers(sample: int, gpu: int, layout: int, numbers: Sequence[float]) -> bytes:
    """Give the frame of a GPU's numbers; the layout of that number was told before (see `telling`)."""
    return _with_length(pack(f"{_NUMBERS.format}{len(numbers)}d", _OF_NUMBERS, sample, layout, gpu, *numbers))


def write_done(sample: int, count: int, spent: Mapping[int, Sequence[int]]) -> bytes:
    """Give the frame that ends a sample of so many GPUs, and what calls have cost since the last one."""
    costs: list[int] = []
    for call, (times, microseconds) in spent.items():
        costs += (call, times, microseconds)
    return _with_length(pack(f"{_DONE.format}{len(costs)}Q", _OF_DONE, sample, count, *costs))


def read(body: bytes) -> dict[str, Any]:
    """Read a frame without its length: an object of JSON; or `n`, `gpu`, `layout` and `numbers`; or `n`, `done` and `calls`.

    Raises ValueError, TypeError or RecursionError for what is none; there is no NaN and no Infinity in one.
    """
    mark = body[:1]
    if mark == _OF_NUMBERS:
        _, sample, layout, gpu = _head(_NUMBERS, body)
        numbers = memoryview(body)[_NUMBERS.size :].cast("d").tolist()
        if not isfinite(sum(numbers)) and not all(map(isfinite, numbers)):  # finite ones may well have no finite sum
            raise ValueError("it has what is no number")
        return {"n": sample, "gpu": gpu, "layout": layout, "numbers": numbers}
    if mark == _OF_DONE:
        _, sample, count = _head(_DONE, body)
        if (len(body) - _DONE.size) % _COST.size:
            raise ValueError("it is cut off")
        return {"n": sample, "done": count, "calls": list(_COST.iter_unpack(memoryview(body)[_DONE.size :]))}
    frame = _DECODE(body.decode())
    if not isinstance(frame, dict) or "numbers" in frame:  # numbers that nobody has looked at
        raise TypeError("it is no object that is ever sent")
    return frame


def _head(form: Struct, body: bytes) -> tuple[Any, ...]:
    if len(body) < form.size:
        raise ValueError("it is cut off")
    return form.unpack_from(body)


def _with_length(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def _refuse(constant: str) -> None:
    """Take no NaN and no Infinity, which JSON has not. Raises ValueError."""
    raise ValueError(f"{constant} is no number")


# Made once: json.dumps and json.loads would make one for each frame.
_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_DECODE = json.JSONDecoder(parse_constant=_refuse).decode
