# SPDX-License-Identifier: Apache-2.0
"""The wait between starts of a sampler that gives up."""

import pytest

from inferometer.model import Reason, Trouble
from inferometer.sources.devices import backoff
from inferometer.sources.devices.backoff import Backoff


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Give the time."""
        return self.now


def test_the_wait_doubles_up_to_a_minute_and_starts_anew_after_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure doubles the wait, at most to 60 s; meanwhile the trouble is told again; a success forgets it all."""
    clock = Clock()
    monkeypatch.setattr(backoff, "time", clock)
    wait = Backoff()
    for delay in (1, 2, 4, 8, 16, 32, 60, 60):
        wait.check()
        trouble = wait.failed(Trouble(Reason.MISSING, "gone", "come"))
        clock.now += delay - 0.1
        with pytest.raises(Trouble) as caught:
            wait.check()
        assert (caught.value.reason, caught.value.message, caught.value.remedy) == (Reason.MISSING, "gone", "come")
        assert caught.value is not trouble
        clock.now += 0.1

    wait.succeeded()
    wait.failed(trouble)
    clock.now += 1
    wait.check()
