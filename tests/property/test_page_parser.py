# SPDX-License-Identifier: Apache-2.0
"""The parser against prometheus_client's, and its memory against none."""

import math
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

from inferometer.model import Trouble
from inferometer.sources.engines.page import Parser

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], str]

_NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
_LABELS = st.from_regex(r"[a-z][a-zA-Z0-9_]{0,5}", fullmatch=True)
_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r") | st.sampled_from('\\"{}#,=\n'), max_size=8
)
_NUMBERS = st.one_of(
    st.floats(width=64).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["+Inf", "-Inf", "NaN", "1.1e+011", "+3", "007", "5.", ".5"]),
)
_TYPES = st.sampled_from(["counter", "gauge", "histogram", "summary", "untyped"])
_SPACE = st.sampled_from(["", " ", "  ", "\t"])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@st.composite
def families(draw: st.DrawFn, name: str) -> list[str]:
    """The lines of one family, with the freedom of white space that the format leaves."""
    kind = draw(_TYPES)
    sample = name + {"counter": "_total", "histogram": "_bucket", "summary": "_sum"}.get(kind, "")
    declared = sample if kind == "counter" else name
    lines = [f"# TYPE {declared} {kind}"] if draw(st.booleans()) else []
    sets: list[dict[str, str]] = draw(st.lists(st.dictionaries(_LABELS, _TEXT, max_size=3), max_size=4))
    for labels in sets:
        space, braces, stamped = draw(_SPACE), draw(st.booleans()), draw(st.booleans())
        inside = ",".join(f'{space}{key}{space}="{_escape(value)}"{space}' for key, value in labels.items())
        comma = "," if labels and braces else ""
        head = f"{sample}{space}{{{inside}{comma}}}" if labels or braces else f"{sample} "
        stamp = f" {draw(st.integers(0, 2**40))}" if stamped else ""
        lines.append(f"{space}{head} {draw(_NUMBERS)}{stamp}")
    return lines


@st.composite
def pages(draw: st.DrawFn) -> list[str]:
    """The lines of a page."""
    return [line for name in draw(st.lists(_NAMES, max_size=5, unique=True)) for line in draw(families(name))]


def ours(body: bytes, parser: Parser | None = None) -> Samples | str:
    """What our parser finds, values as text so that NaN equals itself; or why it refuses."""
    try:
        page = (parser or Parser()).parse(body)
    except Trouble as trouble:
        return f"{trouble.reason} {trouble.message}"
    return {(s.name, s.labels): repr(float(value)) for s, value in zip(page.layout.series, page.values, strict=True)}


def theirs(text: str) -> list[tuple[tuple[str, tuple[tuple[str, str], ...]], str]] | None:
    """What prometheus_client finds; None if it refuses."""
    try:
        found = list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError):
        return None
    return [
        ((s.name, tuple(sorted(s.labels.items()))), repr(float(s.value))) for family in found for s in family.samples
    ]


def _plain(samples: Iterable[tuple[tuple[str, tuple[tuple[str, str], ...]], str]]) -> Samples:
    """Take away the `_total` that the library adds to every counter."""
    return {(name.removesuffix("_total"), labels): value for (name, labels), value in samples}


@given(pages())
def test_every_valid_page_reads_as_prometheus_client_reads_it(lines: list[str]) -> None:
    """Names, labels and values are the library's, whatever the labels hold and however the page is spaced."""
    text = "\n".join(lines) + "\n"
    expected = theirs(text)
    assert expected is not None
    found = ours(text.encode())
    if len(dict(expected)) < len(expected):
        assert "stands twice" in str(found)
    elif lines:
        assert found == dict(expected)


@given(pages(), st.data())
def test_a_damaged_page_is_refused_or_reads_as_prometheus_client_reads_it(
    lines: list[str], data: st.DataObject
) -> None:
    """Whatever is cut out or put in, we never find other values than the library does."""
    text = "\n".join(lines) + "\n"
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 5)))
    text = text[:start] + data.draw(st.text('"{}\\,= #\n\t1aN_', max_size=3)) + text[end:]
    found, expected = ours(text.encode()), theirs(text)
    if not isinstance(found, str) and expected is not None:
        assert _plain(found.items()) == _plain(expected)


@st.composite
def edits(draw: st.DrawFn, lines: list[str]) -> list[str]:
    """What the same target may say next: other values, a line more or less, another order, another type, nonsense."""
    edited = list(lines)
    for _ in range(draw(st.integers(0, 3))):
        i = draw(st.integers(0, max(0, len(edited) - 1)))
        match draw(st.integers(0, 6)):
            case 0 | 1 if edited:
                head, _, _ = edited[i].rpartition(" ")
                edited[i] = f"{head} {draw(_NUMBERS)}"
            case 2:
                edited.insert(i, f"{draw(_NAMES)} {draw(_NUMBERS)}")
            case 3 if edited:
                edited.pop(i)
            case 4 if edited:
                edited.append(edited.pop(i))
            case 5 if edited:
                edited[i] = edited[i].replace("counter", "gauge") + draw(
                    st.sampled_from(["", " ", "}", " 1", " # {} 1", "_1", "\r"])
                )
            case _ if edited:
                edited[i] = edited[draw(st.integers(0, len(edited) - 1))]
    return edited


@given(pages(), st.data())
def test_what_is_remembered_never_changes_what_is_read(lines: list[str], data: st.DataObject) -> None:
    """A parser that has read any pages before finds in the next one exactly what a new parser finds."""
    parser = Parser()
    for _ in range(data.draw(st.integers(1, 6))):
        body = "\n".join(lines).encode()
        assert ours(body, parser) == ours(body)
        lines = data.draw(edits(lines))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No input raises anything but Trouble, or gives anything but numbers."""
    found = ours(body)
    assert isinstance(found, str) or all(math.isnan(float(v)) or float(v) == float(v) for v in found.values())
