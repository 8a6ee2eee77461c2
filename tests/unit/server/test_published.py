# SPDX-License-Identifier: Apache-2.0
"""Pages are rendered once per snapshot, on demand."""

import gzip
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferometer import compression
from inferometer.model import Resource, Snapshot
from inferometer.server import Published
from inferometer.server import published as published_pages
from inferometer.views.prometheus import Exposition, Part


def snapshot(at: float) -> Snapshot:
    return Snapshot(at=at, steady=at, node=Resource(()))


def _part(stamp: int, text: bytes) -> Part:
    return Part(stamp, lambda: (text[: len(text) // 3], text[len(text) // 3 :]))


def test_nothing_is_there_before_the_first_snapshot() -> None:
    """Before the first snapshot there is no page, and none is rendered."""
    published = Published({"text": lambda _: pytest.fail("rendered")})
    assert published.newest is None
    assert published.page("text") is None
    assert published.page("text", gzipped=True) is None


def test_a_page_is_rendered_on_first_demand_and_once() -> None:
    """Publishing renders nothing; the first reader does, for all, whether they take gzip or not."""
    rendered: list[float] = []

    def render(shown: Snapshot) -> bytes:
        rendered.append(shown.at)
        return b"page at %d" % shown.at * 100

    published = Published({"text": render})
    published.publish(snapshot(1))
    published.publish(snapshot(2))
    assert rendered == []
    packed = published.page("text", gzipped=True)
    plain = published.page("text")
    assert packed is not None
    assert gzip.decompress(packed) == plain == b"page at 2" * 100
    assert published.page("text") is plain
    assert published.page("text", gzipped=True) is packed
    assert rendered == [2]


def test_a_page_in_parts_is_one_page() -> None:
    """Compressed or not it is its parts in a row, in one gzip member: not every client reads a second one."""
    parts = [_part(1, b"first " * 1000), _part(2, b""), _part(3, b"second")]
    published = Published({"text": lambda _: parts})
    published.publish(snapshot(1))

    packed = published.page("text", gzipped=True)

    assert packed is not None
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert (member.decompress(packed), member.eof, member.unused_data) == (b"first " * 1000 + b"second", True, b"")
    assert published.page("text") == gzip.decompress(packed)


def test_a_part_that_stays_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only parts with a new stamp are compressed, and the page is the newest; each form has its own."""
    pages = {1.0: [_part(1, b"one" * 99), _part(2, b"two" * 99)], 2.0: [_part(1, b"one" * 99), _part(3, b"three" * 99)]}
    forms = {"text": lambda shown: pages[shown.at], "openmetrics": lambda _: [_part(1, b"another text")]}
    published = Published(forms)
    compressed: list[int] = []

    class Deflater(compression.Deflater):
        size = 0

        def add(self, piece: bytes) -> bytes:
            self.size += len(piece)
            return super().add(piece)

        def end(self) -> bytes:
            compressed.append(self.size)
            self.size = 0
            return super().end()

    monkeypatch.setattr(published_pages, "Deflater", Deflater)
    for at, text in ((1.0, b"one" * 99 + b"two" * 99), (2.0, b"one" * 99 + b"three" * 99)):
        published.publish(snapshot(at))
        assert gzip.decompress(published.page("text", gzipped=True) or b"") == text
        assert gzip.decompress(published.page("openmetrics", gzipped=True) or b"") == b"another text"

    assert compressed == [297, 297, len(b"another text"), 495]


def test_readers_at_once_share_one_rendering_and_renderers_never_overlap() -> None:
    """Many readers of two forms cause one rendering of each, one after the other."""
    running, most, made = 0, 0, []
    lock = threading.Lock()
    ready = threading.Barrier(16)

    def render(form: str) -> bytes:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
        made.append(form)
        threading.Event().wait(0.02)
        with lock:
            running -= 1
        return form.encode()

    published = Published({"text": lambda _: render("text"), "html": lambda _: render("html")})
    published.publish(snapshot(1))

    def read(number: int) -> bytes | None:
        ready.wait(30)
        return published.page("text" if number % 2 else "html")

    with ThreadPoolExecutor(16) as pool:
        pages = set(pool.map(read, range(16)))
    assert pages == {b"text", b"html"}
    assert sorted(made) == ["html", "text"]
    assert most == 1


def test_a_renderer_that_fails_fails_alone_and_is_tried_again() -> None:
    """A rendering that raises leaves no page behind and harms no other form."""
    fails = True

    def render(_: Snapshot) -> bytes:
        if fails:
            raise ValueError("defect")
        return b"text"

    published = Published({"text": render, "html": lambda _: b"html"})
    published.publish(snapshot(1))
    with pytest.raises(ValueError, match="defect"):
        published.page("text")
    assert published.page("html") == b"html"
    fails = False
    assert published.page("text") == b"text"


def test_an_empty_page_says_the_newest_node() -> None:
    """Compressed, too: where no series is, the node's name alone tells one page from the one before."""
    exposition = Exposition()
    published = Published({"text": lambda snapshot: exposition.parts(snapshot, openmetrics=False)})
    for name in ("a", "b"):
        published.publish(Snapshot(at=1.0, steady=1.0, node=Resource.of({"service.name": name, "host.name": name})))
        packed = published.page("text", gzipped=True)
        assert packed is not None
        assert gzip.decompress(packed) == published.page("text") == _plain(published)


def _plain(published: Published) -> bytes:
    assert published.newest is not None
    return Exposition().render(published.newest, openmetrics=False)
