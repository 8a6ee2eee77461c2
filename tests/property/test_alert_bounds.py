# SPDX-License-Identifier: Apache-2.0
"""A threshold is accepted exactly where it is a bound; otherwise its neighbours are named."""

import re

from hypothesis import given
from hypothesis import strategies as st

from alerts.bounds import refuse
from inferometer import catalog

SECONDS = st.integers(1, 10_000).map(lambda milliseconds: milliseconds / 1000)
BOUNDS = st.sets(SECONDS, max_size=30).map(sorted)


def said(threshold: float, bounds: list[float]) -> str:
    return refuse(threshold, bounds, "the engine's", engine="vllm", metric=catalog.TIME_TO_FIRST_TOKEN)


@given(bounds=BOUNDS, threshold=SECONDS)
def test_a_refusal_names_the_nearest_bounds_on_either_side(bounds: list[float], threshold: float) -> None:
    """None lies between the threshold and a bound that is named, whatever the bounds are."""
    sentence = said(threshold, bounds)
    assert (sentence == "") == (threshold in bounds)
    if sentence:
        named = {float(number) for number in re.findall(r" ([\d.e-]+)s\b", sentence.partition(". Take")[0])}
        below = [bound for bound in bounds if bound < threshold]
        above = [bound for bound in bounds if bound > threshold]
        assert named == {*below[-1:], *above[:1]}


@given(bounds=BOUNDS, threshold=SECONDS)
def test_the_option_that_is_named_would_do(bounds: list[float], threshold: float) -> None:
    """An engine that is started with the list that the refusal gives has the bound, and keeps the others."""
    wanted = re.search(r"\"time_to_first_token\": \[(.*?)\]", said(threshold, bounds))
    if wanted:
        listed = [float(number) for number in wanted[1].split(",")]
        assert listed == sorted({*bounds, threshold})
        assert said(threshold, listed) == ""
