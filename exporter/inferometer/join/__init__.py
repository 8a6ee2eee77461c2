# SPDX-License-Identifier: Apache-2.0
"""The join: frames of the three worlds become one Snapshot. Pure: no I/O, no clock, no state."""

from inferometer.join.context import Context
from inferometer.join.snapshot import join

__all__ = ["Context", "join"]
