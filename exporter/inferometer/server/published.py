# SPDX-License-Identifier: Apache-2.0
"""The newest snapshot and its pages: each form is rendered at most once per snapshot, on first demand."""

import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from inferometer.model import Snapshot

Render = Callable[[Snapshot], bytes]

_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: with gzip's header and trailer
_LEVEL = 1  # three times faster than level 6 for a sixth more bytes, on pages of this kind


@dataclass(frozen=True, slots=True)
class _Edition:
    """One snapshot with the pages that were asked for so far, by form and whether they are compressed."""

    snapshot: Snapshot
    pages: dict[tuple[str, bool], bytes] = field(default_factory=dict)


class Published:
    """What the outputs read: the newest snapshot, and its pages.

    Reading never waits for a source, and for a rendering only where the page does not exist yet. Renderings are made
    one at a time: they hold the interpreter anyway, and a renderer may keep a memo between snapshots without a lock.

    Args:
        forms: how to render each form: `text` and `openmetrics` for /metrics, `html` for the status page.
    """

    def __init__(self, forms: Mapping[str, Render]) -> None:
        self._forms = dict(forms)
        self._rendering = threading.Lock()
        self._edition: _Edition | None = None

    @property
    def newest(self) -> Snapshot | None:
        """The newest snapshot; None before the first."""
        edition = self._edition
        return edition.snapshot if edition else None

    def publish(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot. The pages of the one before go with it."""
        self._edition = _Edition(snapshot)

    def page(self, form: str, *, gzipped: bool = False) -> bytes | None:
        """Give the newest snapshot in this form; None before the first. Raises what the renderer raises."""
        edition = self._edition
        if edition is None:
            return None
        page = edition.pages.get((form, gzipped))
        return page if page is not None else self._render(form, gzipped)

    def _render(self, form: str, gzipped: bool) -> bytes | None:
        with self._rendering:
            edition = self._edition  # a newer one may have come, or another thread may have rendered this one meanwhile
            if edition is None:
                return None
            page = edition.pages.get((form, gzipped))
            if page is None:
                page = edition.pages[form, gzipped] = self._made(edition, form, gzipped=gzipped)
            return page

    def _made(self, edition: _Edition, form: str, *, gzipped: bool) -> bytes:
        """Make a page that is not there yet. Only what is asked for is kept: the plain one is twenty times the other."""
        other = edition.pages.get((form, not gzipped))
        if other is not None and not gzipped:
            return zlib.decompress(other, wbits=_GZIP)
        plain = self._forms[form](edition.snapshot) if other is None else other
        return zlib.compress(plain, _LEVEL, wbits=_GZIP) if gzipped else plain
