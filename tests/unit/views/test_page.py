# SPDX-License-Identifier: Apache-2.0
"""The status page: complete, escaped, and without anything that runs or loads."""

from dataclasses import replace
from html.parser import HTMLParser

from inferometer.model import Snapshot, SourceHealth
from inferometer.views.page import render
from nodes import snapshots

VOID = {"meta", "link", "br", "img"}


class Structure(HTMLParser):
    """Collects the tags and the text, and checks that each element is closed by its own end tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())


def page(before: Snapshot | None, after: Snapshot) -> Structure:
    return Structure(render(before, after).decode())


def test_the_page_shows_the_table_and_the_sources() -> None:
    """A person sees who holds what, and which source has which trouble and what to do."""
    shown = page(*snapshots({"pair": (0.0, 1000.0)}))

    assert "script" not in shown.tags and "link" not in shown.tags
    for text in ("n1", "serving/pair", "llama-3-70b", "100.0", "600", "0.20", "(shared by 2)"):
        assert text in shown.text
    for text in ("engine serving/gone:8000", "refused", "never", "engine failed Mend it."):
        assert text in shown.text


def test_everything_is_escaped() -> None:
    """A name from elsewhere is a text and never markup."""
    _, after = snapshots({})
    evil = '<script>alert("1")</script>'
    hostile = replace(after, sources=(SourceHealth(evil, evil, up=False, age=None, took=0, message=evil, remedy=evil),))

    shown = page(None, hostile)

    assert "script" not in shown.tags
    assert f"{evil} {evil}" in shown.text


def test_a_simulated_node_says_so_first() -> None:
    """Nobody takes the demo for a measurement."""
    _, after = snapshots({})

    assert "Simulated node" not in render(None, after).decode()
    assert "Simulated node" in "".join(page(None, replace(after, simulated=True)).text[:3])


def test_a_page_of_an_empty_node_is_complete() -> None:
    """A node without anything yet has a page too."""
    _, after = snapshots({})

    assert "Neither a GPU nor an engine" in "".join(page(None, replace(after, points=(), sources=())).text)
