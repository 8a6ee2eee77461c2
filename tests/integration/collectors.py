# SPDX-License-Identifier: Apache-2.0
"""The Collectors of collector-config/, each with its configuration and what goes over it, on ports of 127.0.0.1."""

import contextlib
import random
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from integration.backends import Collector, Prometheus

SHIPPED = Path(__file__).parents[2] / "collector-config"
QUIET = "service::telemetry::metrics::level: none"  # its own metrics would listen on a fixed port
RETRYING = "Exporting failed. Will retry"  # what a Collector with a queue says when the next one takes nothing
LOST = ("Dropping data", "Exporting failed. Dropping")  # what one says that gives something up

# How many pushes a Prometheus has: each tells at its own time how old every source is, of which one has answered by the first.
ARRIVED = "max(count_over_time(inferometer_source_age_seconds[10m]))"
_CHOSEN_FROM = Path("/proc/sys/net/ipv4/ip_local_port_range")  # the ports of whoever asks for any


def unused_port() -> int:
    """Give a port that is free, for a program that has to come back at the same.

    It is none of those that the kernel chooses from, so that nobody is given it while the program is away.
    """
    lowest = int(_CHOSEN_FROM.read_text(encoding="utf-8").split()[0])
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_server(("127.0.0.1", random.randrange(lowest // 2, lowest))) as found,
        ):
            return int(found.getsockname()[1])


def collector(
    name: str,
    directory: Path,
    *,
    over: Sequence[str] = (),
    changes: Sequence[str] = (),
    options: Sequence[str] = (),
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    **variables: str,
) -> Collector:
    """Give the Collector of `name`.yaml with the overlays named in `over`, then further `changes`, with command-line `options`.

    `port` is where it takes gRPC; 0 takes any free one, as the others do. `variables` are its environment, with those of
    `environment`.
    """
    places = {
        "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{port}",
        "OTLP_HTTP_ENDPOINT": "127.0.0.1:0",
        "HEALTH_ENDPOINT": "127.0.0.1:0",
        "QUEUE_DIRECTORY": str(directory / "queue"),
    }
    overlays = [SHIPPED / "overlays" / f"{each}.yaml" for each in over]
    return Collector(
        directory,
        SHIPPED / f"{name}.yaml",
        overlays=overlays,
        environment={**places, **(environment or {}), **variables},
        changes=[QUIET, *changes],
        options=options,
    )


def prometheus_for_otlp(directory: Path, *, port: int = 0, more: Mapping[str, Any] | None = None) -> Prometheus:
    """Give a Prometheus as prometheus.yaml says it has to be, which takes remote write too; `more` goes over that."""
    shipped = yaml.safe_load((SHIPPED / "prometheus.yaml").read_text(encoding="utf-8"))
    options = ["--web.enable-otlp-receiver", "--web.enable-remote-write-receiver"]
    return Prometheus(directory, options=options, more={**shipped, **(more or {})}, port=port)
