# SPDX-License-Identifier: Apache-2.0
"""Which views feed which output."""

from collections.abc import Mapping

from inferometer import config
from inferometer.model import Points, Snapshot, groups_of
from inferometer.server.published import Render
from inferometer.views import dcgm
from inferometer.views.prometheus import Exposition
from inferometer.views.samples import NEEDED

_RATES = 10.0  # seconds: what a person sees as "now"
_APART = 2.0  # seconds between two that are kept, at least: a short period must not fill the memory


class Window:
    """The last few snapshots, as much of them as a table needs, so that it can show rates over a steady while."""

    def __init__(self) -> None:
        self._snapshots: tuple[Snapshot, ...] = ()  # replaced whole: the page is drawn in another thread

    def take(self, snapshot: Snapshot) -> Snapshot | None:
        """Add the newest snapshot; give the one to compare it with."""
        before = self.before(snapshot)
        kept = self._snapshots
        if not kept or snapshot.steady - kept[-1].steady >= _APART:
            kept = (*kept, _for_a_table(snapshot))
        while len(kept) > 2 and snapshot.steady - kept[1].steady >= _RATES:
            kept = kept[1:]
        self._snapshots = kept
        return before

    def before(self, snapshot: Snapshot) -> Snapshot | None:
        """Give the snapshot to compare this one with: about ten seconds older, or the oldest there is."""
        older = [s for s in self._snapshots if s.steady < snapshot.steady]
        return older[0] if older else None


def _for_a_table(snapshot: Snapshot) -> Snapshot:
    """Leave out everything that no table shows: histograms above all."""
    points = Points.of(group for group in groups_of(snapshot.points) if group[0].metric in NEEDED)
    return Snapshot(snapshot.at, snapshot.steady, snapshot.node, points=points)


def forms(window: Window, server: config.Server) -> Mapping[str, Render]:
    """Give the renderer of every form that the endpoint serves."""
    exposition = Exposition(created=server.created_timestamps)
    return {
        **({"dcgm": dcgm.render} if server.dcgm else {}),
        "text": lambda snapshot: exposition.parts(snapshot, openmetrics=False),
        "openmetrics": lambda snapshot: exposition.parts(snapshot, openmetrics=True),
        "html": lambda snapshot: _status_page(window.before(snapshot), snapshot),
    }


def _status_page(before: Snapshot | None, snapshot: Snapshot) -> bytes:
    from inferometer.views import page  # noqa: PLC0415  # half a MiB that is only paid where a person looks

    return page.render(before, snapshot)
