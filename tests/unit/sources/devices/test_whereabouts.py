# SPDX-License-Identifier: Apache-2.0
"""The shared page that says which call the sampler is in."""

import os
import time

from inferometer.sources.devices import whereabouts
from inferometer.sources.devices.whereabouts import LIBRARY, MAX_GPUS, Whereabouts


def test_both_sides_see_the_same() -> None:
    """A mark that one side makes is seen by the other: which call, on what, since when; and gone when it is left."""
    descriptor = whereabouts.create()
    child, agent = Whereabouts(descriptor), Whereabouts(descriptor)
    os.close(descriptor)
    before = time.monotonic()

    child.enter(LIBRARY, 3)
    child.enter(MAX_GPUS, 255)

    busy = agent.busy()
    assert {word: call for word, (call, _) in busy.items()} == {LIBRARY: 3, MAX_GPUS: 255}
    assert all(before - 1e-5 <= since <= time.monotonic() for _, since in busy.values())
    child.leave(LIBRARY)
    child.leave(MAX_GPUS)
    assert agent.busy() == {}
    child.close()
    agent.close()
