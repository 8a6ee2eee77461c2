# SPDX-License-Identifier: Apache-2.0
"""A simulated node that stands still."""

from collections.abc import Iterator

import pytest

from inferometer.simulation.node import SimulatedNode


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    simulated = SimulatedNode(warm_up=5.0)
    simulated.pause()
    with simulated:
        yield simulated
