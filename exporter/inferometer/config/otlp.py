# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF009  # key and section are dataclass field specifiers, not shared default values
"""The keys of the configuration for the push by OTLP, and for what waits while its receiver is away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inferometer.config.declare import ENDPOINT_OR_EMPTY, Seconds, Size, key, section


@dataclass(frozen=True, slots=True)
class Spool:
    """Where pushes wait that the receiver did not take, with the times that they were made at."""

    directory: str = key(
        "",
        "Directory of the agent's own, made where it is missing. It is written to only while the receiver takes nothing. Empty, or "
        "not writable: pushes wait in memory, and a restart loses them.",
    )
    max_size: Size = key(
        Size(64 << 20), "Most that it takes on disk; the oldest go first, and are counted.", minimum=64 << 10
    )
    max_age: Seconds = key(Seconds(6 * 3600), "How old a push may become; older ones go, and are counted.", minimum=1)
    memory: Size = key(
        Size(8 << 20), "Most that waits in memory, compressed, where there is no disk.", minimum=64 << 10
    )
    rate: Size = key(
        Size(1_000_000),
        "How many bytes a second, before compression, leave when the receiver is back; more where that would be slower than twice "
        "what comes in.",
        minimum=1024,
    )
    order: Literal["oldest-first", "fresh-first"] = key(
        "oldest-first",
        "Which goes out first. `fresh-first` sends the newest push before what waits: for receivers that take samples out of order, "
        "such as Prometheus with `out_of_order_time_window`; others would refuse what comes later.",
    )


@dataclass(frozen=True, slots=True)
class Otlp:
    """OTLP push. The standard OTEL_* variables override these keys."""

    endpoint: str = key(
        "",
        "Where to push. Empty: OTLP is off.",
        pattern=ENDPOINT_OR_EMPTY,
        form="an http:// or https:// URL, HOST:PORT, or empty",
    )
    protocol: Literal["http/protobuf", "grpc"] = key("http/protobuf", "Transport.")
    interval: Seconds = key(Seconds(60), "Time between pushes; the newest snapshot is sent.", minimum=0.1)
    timeout: Seconds = key(
        Seconds(10), "Longest wait for one request, retries included; then it waits in the spool.", minimum=0.01
    )
    compression: Literal["gzip", "zstd", "none"] = key(
        "gzip",
        "Compression. zstd needs Python 3.14 or `inferometer[zstd]`, http/protobuf, and a receiver that takes it: a Collector does, Prometheus does not.",
    )
    temporality: Literal["cumulative", "delta", "lowmemory"] = key(
        "cumulative",
        "Whether counters and histograms are totals or gains: `delta` makes both gains, `lowmemory` histograms only.",
    )
    sender: Literal["own", "sdk"] = key(
        "own", "Who sends: the agent, or the OpenTelemetry SDK's exporter, which needs `inferometer[otel]`."
    )
    headers: Mapping[str, str] = key({}, "Headers to send.", secret=True)
    certificate: str = key("", "File of the certificates to trust, read again when it changes. Empty: the system's.")
    client_certificate: str = key("", "File of the client certificate, read again when it changes.")
    client_key: str = key("", "File of the client certificate's key. Empty: it stands with the certificate.")
    max_request: Size = key(
        Size(3_500_000),
        "Largest request before compression; more is split. Receivers accept 4 MiB by default.",
        minimum=1024,
    )
    spool: Spool = section(Spool)
