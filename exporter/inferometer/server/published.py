# SPDX-License-Identifier: Apache-2.0
"""The newest snapshot and its pages: each form is rendered at most once per snapshot, on first demand."""

import secrets
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from inferometer.compression import Deflater, crc32, gunzip, gzip
from inferometer.model import Snapshot
from inferometer.server.crc import combine
from inferometer.views.prometheus import Part, put_together

Render = Callable[[Snapshot], bytes | Iterable[Part]]


class Issue(NamedTuple):
    """A page, and the snapshot's number that it was made of."""

    number: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Edition:
    """One snapshot with the pages that were asked for so far, by form and whether they are compressed."""

    number: str
    snapshot: Snapshot
    pages: dict[tuple[str, bool], bytes] = field(default_factory=dict)


class _Packed(NamedTuple):
    """A part of a page, compressed; the CRC-32 and the bytes of its text."""

    body: bytes
    check: int
    size: int


class Published:
    """What the outputs read: the newest snapshot, and its pages.

    Reading never waits for a source, and for a rendering only where the page does not exist yet. Renderings are made
    one at a time: they hold the interpreter anyway, and a renderer may keep a memo between snapshots without a lock.

    Args:
        forms: how to render each form, whole or in parts: `text` and `openmetrics` for /metrics, `html` for the status page.
    """

    def __init__(self, forms: Mapping[str, Render]) -> None:
        self._forms = dict(forms)
        self._rendering = threading.Lock()
        self._edition: _Edition | None = None
        self._run = secrets.token_hex(6)  # another agent's, and this one's after a restart, differ
        self._count = 0
        self._packed: dict[str, dict[int, _Packed]] = {}  # the newest page's parts, by form and stamp

    def has(self, form: str) -> bool:
        """Tell whether there is such a form."""
        return form in self._forms

    @property
    def newest(self) -> Snapshot | None:
        """The newest snapshot; None before the first."""
        edition = self._edition
        return edition.snapshot if edition else None

    @property
    def number(self) -> str:
        """What the newest snapshot is known by, and no other of any agent; empty before the first."""
        edition = self._edition
        return edition.number if edition else ""

    def publish(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot. The pages of the one before go with it."""
        self._count += 1
        self._edition = _Edition(f"{self._run}-{self._count:x}", snapshot)

    def page(self, form: str, *, gzipped: bool = False) -> bytes | None:
        """Give the newest snapshot in this form; None before the first. Raises what the renderer raises."""
        issue = self.issue(form, gzipped=gzipped)
        return issue.body if issue else None

    def issue(self, form: str, *, gzipped: bool = False) -> Issue | None:
        """Give the same with the snapshot's number."""
        edition = self._edition
        if edition is None:
            return None
        page = edition.pages.get((form, gzipped))
        return Issue(edition.number, page) if page is not None else self._render(form, gzipped)

    def _render(self, form: str, gzipped: bool) -> Issue | None:
        with self._rendering:
            edition = self._edition  # a newer one may have come, or another thread may have rendered this one meanwhile
            if edition is None:
                return None
            page = edition.pages.get((form, gzipped))
            if page is None:
                page = edition.pages[form, gzipped] = self._made(edition, form, gzipped=gzipped)
            return Issue(edition.number, page)

    def _made(self, edition: _Edition, form: str, *, gzipped: bool) -> bytes:
        """Make a page that is not there yet. Only what is asked for is kept: the plain one is twenty times the other."""
        other = edition.pages.get((form, not gzipped))
        if other is not None and not gzipped:
            return gunzip(other)
        page = self._forms[form](edition.snapshot) if other is None else other
        if isinstance(page, bytes):
            return gzip(page) if gzipped else page
        return self._pack(form, page) if gzipped else put_together(page)

    def _pack(self, form: str, parts: Iterable[Part]) -> bytes:
        """Compress a page; a part that is what it was is neither compressed nor written again."""
        before, after = self._packed.get(form, {}), dict[int, _Packed]()
        deflater = Deflater()
        check = size = 0
        for part in parts:
            packed = before.get(part.stamp)
            if packed is None:
                packed = _packed(part, deflater)
            after[part.stamp] = packed
            check, size = combine(check, packed.check, packed.size), size + packed.size
        self._packed[form] = after
        bodies = (packed.body for packed in after.values())
        return b"".join((_HEAD, *bodies, _END, struct.pack("<II", check, size & 0xFFFF_FFFF)))


def _packed(part: Part, deflater: Deflater) -> _Packed:
    """Compress a part as it is written: its text is never there as a whole."""
    bodies: list[bytes] = []
    check = size = 0
    for piece in part.write():
        bodies.append(deflater.add(piece))
        check, size = crc32(piece, check), size + len(piece)
    return _Packed(b"".join((*bodies, deflater.end())), check, size)


# RFC 1952 section 2.3: a member's head without name and time, made fast; and RFC 1951's empty last block.
_HEAD, _END = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff", b"\x03\0"
