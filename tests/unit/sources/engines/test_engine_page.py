# SPDX-License-Identifier: Apache-2.0
"""The parser of metrics pages: what it reads, what it refuses, and what it remembers."""

import math
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle

from inferometer.model import Reason, Trouble
from inferometer.sources.engines import syntax
from inferometer.sources.engines.page import Page, Parser

FIXTURES = Path(__file__).parents[3] / "fixtures" / "engines"


def read(text: str, content_type: str = "") -> dict[str, float]:
    return by_series(Parser().parse(text.encode(), content_type))


def by_series(page: Page) -> dict[str, float]:
    return {str(series): value for series, value in zip(page.layout.series, page.values, strict=True)}


def trouble(body: bytes, content_type: str = "", max_samples: int = 20_000) -> Trouble:
    with pytest.raises(Trouble) as caught:
        Parser(max_samples=max_samples).parse(body, content_type)
    return caught.value


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*.txt")), ids=lambda path: path.stem)
def test_recorded_pages_read_as_prometheus_client_reads_them(path: Path) -> None:
    """Every sample of every recorded page has the name, labels and value that the library finds."""
    page = Parser().parse(path.read_bytes())
    ours = {(s.name, s.labels): value for s, value in zip(page.layout.series, page.values, strict=True)}
    theirs = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            name = sample.name
            if (
                family.type == "counter" and page.layout.types.get(family.name) == "counter"
            ):  # the library adds the suffix
                name = name.removesuffix("_total")
            theirs[name, tuple(sorted(sample.labels.items()))] = sample.value
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == theirs[key] or math.isnan(theirs[key]) for key in ours)


def test_label_values_may_hold_anything_when_escaped() -> None:
    """Braces, quotes, hashes, commas, line feeds and other alphabets are only label values."""
    page = Parser().parse('m{a="}{ # 1",b="\\"q\\\\\\n",c="模型, x=\\"y\\""} 3\n'.encode())
    assert page.layout.series[0].labels == (("a", "}{ # 1"), ("b", '"q\\\n'), ("c", '模型, x="y"'))
    assert list(page.values) == [3.0]


def test_white_space_is_free_where_the_format_lets_it_be() -> None:
    """Blanks and tabs around names, labels and values, trailing commas and CRLF change nothing."""
    text = '  a{ x = "1" , y="2", } 1\r\nb\t2\r\n\r\nc {z="3"}   3  \r\nd{} 4'
    assert read(text) == {'a{x="1",y="2"}': 1, "b": 2, 'c{z="3"}': 3, "d": 4}


def test_numbers_are_read_as_engines_write_them() -> None:
    """Exponents of three digits, infinities and NaN in any case are numbers; Python's underscores are not."""
    page = read("a 1.1e+011\nb +Inf\nc -inf\nd NaN\ne -0.5\n")
    assert page["a"] == 1.1e11
    assert (page["b"], page["c"], page["e"]) == (math.inf, -math.inf, -0.5)
    assert math.isnan(page["d"])
    assert trouble(b"a 1_000\n").reason is Reason.MALFORMED


def test_timestamps_and_exemplars_are_no_part_of_the_value() -> None:
    """A timestamp after the value, and an exemplar whose labels hold braces, are read over."""
    text = 'a{x="1"} 5 1795219505000\nb_bucket{le="1.0"} 7 # {trace_id="}{"} 0.5 1795219505.1\nc 1 # {} 2\n# EOF\n'
    assert read(text, "application/openmetrics-text") == {'a{x="1"}': 5, 'b_bucket{le="1.0"}': 7, "c": 1}


def test_a_name_may_stand_quoted_inside_the_braces() -> None:
    """Prometheus 3 writes names of other alphabets as a quoted first term."""
    page = Parser().parse(b'{"engine.time", "a.b"="1"} 2\n')
    assert page.layout.series[0] == ("engine.time", (("a.b", "1"),))


def test_a_missing_last_line_feed_loses_nothing() -> None:
    """The last sample counts without its line feed too."""
    assert read("a 1\nb 2") == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"\n \r\n\n", "empty"),
        (b"# only a comment\n", "no metrics"),
        (b"a 1\n\xff\xfe 2\n", "not UTF-8"),
        (b"<!DOCTYPE html><html></html>", "line 1 is no sample"),
        (b'{"error": "no"}', "line 1 is no sample"),
        (b'a 1\nb{x="1', "line 2 is no sample"),
        (b'b{x="1"}', "line 1 is no sample"),
        (b'b{x="1",x="2"} 1', "stands twice"),
        (b"b{x=1} 1", "malformed labels"),
        (b"a", "line 1 is no sample"),
        (b"a one", "line 1 is no sample"),
        (b"a 1 2 3", "line 1 is no sample"),
        (b"a 1\na 1\n", "the series a stands twice"),
        (b'a{x="1",y="2"} 1\na{y="2",x="1"} 1\n', 'the series a{x="1",y="2"} stands twice'),
    ],
)
def test_what_is_no_metrics_page_is_refused_with_its_reason(body: bytes, says: str) -> None:
    """Empty, cut-off, foreign and contradictory pages are MALFORMED, and the message names the line or the series."""
    refused = trouble(body)
    assert refused.reason is Reason.MALFORMED
    assert says in refused.message
    assert len(refused.message) < 400


def test_an_openmetrics_page_without_its_end_is_cut_off() -> None:
    """OpenMetrics promises `# EOF`; text does not."""
    assert "cut off" in trouble(b"a 1\n", "application/openmetrics-text; version=1.0.0").message
    assert read("a 1\n") == {"a": 1}


def test_a_page_has_a_limit_of_samples_and_of_lines() -> None:
    """More samples than allowed, or lines that no samples explain, are TOO_LARGE."""
    assert read("a 1\nb 2\n", "") == {"a": 1, "b": 2}
    assert trouble(b"a 1\nb 2\nc 3\n", max_samples=2).reason is Reason.TOO_LARGE
    assert trouble(b"#\n" * 50, max_samples=2).reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "line",
    [b"a{" + b",".join(b'l%d="v"' % i for i in range(5_000)) + b"} 1", b"# HELP a " + b"x" * 20_000],
    ids=["labels", "comment"],
)
def test_a_line_beyond_any_engines_is_refused(line: bytes) -> None:
    """Thousands of labels on one series, or one endless comment, cost no memory of many times the page."""
    found = trouble(b"b 2\n" + line + b"\n")
    assert found.reason is Reason.TOO_LARGE
    assert "line 2" in found.message


def test_a_page_like_the_last_keeps_its_layout_and_its_new_values() -> None:
    """Only values moved: the layout is the very same object."""
    parser = Parser()
    first = parser.parse(b'# TYPE a counter\na{x="1"} 1\nb 2\n')
    second = parser.parse(b'# TYPE a counter\na{x="1"} 5\nb 2.5\n')
    assert second.layout is first.layout
    assert by_series(second) == {'a{x="1"}': 5, "b": 2.5}
    assert by_series(first) == {'a{x="1"}': 1, "b": 2}


def test_timestamps_that_move_do_not_make_a_new_layout() -> None:
    """A page that stamps its samples is as well known as any other."""
    parser = Parser()
    assert parser.parse(b"a 1 1000\n").layout is parser.parse(b"a 2 2000\n").layout


def test_a_changed_type_makes_a_new_layout() -> None:
    """What is remembered of a page never outlives its `# TYPE` lines."""
    parser = Parser()
    first = parser.parse(b"# TYPE a counter\na 1\n")
    second = parser.parse(b"# TYPE a gauge\na 1\n")
    assert second.layout is not first.layout
    assert dict(second.layout.types) == {"a": "gauge"}


def test_a_family_of_two_types_conflicts() -> None:
    """The same `# TYPE` twice is harmless, two different ones are told."""
    page = Parser().parse(b"# TYPE a counter\n# TYPE a counter\n# TYPE b counter\n# TYPE b gauge\na 1\nb 1\n")
    assert dict(page.layout.types) == {"a": "counter", "b": "conflicting"}


def test_equal_pages_are_remembered_once() -> None:
    """The replicas of one server differ in their values alone, and share the rest; one that says more has its own."""
    pages = [
        Parser().parse(body)
        for body in (b"a 1\nb 2\n", b"a 3\nb 4\n", b"a 1\nb 2\nc 3\n", b"# TYPE a counter\na 1\nb 2\n")
    ]

    assert pages[0].layout is pages[1].layout
    assert [list(page.values) for page in pages[:2]] == [[1, 2], [3, 4]]
    assert len({id(page.layout) for page in pages}) == 3


def test_the_memory_never_grows_beyond_one_page() -> None:
    """A page with ever new labels leaves nothing behind."""
    parser = Parser()
    for n in range(50):
        parser.parse("".join(f'a{{request="{n}-{i}"}} 1\n' for i in range(10)).encode())
    assert len(parser._layout.known) == len(parser._layout.keys) - 1 == 10


def test_a_bad_page_leaves_the_memory_as_it_was() -> None:
    """After a page that is refused, the next good one is read as before."""
    parser = Parser()
    first = parser.parse(b"a 1\nb 2\n")
    for bad in (b"", b"a 1\na 2\n", b"a x\nb 2\n", b"\xff"):
        with pytest.raises(Trouble):
            parser.parse(bad)
    again = parser.parse(b"a 3\nb 4\n")
    assert again.layout is first.layout
    assert by_series(again) == {"a": 3, "b": 4}


_BIG = 1 << 20


@pytest.mark.parametrize(
    "body",
    [
        b"a 0." + b"1" * _BIG,
        b'a{x="' + b'\\"' * _BIG + b'"} 1',
        b'a{x="' + b"\\" * _BIG,
        b"a{" * _BIG,
        b"a" * _BIG,
        b" " * _BIG + b"a",
        b"a" + b" " * _BIG + b"}",
        b"a" + b" 1" * _BIG,
        b"a{" + b"".join(b'a%d="1",' % i for i in range(_BIG // 16)) + b"} 1",
    ],
    ids=["digits", "quotes", "unclosed", "braces", "name", "blanks", "trailing blanks", "words", "labels"],
)
def test_a_line_without_end_is_read_once_and_through(body: bytes) -> None:
    """The grammar reads or refuses a megabyte in one pass, were it let through: a pattern that backtracked would not return."""
    line = body.decode()
    with suppress(ValueError):
        key = syntax.key(line)
        syntax.series(key)
        syntax.number(line[len(key) :])

    refused = trouble(body)
    assert refused.reason is Reason.TOO_LARGE
    assert len(refused.message) < 400


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*.txt")), ids=lambda path: path.stem)
def test_a_recorded_page_whose_numbers_move_is_learned_once(path: Path) -> None:
    """Whatever engine wrote it, and whichever of its numbers move: all, some, or those of its last line."""
    parser, text = Parser(), path.read_text()
    lines = text.split("\n")
    samples = [i for i, line in enumerate(lines) if line and not line.startswith("#")]
    parser.parse(text.encode())
    learned = parser._replay
    for turn in range(1, 7):
        chosen = set(samples[:: turn % 3 + 1] if turn < 6 else samples[-1:])
        moved = [_moved(line, turn) if i in chosen else line for i, line in enumerate(lines)]
        page = parser.parse("\n".join(moved).encode())
        assert parser._replay is learned
        assert list(map(repr, page.values)) == list(map(repr, Parser().parse("\n".join(moved).encode()).values))


def test_replicas_share_how_their_pages_are_read_and_nothing_else() -> None:
    """The same families move on both; where one has other comments it is read by its own."""
    page = "# HELP a x\na 1\n# HELP b x\nb 1\nc 1\n"
    other = "# HELP a x\na 1\nb 1\n# HELP c x\nc 1\n"  # the same samples in the same number of blocks
    parsers = [Parser() for _ in range(3)]
    for parser, text in zip(parsers, (page, page, other), strict=True):
        parser.parse(text.encode())
    for turn in range(2, 6):
        for parser, text in zip(parsers, (page, page, other), strict=True):
            body = text.replace("b 1", f"b {turn}").replace("c 1", f"c {turn}0").encode()
            assert list(parser.parse(body).values) == [1, turn, 10 * turn]
    first, second, _ = (parser._replay for parser in parsers)
    assert first is not None
    assert second is not None
    assert first._recipe is second._recipe
    assert len(parsers[0]._layout.recipes) == 1


def _moved(line: str, turn: int) -> str:
    sample, mark, exemplar = line.partition(" # ")
    key, _, _ = sample.rpartition(" ")
    return f"{key} {turn * 1.5}{mark}{exemplar}"
