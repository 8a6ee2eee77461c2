# SPDX-License-Identifier: Apache-2.0
"""When a snapshot is made."""

from typing import NamedTuple


class Now(NamedTuple):
    """When a snapshot is made: Unix seconds, those of the snapshot before, None at the first, and monotonic seconds."""

    at: float
    before: float | None
    steady: float
