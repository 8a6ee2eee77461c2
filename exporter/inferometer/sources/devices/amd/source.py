# SPDX-License-Identifier: Apache-2.0
"""AMD GPUs, by AMD SMI: the agent's side, and which metric is read with which call."""

from collections.abc import Iterator
from types import MappingProxyType

from inferometer import config as configuration
from inferometer.model import Binding
from inferometer.sources.devices.amd import table
from inferometer.sources.devices.gpus import Gpus
from inferometer.sources.devices.release import Release
from inferometer.sources.devices.words import AMD


class Amd(Gpus):
    """The AMD GPUs of this node."""

    def __init__(self, config: configuration.Amd, period: float, release: Release) -> None:
        super().__init__(AMD, config, period, release=release, binding="amdsmi", library=config.rocm)


def _bindings() -> Iterator[Binding]:
    for row in table.ROWS:
        for quantity in row.gives:
            for call in dict.fromkeys(way.call for way in row.ways):
                yield Binding(quantity.metric, call, "amdsmi", MappingProxyType(dict(quantity.attributes)))
    for call in dict.fromkeys(fact.call for fact in table.FACTS):
        yield Binding("gpu.info", call, "amdsmi")
    yield Binding("gpu.devices", "amdsmi_get_processor_handles", "amdsmi")


BINDINGS: tuple[Binding, ...] = tuple(_bindings())
