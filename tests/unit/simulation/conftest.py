# SPDX-License-Identifier: Apache-2.0
"""A simulated node that stands still, and the stand-in for pynvml that reads it."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from inferometer.simulation import nvml
from inferometer.simulation.node import SimulatedNode


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    simulated = SimulatedNode(warm_up=5.0)
    simulated.pause()
    with simulated:
        yield simulated


@pytest.fixture
def library(node: SimulatedNode) -> Iterator[ModuleType]:
    nvml.configure(node.endpoints.nvml_argument)
    nvml.nvmlInit()
    yield nvml
    nvml.nvmlShutdown()
