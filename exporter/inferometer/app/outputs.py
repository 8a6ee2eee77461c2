# SPDX-License-Identifier: Apache-2.0
"""Which views feed which output."""

from collections.abc import Callable, Mapping

from inferometer.model import Snapshot
from inferometer.views import page
from inferometer.views.prometheus import Exposition

_RATES = 10.0  # seconds: what a person sees as "now"


class Window:
    """The last few snapshots, so that a table can show rates over a steady while."""

    def __init__(self) -> None:
        self._snapshots: tuple[Snapshot, ...] = ()  # replaced whole: the page is drawn in another thread

    def take(self, snapshot: Snapshot) -> Snapshot | None:
        """Add the newest snapshot; give the one to compare it with."""
        before = self.before(snapshot)
        kept = (*self._snapshots, snapshot)
        while len(kept) > 2 and snapshot.steady - kept[1].steady >= _RATES:
            kept = kept[1:]
        self._snapshots = kept
        return before

    def before(self, snapshot: Snapshot) -> Snapshot | None:
        """Give the snapshot to compare this one with: about ten seconds older, or the oldest there is."""
        older = [s for s in self._snapshots if s.steady < snapshot.steady]
        return older[0] if older else None


def forms(window: Window) -> Mapping[str, Callable[[Snapshot], bytes]]:
    """Give the renderer of every form that the endpoint serves."""
    exposition = Exposition()
    return {
        "text": lambda snapshot: exposition.render(snapshot, openmetrics=False),
        "openmetrics": lambda snapshot: exposition.render(snapshot, openmetrics=True),
        "html": lambda snapshot: page.render(window.before(snapshot), snapshot),
    }
