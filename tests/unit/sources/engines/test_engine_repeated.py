# SPDX-License-Identifier: Apache-2.0
"""What a reader remembers: what stands still is the same object again, and nothing else is."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer import catalog
from inferometer.config import Passthrough
from inferometer.model import Histogram, Reading, Target, Trouble
from inferometer.sources.engines.reader import Reader
from inferometer.sources.engines.repeated import Repeated

TARGET = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")
WORDS = Passthrough(allow=("vllm:*", "own_*"))
COUNTS = ("0", "1", "2", "5", "5.5", "-1", "NaN", "+Inf", "9007199254740993", "1e19")
PAGE = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{model_name="m"}} {0}
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{{model_name="m"}} {1}

# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{{model_name="m",le="0.5"}} {2}
vllm:time_to_first_token_seconds_bucket{{model_name="m",le="+Inf"}} {3}
vllm:time_to_first_token_seconds_count{{model_name="m"}} {3}
vllm:time_to_first_token_seconds_sum{{model_name="m"}} {4}
# HELP own_words Nobody's.
# TYPE own_words gauge
own_words {5}
"""


def page(*values: str) -> bytes:
    return PAGE.format(*values).encode()


def test_a_page_that_says_the_same_gives_the_same_report() -> None:
    """Whoever looks at a report needs to look at it once; numbers that nobody reads are not looked at."""
    reader = Reader(TARGET)
    first = reader.read(page("1", "2", "3", "4", "5.5", "6"))
    assert reader.read(page("1", "2", "3", "4", "5.5", "6")) is first
    assert reader.read(page("1.0", "2", "3", "4", "5.50", "7")) is first


def test_what_stands_still_is_the_same_reading() -> None:
    """Of a page of which a number has moved the other readings are the same objects, histograms among them."""
    reader = Reader(TARGET)
    before = reader.read(page("1", "2", "3", "4", "5.5", "6")).readings
    after = reader.read(page("1", "9", "3", "4", "5.5", "6")).readings
    assert [old is new for old, new in zip(before, after, strict=True)].count(False) == 1
    assert all(old is new for old, new in zip(before, after, strict=True) if isinstance(new.value, Histogram))


@given(st.lists(st.tuples(*[st.sampled_from(COUNTS)] * 6), min_size=1, max_size=8), st.integers(0, 8))
def test_a_reader_that_remembers_tells_what_a_new_one_tells(pages: list[tuple[str, ...]], damaged: int) -> None:
    """After any pages, damaged ones among them, a report is that of a reader that has seen nothing before."""
    reader = Reader(TARGET, passthrough=WORDS)
    for i, values in enumerate(pages):
        if i == damaged:
            with pytest.raises(Trouble):
                reader.read(page(*values) + b"no sample")
        for _ in range(2):
            found, expected = reader.read(page(*values)), Reader(TARGET, passthrough=WORDS).read(page(*values))
            assert found == expected


@given(
    st.lists(st.sampled_from(COUNTS), min_size=3, max_size=5),
    st.sampled_from(COUNTS),
    st.sampled_from(["0", "1.5", "-1", "NaN"]),
)
def test_a_histogram_is_believed_if_its_buckets_rise_by_whole_numbers(
    buckets: list[str], count: str, total: str
) -> None:
    """A fall, a part of an observation, infinity, NaN and another count than the last bucket's are refused by name."""
    name, numbers = "vllm:time_to_first_token_seconds", [float(each) for each in buckets]
    bounds = [*(f"0.{i}" for i in range(1, len(buckets))), "+Inf"]
    lines = [f'{name}_bucket{{model_name="m",le="{le}"}} {each}' for le, each in zip(bounds, buckets, strict=True)]
    lines += [f'{name}_count{{model_name="m"}} {count}', f'{name}_sum{{model_name="m"}} {total}', ""]
    report = Reader(TARGET).read("\n".join(lines).encode())
    finite = all(each - each == 0 for each in (*numbers, float(total)))
    rises = all(low <= high for low, high in zip([0.0, *numbers], numbers, strict=False))
    if not finite:
        assert dict(report.dropped) == {"not_finite": 1}
    elif float(total) < 0:
        assert dict(report.dropped) == {"out_of_range": 1}
    elif not rises or any(each % 1 for each in numbers) or numbers[-1] != float(count) or numbers[-1] >= 2**63:
        assert dict(report.dropped) == {"not_cumulative": 1}
    else:
        (reading,) = report.readings
        assert isinstance(reading.value, Histogram)
        assert reading.value.counts == tuple(
            int(high) - int(low) for low, high in zip([0.0, *numbers], numbers, strict=False)
        )
        assert all(isinstance(each, int) for each in reading.value.counts)


class _Faulty:
    """An output that cannot be read of a page that says 2 in its slot: a defect of ours."""

    def __init__(self, slot: int, *, fails: bool) -> None:
        self.slots = (slot,)
        self._fails = fails

    def read(self, values: Sequence[float], /) -> Reading:
        value = values[self.slots[0]]
        if self._fails and value == 2:
            raise ZeroDivisionError
        return Reading("", catalog.BY_NAME["inference.requests.running"], (), value)


def test_after_a_defect_nothing_is_told_of_the_page_that_had_it() -> None:
    """What was read of it before the defect is read again of the next page."""
    repeated = Repeated([_Faulty(0, fails=False), _Faulty(1, fails=True)])
    repeated.read([1.0, 1.0])
    with pytest.raises(ZeroDivisionError):
        repeated.read([2.0, 2.0])
    assert [each.value for each in repeated.read([1.0, 3.0]).readings] == [1.0, 3.0]
