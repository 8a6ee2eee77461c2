# SPDX-License-Identifier: Apache-2.0
"""CPU of encoding 10,000 numbers and 2,000 histograms: warm, as every tick is, and cold, as the first one is; and ten times as many."""

from collections.abc import Callable, Iterator
from itertools import cycle

from bench import plain
from bench.measure import Row, Work, cpu
from inferometer.model import Snapshot
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition

MAX_BYTES = 3_500_000
_LEAST = 10.0  # times less CPU than the library


def measure() -> Iterator[Row]:
    """Measure each encoder beside its library; the libraries have no warm state, so cold ones have the same reference."""
    from prometheus_client import generate_latest, openmetrics  # noqa: TID251  # the reference

    from bench import references

    row = plain.snapshots(4)
    registry = references.registry(row[0])

    text = "prometheus_client.generate_latest"
    yield from _rows("encode.prometheus", lambda: _text(row), lambda: generate_latest(registry), text)
    yield from _rows(
        "encode.openmetrics",
        lambda: _page(row, openmetrics=True),
        lambda: openmetrics.exposition.generate_latest(registry),  # type: ignore[no-untyped-call]  # it has no types
        "prometheus_client.openmetrics.exposition.generate_latest",
    )
    sdk = "opentelemetry-sdk data classes, encode_metrics, SerializeToString"
    yield from _rows("encode.otlp", lambda: _requests(row), lambda: references.sdk_encoded(row[0].points), sdk)
    proto = "opentelemetry-proto messages, SerializeToString"
    ours, theirs = cpu(_requests(row), lambda: references.proto_encoded(row[0].points), rounds=5)
    yield Row("encode.otlp.proto", ours, "s", theirs, proto)
    yield from _growth()


def _growth() -> Iterator[Row]:
    """Measure what ten times the series cost."""
    few, many = plain.snapshots(2), plain.snapshots(2, 10.0)
    for name, of in (("encode.prometheus", _text), ("encode.otlp", _requests)):
        one, ten = cpu(of(few), of(many), rounds=5)
        yield Row(f"{name}.series.x10", ten / one, "times the CPU", limit=11)


def _rows(name: str, fresh: Callable[[], Work], reference: Work, against: str) -> Iterator[Row]:
    def first() -> object:
        return fresh()()

    warm, cold, theirs = cpu(fresh(), first, reference, rounds=5)
    yield Row(name, warm, "s", theirs, against, least_ratio=_LEAST)
    yield Row(f"{name}.cold", cold, "s", theirs, against)


def _page(row: list[Snapshot], *, openmetrics: bool) -> Work:
    exposition, turns = Exposition(), cycle(row)
    return lambda: exposition.render(next(turns), openmetrics=openmetrics)


def _text(row: list[Snapshot]) -> Work:
    return _page(row, openmetrics=False)


def _requests(row: list[Snapshot]) -> Work:
    encoder, turns = Encoder(), cycle(row)
    return lambda: encoder.requests(next(turns), max_bytes=MAX_BYTES)
