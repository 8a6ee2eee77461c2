# SPDX-License-Identifier: Apache-2.0
"""What an engine counts: plain numbers and histograms, as vLLM keeps them."""

from bisect import bisect_left

from inferometer.simulation.ledger import HistogramLedger

# vLLM 0.32, vllm/v1/metrics/buckets.py.
REQUEST_SECONDS = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1),
    *(2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
TOKEN_SECONDS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    *(0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80),
)
ITERATION_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
PARAMS_N = (1, 2, 5, 10, 20)
PREEMPTIONS = (1, 2, 3, 4, 5, 10, 20)


def token_bounds(longest: int) -> tuple[float, ...]:
    """The 1-2-5 series up to the longest sequence: these bounds differ from engine to engine (`build_1_2_5_buckets`)."""
    return tuple(m * 10**e for e in range(len(str(longest))) for m in (1, 2, 5) if m * 10**e <= longest)


class Histogram:
    """A growing histogram with explicit bounds; a bound belongs to the bucket below it, as `le` says."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Add one value, `times` over."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def freeze(self) -> HistogramLedger:
        """Give it as a value."""
        return HistogramLedger(tuple(map(float, self.bounds)), tuple(self.counts), self.sum)


class Tally:
    """Everything that one engine has counted since it started."""

    def __init__(self, longest: int) -> None:
        tokens = token_bounds(longest)
        self.arrived = 0
        self.prompt_tokens = 0
        self.cached_prompt_tokens = 0
        self.generation_tokens = 0
        self.preemptions = 0
        self.aborted = 0
        self.finished = {"stop": 0, "length": 0, "abort": 0, "error": 0, "repetition": 0}
        self.histograms = {
            "request_prompt_tokens": Histogram(tokens),
            "request_generation_tokens": Histogram(tokens),
            "iteration_tokens_total": Histogram(ITERATION_TOKENS),
            "request_max_num_generation_tokens": Histogram(tokens),
            "request_params_n": Histogram(PARAMS_N),
            "request_params_max_tokens": Histogram(tokens),
            "time_to_first_token_seconds": Histogram(FIRST_TOKEN_SECONDS),
            "inter_token_latency_seconds": Histogram(TOKEN_SECONDS),
            "request_time_per_output_token_seconds": Histogram(TOKEN_SECONDS),
            "e2e_request_latency_seconds": Histogram(REQUEST_SECONDS),
            "request_queue_time_seconds": Histogram(REQUEST_SECONDS),
            "request_inference_time_seconds": Histogram(REQUEST_SECONDS),
            "request_prefill_time_seconds": Histogram(REQUEST_SECONDS),
            "request_decode_time_seconds": Histogram(REQUEST_SECONDS),
            "request_num_preemptions": Histogram(PREEMPTIONS),
            "request_prefill_kv_computed_tokens": Histogram(tokens),
        }

    def observe(self, family: str, value: float, times: int = 1) -> None:
        """Add to one of the histograms."""
        self.histograms[family].observe(value, times)
