# SPDX-License-Identifier: Apache-2.0
"""The tables of all vendors as one: what the positions and numbers in a sampler's frames mean, whichever driver it asks."""

from inferometer.sources.devices import calls
from inferometer.sources.devices.amd import table as amd
from inferometer.sources.devices.calls import Quantity, Row

QUANTITIES: tuple[tuple[Quantity, Row], ...] = (*calls.QUANTITIES, *amd.QUANTITIES)
# By number; one byte of a whereabouts word.
CALLS: tuple[str, ...] = (*calls.CALLS, *amd.CALLS)
