# SPDX-License-Identifier: Apache-2.0
"""The join: frames of the three worlds become one Snapshot. Pure: no I/O, no clock; what it remembers is its caller's."""

from inferometer.join.context import Context
from inferometer.join.memo import Memo
from inferometer.join.snapshot import join

__all__ = ["Context", "Memo", "join"]
