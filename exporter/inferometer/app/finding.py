# SPDX-License-Identifier: Apache-2.0
"""One line of what `inferometer check` finds."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One line of `inferometer check`. `state` is `ok`, `missing`, `degraded`, `failed`, `absent` or `off`.

    `absent` is what a device does not have, or the agent has no right to and can do without: nothing is wrong with it.
    `degraded` is a call that failed just now.
    """

    source: str
    state: str
    reason: str
    remedy: str = ""
