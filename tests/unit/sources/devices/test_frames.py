# SPDX-License-Identifier: Apache-2.0
"""The frames between sampler and agent: what one end writes the other reads, and what is no frame is an error."""

from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sources.devices import frames

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SAMPLES = st.integers(0, 2**63)


def read(sent: bytes) -> dict[str, Any]:
    """Read what was written, which is one frame and nothing else."""
    assert int.from_bytes(sent[:4], "big") == len(sent) - 4
    return frames.read(sent[4:])


@given(SAMPLES, st.integers(0, 254), st.integers(0, 31), st.lists(FINITE))
def test_numbers_are_read_as_they_were_written(sample: int, gpu: int, layout: int, numbers: list[float]) -> None:
    """To the last bit, with their GPU, their layout and their sample; also where their sum is not finite."""
    sent = frames.write_numbers(sample, gpu, layout, numbers)

    assert read(sent) == {"n": sample, "gpu": gpu, "layout": layout, "numbers": numbers}


@given(SAMPLES, st.integers(0, 254), st.dictionaries(st.integers(0, 255), st.tuples(SAMPLES, SAMPLES)))
def test_an_end_is_read_as_it_was_written(sample: int, count: int, spent: dict[int, tuple[int, int]]) -> None:
    """The count of GPUs, and each call with its number and time."""
    told = [(call, times, microseconds) for call, (times, microseconds) in spent.items()]

    assert read(frames.write_done(sample, count, spent)) == {"n": sample, "done": count, "calls": told}


def test_an_object_is_read_as_it_was_written() -> None:
    """Everything else is JSON."""
    assert read(frames.write({"n": 3, "gpu": 0, "lost": "gpu_is_lost"})) == {"n": 3, "gpu": 0, "lost": "gpu_is_lost"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused(number: float) -> None:
    """Wherever it is among the others."""
    for numbers in ([number], [1.0, number, 2.0], [number, -number], [1e308, 1e308, number]):
        with pytest.raises(ValueError, match="no number"):
            read(frames.write_numbers(1, 0, 0, numbers))


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{", b'{"gpu":NaN}', b'{"gpu":0,"numbers":["x"]}', b"[" * 100_000])
def test_an_object_that_is_never_sent_is_refused(text: bytes) -> None:
    """What is no object, and numbers that are written as JSON: those may be anything."""
    with pytest.raises((ValueError, TypeError, RecursionError)):
        frames.read(text)


@given(st.binary(max_size=64), st.sampled_from([b"", b"#", b".", b"{", pack("=cQBH", b"#", 1, 0, 0)]))
def test_garbage_is_read_or_refused(garbage: bytes, begin: bytes) -> None:
    """Whatever comes ends in a frame or in one of the errors that the agent knows as such."""
    try:
        found = frames.read(begin + garbage)
    except (ValueError, TypeError, RecursionError):
        return
    assert isinstance(found, dict)


@pytest.mark.parametrize("sent", [frames.write_numbers(1, 0, 0, [1.0, 2.0]), frames.write_done(1, 2, {3: (4, 5)})])
def test_what_is_cut_off_is_refused(sent: bytes) -> None:
    """But between two numbers: of those the agent knows how many there are to be."""
    body = sent[4:]
    for length in range(len(body)):
        if body[:1] == b"#" and length >= 12 and (length - 12) % 8 == 0:
            continue
        if body[:1] == b"." and length == 11:  # no call has cost anything
            continue
        with pytest.raises((ValueError, TypeError)):
            frames.read(body[:length])
