# SPDX-License-Identifier: Apache-2.0
"""The parser against both of prometheus_client's, its memory against none, and its appetite against the page's size."""

import contextlib
import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.judge import OPENMETRICS, TARGET, judge, ours, plain, strict
from fuzz.judge import text as theirs
from inferometer.model import Trouble
from inferometer.sources.engines.page import Parser
from inferometer.sources.engines.reader import Reader

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
    has_help = draw(st.booleans())
    if lines and has_help:
        words = draw(st.sampled_from(["", "What it is."]))
        lines = [*([""] * draw(st.integers(0, 1))), f"# HELP {declared} {words}", *lines]
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
        assert plain(found.items()) == plain(expected)


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
                    st.sampled_from(["", " ", "}", " 1", " # {} 1", ' # {a_b="c"} 1 2', " # x", "_1", "\r"])
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
        found = ours(body, parser=parser)
        assert found == ours(body)
        if not isinstance(found, str):
            assert parser.parse(body).exemplars == Parser().parse(body).exemplars
        lines = data.draw(edits(lines))


_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "unknown": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
}


@st.composite
def strict_families(draw: st.DrawFn, name: str) -> list[str]:
    """The lines of one OpenMetrics family, with timestamps and exemplars where it allows them."""
    kind = draw(st.sampled_from(sorted(_SUFFIXES)))
    lines = [f"# TYPE {name} {kind}"]
    sets: list[dict[str, str]] = draw(
        st.lists(st.dictionaries(_LABELS, _TEXT, max_size=3), max_size=3, unique_by=lambda s: tuple(sorted(s.items())))
    )
    for labels in sets:
        stamp = draw(st.sampled_from(["", " 1", " 17.25"]))
        count = draw(st.integers(0, 10**6))
        for suffix in _SUFFIXES[kind]:
            said = {**labels, "le": "+Inf"} if suffix == "_bucket" else labels
            inside = ",".join(f'{key}="{_escape(value)}"' for key, value in said.items())
            value = "1" if kind == "info" else str(count)
            exemplar = draw(st.sampled_from(["", ' # {a="}b # {"} 1 2'])) if suffix in {"_bucket", "_total"} else ""
            lines.append(f"{name}{suffix}{{{inside}}} {value}{stamp}{exemplar}")
    return lines


@given(st.data())
def test_every_valid_openmetrics_page_reads_as_prometheus_client_reads_it(data: st.DataObject) -> None:
    """Of the strict format too: names as they stand, values without their timestamps and exemplars."""
    names = data.draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    text = "\n".join([*(line for name in names for line in data.draw(strict_families(name))), "# EOF", ""])
    expected, found = strict(text), ours(text.encode(), OPENMETRICS)
    if expected is not None and not isinstance(found, str):
        assert found == dict(expected)


FIXTURES = Path(__file__).parents[1] / "fixtures" / "engines"
PIECES = [
    b"".join(lines[start : start + 8])
    for path in sorted(FIXTURES.glob("*/*.txt"))
    if (lines := path.read_bytes().splitlines(keepends=True))
    for start in range(0, len(lines), len(lines) // 4 + 1)
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=5), st.data())
def test_recorded_pages_however_damaged_are_judged_well(parts: list[bytes], data: st.DataObject) -> None:
    """What the fuzzer holds of its inputs holds of pieces of real pages that are put together, cut and overwritten."""
    body = b"".join(parts)
    at = data.draw(st.integers(0, len(body)))
    body = body[:at] + data.draw(st.binary(max_size=4)) + body[at + data.draw(st.integers(0, 4)) :]
    judge(body + data.draw(st.sampled_from([b"", b"\n# EOF\n"])), Parser())


_SIZE = 1 << 17
HOSTILE = {
    "one line": b"a" * _SIZE,
    "no end of a label": b'a{b="' + b"x" * _SIZE,
    "escapes": b'a{b="' + b"\\" * _SIZE,
    "braces": b"a" + b"{" * _SIZE,
    "quotes": b"a{" + b'"' * _SIZE,
    "commas": b"a{" + b"," * _SIZE + b"} 1",
    "labels in one line": b"a{" + b"".join(b'l%d="",' % i for i in range(_SIZE // 8)) + b"} 1",
    "new labels in each line": b"".join(b'a{b="%d"} 1\n' % i for i in range(_SIZE // 12)),
    "empty lines": b"\n" * _SIZE,
    "blanks": b" " * _SIZE + b"\n",
    "comments": b"# TYPE a counter\n" * (_SIZE // 17),
    "types": b"".join(b"# TYPE a%d counter\n" % i for i in range(_SIZE // 18)),
    "digits": b"a " + b"1" * _SIZE,
    "an exponent": b"a 1e" + b"9" * 300,
    "carriage returns": b"a 1" + b"\r" * _SIZE,
    "bounds": b"# TYPE h histogram\n" + b"".join(b'h_bucket{le="%d"} 1\n' % i for i in range(_SIZE // 20)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_takes_memory_by_its_size_and_leaves_none(name: str) -> None:
    """At most some 60 bytes for each of the page's, whether it is read or refused; and all of it is given back."""
    body = HOSTILE[name]
    tracemalloc.start()
    try:
        reader = Reader(TARGET)
        for _ in range(2):
            with contextlib.suppress(Trouble):
                reader.read(body)
        _, peak = tracemalloc.get_traced_memory()
        del reader
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * len(body) + (1 << 20)
    assert left < 1 << 18


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No input raises anything but Trouble, or gives anything but numbers."""
    found = ours(body)
    assert isinstance(found, str) or all(math.isnan(float(v)) or float(v) == float(v) for v in found.values())
