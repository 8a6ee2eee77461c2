# SPDX-License-Identifier: Apache-2.0
"""OTLP metrics as protobuf bytes, piece by piece.

A data point's time and value have a fixed width, so its length depends on its series alone: everything before them can
be written once. Field numbers: opentelemetry-proto v1, metrics/v1/metrics.proto and common/v1/common.proto.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import Struct, pack

from inferometer.catalog import OVERFLOW, SCHEMA_URL
from inferometer.model import Exemplar, Histogram, Instrument, Metric, Value
from inferometer.views.exemplars import traced

_LENGTH_DELIMITED = 2

# Metric.{gauge = 5, sum = 7, histogram = 9}, and inside, before the points: aggregation_temporality = 2 is CUMULATIVE (2)
# or DELTA (1), and a sum's is_monotonic = 3.
_DATA = {
    Instrument.GAUGE: (5, b""),
    Instrument.COUNTER: (7, b"\x10\x02\x18\x01"),
    Instrument.UPDOWNCOUNTER: (7, b"\x10\x02"),
    Instrument.HISTOGRAM: (9, b"\x10\x02"),
}
_DELTA_DATA = {Instrument.COUNTER: (7, b"\x10\x01\x18\x01"), Instrument.HISTOGRAM: (9, b"\x10\x01")}

# NumberDataPoint.{start_time_unix_nano = 2, time_unix_nano = 3, as_double = 4}; HistogramDataPoint's are the same up to
# 4, which is its count: fixed 64 bits as well, hence one stamp for both: a time, and the tag of what follows.
_START = Struct("<BQ")
_STAMP = Struct("<BQB")
STAMP_SIZE = _STAMP.size
_SPAN = Struct("<BQBQB")
SPAN_SIZE = _SPAN.size
NUMBER = Struct("<d")
_EXEMPLAR = Struct("<BQBd")

_NO_RECORDED_VALUE = 1
_LAST_SECOND = 1 << 34  # in the year 2514; 2**64 ns end 40 years later


def nanoseconds(seconds: float) -> int:
    """Give a time as OTLP has it. A double of today's Unix seconds is true to the microsecond and no further."""
    return round(seconds * 1_000_000) * 1_000


def started(seconds: float | None) -> int | None:
    """Give a start time, None where it is unknown or, from a hostile page, no time that 64 bits can say."""
    return nanoseconds(seconds) if seconds is not None and 0 < seconds < _LAST_SECOND else None


def varint(value: int) -> bytes:
    """Write an unsigned base-128 integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@lru_cache(1024)  # a few sizes, again and again
def opening(number: int, size: int) -> bytes:
    """Write what stands before a field of `size` bytes."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(size)


def delimited(number: int, payload: bytes) -> bytes:
    """Write a message or string field."""
    return opening(number, len(payload)) + payload


def text(number: int, value: str) -> bytes:
    """Write a string field. A lone surrogate becomes `?`: protobuf refuses a whole request that is not UTF-8."""
    return delimited(number, value.encode("utf-8", "replace"))


def attributes(number: int, pairs: Iterable[tuple[str, str | None]]) -> bytes:
    """Write KeyValue fields {key = 1, value = 2 {string_value = 1}}; what is absent or empty is left out."""
    return b"".join([delimited(number, _key(key) + delimited(2, _any(key, value))) for key, value in pairs if value])


def is_true(key: str, value: str) -> bool:
    """Tell whether an attribute is a boolean in OTLP, and true: that of overflow, as receivers look for it.

    Source: the OpenTelemetry specification, Metrics SDK, "Overflow attribute". Prometheus makes the label `true` of it, which
    is what stands on its page.
    """
    return key == OVERFLOW.key and value == "true"


def _any(key: str, value: str) -> bytes:
    """Write an AnyValue: string_value = 1, or bool_value = 2."""
    return b"\x10\x01" if is_true(key, value) else text(1, value)


@lru_cache(256)  # the catalogue's keys
def _key(key: str) -> bytes:
    """Write KeyValue.key = 1."""
    return text(1, key)


def stamp(nanoseconds: int) -> bytes:
    """Write a time and the tag of the value that follows: as_double of a number, count of a histogram."""
    return _STAMP.pack(0x19, nanoseconds, 0x21)


def span(start: int, end: int) -> bytes:
    """Write the start of a delta, its time, and the tag of the value that follows, as `stamp` does."""
    return _SPAN.pack(0x11, start, 0x19, end, 0x21)


# --- data points --------------------------------------------------------------------------------------------------


def number_head(keys: Sequence[str], values: Sequence[str | None], start: int | None) -> bytes:
    """Write a NumberDataPoint's attributes = 7 and start: all of it but stamp and value."""
    return attributes(7, zip(keys, values, strict=True)) + _start(start)


def histogram_head(
    keys: Sequence[str], values: Sequence[str | None], start: int | None, bounds: Sequence[float]
) -> bytes:
    """Write a HistogramDataPoint's attributes = 9, start and explicit_bounds = 7: all of it but stamp and value."""
    packed = pack(f"<{len(bounds)}d", *bounds)
    return attributes(9, zip(keys, values, strict=True)) + _start(start) + (delimited(7, packed) if bounds else b"")


def value(value: Value) -> bytes:
    """Write the value of a data point of either kind."""
    return histogram_value(value) if isinstance(value, Histogram) else NUMBER.pack(value)


def histogram_value(value: Histogram) -> bytes:
    """Write a HistogramDataPoint's count = 4, whose tag is in the stamp, sum = 5 and bucket_counts = 6."""
    counts = value.counts
    head, shape = _buckets(len(counts))
    return shape.pack(sum(counts), 0x29, value.sum, head, *counts)


def histogram_value_size(buckets: int) -> int:
    """Give the length of what `histogram_value` writes."""
    return _buckets(buckets)[1].size


@lru_cache(64)  # a few numbers of buckets, again and again
def _buckets(count: int) -> tuple[bytes, Struct]:
    """Give what opens so many bucket_counts, and the shape of all that `histogram_value` writes of them."""
    head = opening(6, 8 * count)
    return head, Struct(f"<QBd{len(head)}s{count}Q")


def exemplars(number: int, several: Iterable[Exemplar]) -> bytes:
    """Write a data point's exemplars, field `number`: {filtered_attributes = 7, time_unix_nano = 2, as_double = 3, ids}.

    `span_id` = 4 and `trace_id` = 5 are bytes. One that does not say when it was observed is left out: OTLP asks for the time.
    """
    written = []
    for labels, value, at in several:
        time = started(at)
        if time is None:
            continue
        trace_id, span_id, others = traced(labels)
        ids = [delimited(field, bytes.fromhex(said)) for field, said in ((4, span_id), (5, trace_id)) if said]
        written.append(
            delimited(number, b"".join((_EXEMPLAR.pack(0x11, time, 0x19, value), *ids, attributes(7, others))))
        )
    return b"".join(written)


def number_mark(time: int) -> bytes:
    """Write the rest of a NumberDataPoint that marks its series as ended: a time, no value, flags = 8."""
    return _START.pack(0x19, time) + bytes((8 << 3, _NO_RECORDED_VALUE))


def histogram_mark(time: int, bounds: Sequence[float]) -> bytes:
    """Write the rest of a HistogramDataPoint that marks its series as ended, flags = 10.

    It has empty buckets and a sum: Prometheus marks a bucket's series as stale only where the point names the bucket
    (prometheus/prometheus storage/remote/otlptranslator/prometheusremotewrite, addHistogramDataPoints).
    """
    empty = Histogram(tuple(bounds), (0,) * (len(bounds) + 1), 0.0)
    return stamp(time) + histogram_value(empty) + bytes((10 << 3, _NO_RECORDED_VALUE))


def _start(start: int | None) -> bytes:
    """Write start_time_unix_nano = 2 where it is known."""
    return b"" if start is None else _START.pack(0x11, start)


# --- what is around them ------------------------------------------------------------------------------------------


@lru_cache(1024)  # the catalogue's, and what engines are passed on
def metric_head(metric: Metric) -> bytes:
    """Write a Metric's name = 1, description = 2 and unit = 3."""
    return text(1, metric.name) + text(2, metric.description) + text(3, metric.unit)


def open_metric(head: bytes, instrument: Instrument, size: int, *, delta: bool = False) -> bytes:
    """Open a Metric (ScopeMetrics.metrics = 2) whose points take `size` bytes."""
    field, kind = (_DELTA_DATA if delta else _DATA)[instrument]
    data = opening(field, len(kind) + size) + kind
    return opening(2, len(head) + len(data) + size) + head + data


def scope_head(name: str, version: str) -> bytes:
    """Write a ScopeMetrics' scope = 1 {name = 1, version = 2} and schema_url = 3."""
    return delimited(1, text(1, name) + text(2, version)) + text(3, SCHEMA_URL)


def resource_head(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Write a ResourceMetrics' resource = 1 {attributes = 1} and schema_url = 3."""
    return delimited(1, attributes(1, pairs)) + text(3, SCHEMA_URL)


def open_resource(head: bytes, scope: bytes, size: int) -> bytes:
    """Open a ResourceMetrics (ExportMetricsServiceRequest.resource_metrics = 1) whose metrics take `size` bytes.

    They are in one scope_metrics = 2.
    """
    metrics = opening(2, len(scope) + size) + scope
    return opening(1, len(head) + len(metrics) + size) + head + metrics
