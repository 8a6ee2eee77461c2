# SPDX-License-Identifier: Apache-2.0
"""The metrics page of a simulated engine, as vLLM 0.32 writes it: same families, labels, bounds and number format."""

from collections.abc import Iterable

from inferometer.simulation.engine import BLOCK, Engine
from inferometer.simulation.ledger import HistogramLedger
from inferometer.simulation.tally import Histogram

MARK = "# Simulated by Inferometer\n"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Help texts and families as a recorded page of vLLM 0.32.0 has them.
_MFU = "for Model Flops Utilization calculations)."
_ESTIMATES = (
    ("estimated_flops_per_gpu", f"Estimated number of floating point operations per GPU ({_MFU}"),
    ("estimated_read_bytes_per_gpu", f"Estimated number of bytes read from memory per GPU ({_MFU}"),
    ("estimated_write_bytes_per_gpu", f"Estimated number of bytes written to memory per GPU ({_MFU}"),
)
_BY_REASON = (
    "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; 'deferred' = "
    "deferred by transient constraints (LoRA budget, KV transfer, blocked status). Sum of all reasons equals "
    "vllm:num_requests_waiting."
)
_SLEEP = (
    "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded = 1 "
    "means sleep level 1; discard_all = 1 means sleep level 2."
)
_EXTERNAL = "from KV connector cross-instance cache sharing, in terms of number of"
_TIERS = (
    "Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), host (offloaded to DRAM), disk, "
    "p2p (transferred from another vLLM instance) or external_unspecified. Counted at admission; sums to "
    "vllm:prefix_cache_hits + vllm:external_prefix_cache_hits."
)
_HISTOGRAMS = (
    ("request_prompt_tokens", "Number of prefill tokens processed."),
    ("request_generation_tokens", "Number of generation tokens processed."),
    ("iteration_tokens_total", "Histogram of number of tokens per engine_step."),
    ("request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens."),
    ("request_params_n", "Histogram of the n request parameter."),
    ("request_params_max_tokens", "Histogram of the max_tokens request parameter."),
    ("time_to_first_token_seconds", "Histogram of time to first token in seconds."),
    ("inter_token_latency_seconds", "Histogram of inter-token latency in seconds."),
    ("request_time_per_output_token_seconds", "Histogram of time_per_output_token_seconds per request."),
    ("e2e_request_latency_seconds", "Histogram of e2e request latency in seconds."),
    ("request_queue_time_seconds", "Histogram of time spent in WAITING phase for request."),
    ("request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request."),
    ("request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request."),
    ("request_decode_time_seconds", "Histogram of time spent in DECODE phase for request."),
    ("request_num_preemptions", "Histogram of the number of times a request was preempted."),
    (
        "request_prefill_kv_computed_tokens",
        "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
    ),
)
_HANDLER = "/v1/chat/completions"
_HIGHR = (*(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60),)


def number(value: float) -> str:
    """Write a number as `prometheus_client` does (`floatToGoString`): Go turns to exponents sooner than Python."""
    text = repr(float(value))
    dot = text.find(".")
    if value > 0 and dot > 6:  # 6 digits before the point
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{dot - 1:02d}"
    return text


class _Writer:
    """Lines of one page. Labels of every `vllm:` sample are `engine` and `model_name`, sorted among others by name."""

    def __init__(self, model: str, created: float) -> None:
        self._lines: list[str] = []
        self._labels = {"engine": "0", "model_name": model}
        self._created = created

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def head(self, name: str, kind: str, text: str) -> None:
        self._lines += (f"# HELP {name} {text}", f"# TYPE {name} {kind}")

    def sample(self, name: str, labels: dict[str, str], value: float) -> None:
        inner = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
        self._lines.append(f"{name}{{{inner}}} {number(value)}" if inner else f"{name} {number(value)}")

    def gauge(self, name: str, text: str, values: Iterable[tuple[dict[str, str], float]]) -> None:
        self.head(f"vllm:{name}", "gauge", text)
        for labels, value in values:
            self.sample(f"vllm:{name}", self._labels | labels, value)

    def counter(
        self, name: str, text: str, values: Iterable[tuple[dict[str, str], float]], *, ranked: bool = True
    ) -> None:
        """A counter of vLLM and its `_created` gauge. Without a rank it carries the model only."""
        base = self._labels if ranked else {"model_name": self._labels["model_name"]}
        values = list(values)
        self.head(f"vllm:{name}_total", "counter", text)
        for labels, value in values:
            self.sample(f"vllm:{name}_total", base | labels, value)
        self.created(f"vllm:{name}", text, [base | labels for labels, _ in values])

    def created(self, name: str, text: str, labels: Iterable[dict[str, str]]) -> None:
        self.head(f"{name}_created", "gauge", text)
        for each in labels:
            self.sample(f"{name}_created", each, self._created)

    def histogram(self, name: str, text: str, labels: dict[str, str], histogram: HistogramLedger) -> None:
        self.head(name, "histogram", text)
        running = 0
        for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
            running += count
            edge = "+Inf" if bound is None else number(bound)
            self.sample(f"{name}_bucket", labels | {"le": edge}, running)
        self.sample(f"{name}_count", labels, running)
        self.sample(f"{name}_sum", labels, histogram.sum)
        self.created(name, text, [labels])


def render(engine: Engine, created: float, age: float) -> bytes:
    """Write the page. `created` is when the engine began in Unix seconds, `age` how long it has run by the simulation.

    With the same engine state two pages differ only in `_created` and in the process's start time.
    """
    page = _Writer(engine.spec.model, created)
    _write_process(page, created, age)
    _write_state(page, engine)
    _write_tokens(page, engine)
    labels = {"engine": "0", "model_name": engine.spec.model}
    for name, text in _HISTOGRAMS:
        page.histogram(f"vllm:{name}", text, labels, engine.tally.histograms[name].freeze())
    page.gauge("cache_config_info", "Information of the LLMEngine CacheConfig", [(_cache_config(engine), 1)])
    _write_http(page, engine)
    return (MARK + page.text()).encode()


def _write_process(page: _Writer, created: float, age: float) -> None:
    for what, text in (
        ("objects_collected", "Objects collected during gc"),
        ("objects_uncollectable", "Uncollectable objects found during GC"),
        ("collections", "Number of times this generation was collected"),
    ):
        page.head(f"python_gc_{what}_total", "counter", text)
        for generation, share in (("0", 100), ("1", 10), ("2", 1)):
            count = 0 if what == "objects_uncollectable" else int(age * share / 50) + share
            page.sample(f"python_gc_{what}_total", {"generation": generation}, count)
    page.head("python_info", "gauge", "Python platform information")
    version = {"implementation": "CPython", "major": "3", "minor": "12", "patchlevel": "9", "version": "3.12.9"}
    page.sample("python_info", version, 1)
    for name, kind, text, value in (
        ("virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", 21_474_836_480),
        ("resident_memory_bytes", "gauge", "Resident memory size in bytes.", 3_221_225_472),
        ("start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", round(created, 2)),
        ("cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", round(12 + 0.4 * age, 2)),
        ("open_fds", "gauge", "Number of open file descriptors.", 61),
        ("max_fds", "gauge", "Maximum number of open file descriptors.", 1_048_576),
    ):
        page.head(f"process_{name}", kind, text)
        page.sample(f"process_{name}", {}, value)


def _write_state(page: _Writer, engine: Engine) -> None:
    for name, text in _ESTIMATES:
        page.counter(name, text, [({}, 0)])
    waiting = len(engine.waiting)
    page.gauge("num_requests_running", "Number of requests in model execution batches.", [({}, len(engine.running))])
    page.gauge("num_requests_waiting", "Number of requests waiting to be processed.", [({}, waiting)])
    reasons = [({"reason": "capacity"}, waiting), ({"reason": "deferred"}, 0)]
    page.gauge("num_requests_waiting_by_reason", _BY_REASON, reasons)
    states = [({"sleep_state": s}, s == "awake") for s in ("awake", "weights_offloaded", "discard_all")]
    page.gauge("engine_sleep_state", _SLEEP, states)
    page.gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", [({}, engine.kv_utilization)])


def _write_tokens(page: _Writer, engine: Engine) -> None:
    tally = engine.tally
    prompt, cached = tally.prompt_tokens, tally.cached_prompt_tokens
    page.counter("prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens.", [({}, prompt)])
    page.counter("prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens.", [({}, cached)])
    page.counter(
        "external_prefix_cache_queries", f"External prefix cache queries {_EXTERNAL} queried tokens.", [({}, 0)]
    )
    page.counter("external_prefix_cache_hits", f"External prefix cache hits {_EXTERNAL} cached tokens.", [({}, 0)])
    page.counter("mm_cache_queries", "Multi-modal cache queries, in terms of number of queried items.", [({}, 0)])
    page.counter("mm_cache_hits", "Multi-modal cache hits, in terms of number of cached items.", [({}, 0)])
    page.counter("num_preemptions", "Cumulative number of preemption from the engine.", [({}, tally.preemptions)])
    page.counter("prompt_tokens", "Number of prefill tokens processed.", [({}, prompt)])
    sources = {"local_compute": prompt - cached, "local_cache_hit": cached, "external_kv_transfer": 0}
    by_source = [({"source": source}, value) for source, value in sources.items()]
    page.counter("prompt_tokens_by_source", "Number of prompt tokens by source.", by_source)
    page.counter("prompt_tokens_cached", "Number of cached prompt tokens (local + external).", [({}, cached)])
    tiers = ("device", "host", "p2p", "disk", "external_unspecified")
    by_tier = [({"source": tier}, cached if tier == "device" else 0) for tier in tiers]
    page.counter("prompt_tokens_cached_by_source", _TIERS, by_tier)
    page.counter("generation_tokens", "Number of generation tokens processed.", [({}, tally.generation_tokens)])
    reasons = [({"finished_reason": reason}, count) for reason, count in tally.finished.items()]
    page.counter("request_success", "Count of successfully processed requests.", reasons)
    limits = [({"reason": reason}, 0) for reason in ("max_num_queued_reqs", "max_num_queued_tokens")]
    text = "Number of admission attempts rejected by a queue limit, by reason."
    page.counter("admission_rejections", text, limits, ranked=False)


def _cache_config(engine: Engine) -> dict[str, str]:
    """The labels that tell most of vLLM 0.32's thirty-eight apart."""
    blocks = engine.spec.blocks
    return {
        "block_size": str(BLOCK),
        "cache_dtype": "auto",
        "enable_prefix_caching": "True",
        "gpu_memory_utilization": "0.92",
        "is_attention_free": "False",
        "kv_cache_max_concurrency": str(blocks * BLOCK / engine.spec.longest),
        "kv_cache_size_tokens": str(blocks * BLOCK),
        "kv_sharing_fast_prefill": "False",
        "num_cpu_blocks": "None",
        "num_gpu_blocks": str(blocks),
        "num_gpu_blocks_override": "None",
        "prefix_caching_hash_algo": "sha256",
        "sliding_window": "None",
        "user_specified_block_size": "False",
    }


def _write_http(page: _Writer, engine: Engine) -> None:
    """The web framework's own families (prometheus-fastapi-instrumentator): one request per finished sequence."""
    latency = engine.tally.histograms["e2e_request_latency_seconds"].freeze()
    handler = {"handler": _HANDLER}
    text = "Total number of requests by method, status and handler."
    page.head("http_requests_total", "counter", text)
    requests = handler | {"method": "POST", "status": "2xx"}
    page.sample("http_requests_total", requests, latency.count)
    page.created("http_requests", text, [requests])
    for what, size in (("request", 512), ("response", 0)):
        name = f"http_{what}_size_bytes"
        direction = "incoming requests" if what == "request" else "outgoing responses"
        text = (
            f"Content length of {direction} by handler. Only value of header is respected. Otherwise ignored. "
            "No percentile calculated. "
        )
        page.head(name, "summary", text)
        page.sample(f"{name}_count", handler, latency.count)
        page.sample(f"{name}_sum", handler, latency.count * size)
        page.created(name, text, [handler])
    text = "Latency with many buckets but no API specific labels. Made for more accurate percentile calculations. "
    page.histogram("http_request_duration_highr_seconds", text, {}, _spread(latency, _HIGHR))
    text = "Latency with only few buckets by handler. Made to be only used if aggregation by handler is important. "
    labels = handler | {"method": "POST"}
    page.histogram("http_request_duration_seconds", text, labels, _spread(latency, (0.1, 0.5, 1)))


def _spread(histogram: HistogramLedger, bounds: tuple[float, ...]) -> HistogramLedger:
    """The same requests under other bounds, each taken at its old bucket's upper bound: the framework measures apart."""
    spread = Histogram(bounds)
    for bound, count in zip((*histogram.bounds, 1e9), histogram.counts, strict=True):
        spread.observe(bound, count)
    spread.sum = histogram.sum
    return spread.freeze()
