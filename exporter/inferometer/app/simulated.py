# SPDX-License-Identifier: Apache-2.0
"""The simulated node at the outermost boundary: its sockets and servers take the places of the real ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from inferometer.app.pipeline import Stand
from inferometer.config import Config, Seconds

if TYPE_CHECKING:
    from inferometer.simulation.node import Endpoints


@contextmanager
def simulate(config: Config, seed: int = 1) -> Iterator[tuple[Config, Stand]]:
    """Start a simulated node; give the configuration that reads it, and its stand-in for NVML."""
    from inferometer.simulation.node import SimulatedNode  # noqa: PLC0415  # 3 MiB that an agent never pays

    with SimulatedNode(seed=seed) as node:
        yield point_at(node.endpoints, config)


def point_at(there: "Endpoints", config: Config) -> tuple[Config, Stand]:
    """Give `config` with every source turned to a simulated node, at a period of a second at most."""
    identity = replace(
        config.identity,
        podresources=replace(config.identity.podresources, enabled=True, socket=there.kubelet_socket),
        claims=replace(config.identity.claims, source="api"),  # this machine's own files are not the simulated node's
        slices=replace(config.identity.slices, enabled=False),
        pods=replace(config.identity.pods, source="api", server=there.api_server, token_file="", ca_file=""),
        processes=replace(
            config.identity.processes, enabled=False
        ),  # simulated ones have numbers of processes that are real
    )
    adapted = replace(
        config,
        period=min(config.period, Seconds(1)),
        node=replace(config.node, name=there.node_name),
        devices=replace(
            config.devices,
            nvidia=replace(config.devices.nvidia, enabled=True, library=""),
            kernel_log=replace(config.devices.kernel_log, path=there.kernel_log, state=""),
        ),
        identity=identity,
        engines=replace(config.engines, enabled=True, targets=()),
        accounting=replace(config.accounting, state=""),
    )
    return adapted, Stand(there.nvml_module, there.nvml_argument, simulated=True)
