# SPDX-License-Identifier: Apache-2.0
"""Who is left out because a call hung or ended the sampler: a GPU until a probe reads it, everything else for a while."""

import time

from inferometer.sources.devices.occupancy import Occupancy
from inferometer.sources.devices.quarantine import Quarantine
from inferometer.sources.devices.whereabouts import EVENTS, LIBRARY, UNBIND, USERS, user_of
from inferometer.sources.devices.xids import UnderWay, Xids

_DEAF = 3600.0  # seconds without hearing of the driver's unbinding, after asking for it crashed the child
_CRASH_PROBE = 1.0  # seconds until a GPU whose call crashed the child is tried again


class Blame:
    """What samplers are kept away from. `patience` is how long a call may take, `kill_after` when it is given up, in seconds."""

    def __init__(
        self, quarantine: Quarantine, occupancy: Occupancy, xids: Xids, *, patience: float, kill_after: float
    ) -> None:
        self._quarantine = quarantine
        self._occupancy = occupancy
        self._xids = xids
        self._patience = patience
        self._kill_after = kill_after
        self._deaf_until = 0.0  # monotonic: samplers started before it do not listen for the driver's unbinding

    @property
    def hears_unbind(self) -> bool:
        """Whether a sampler that is started now may listen for the driver's unbinding."""
        return time.monotonic() >= self._deaf_until

    def skipped(self) -> list[int]:
        """Begin a sample; give the jobs that it does without."""
        gpus_and_users = [*self._quarantine.indexes, *(USERS - 1 + index for index in self._occupancy.spared)]
        return gpus_and_users if self._xids.begin() else [*gpus_and_users, EVENTS - 1]

    def crashed(self, where: UnderWay) -> UnderWay:
        """Leave out what ended the sampler; give the calls that may have.

        What has been under way for long hangs: it was another call that crashed, where there is another.
        """
        since = time.monotonic() - self._patience
        hung = {word: call for word, call in where.items() if call[1] < since}
        if len(hung) < len(where):
            self.hung(hung)
            where = {word: call for word, call in where.items() if word not in hung}
        self._leave_out(where, _CRASH_PROBE)
        return where

    def hung(self, where: UnderWay) -> None:
        """Leave out what hangs."""
        self._leave_out(where, self._kill_after)

    def _leave_out(self, where: UnderWay, delay: float) -> None:
        for word, (call, _) in where.items():
            if word == UNBIND:
                self._deaf_until = time.monotonic() + _DEAF
            elif word == EVENTS:
                self._xids.blame(call)
            elif (index := user_of(word)) is not None:
                self._occupancy.blame(index, call)
            elif word != LIBRARY:
                self._quarantine.hold(word - 1, delay, call)
