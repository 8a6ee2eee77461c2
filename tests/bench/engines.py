# SPDX-License-Identifier: Apache-2.0
"""What reading engines costs: lines and memory of every recorded page, many engines on a node, pages that never stay alike."""

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import frames
from bench.measure import Row, Work, cpu
from bench.parse import MAX_BYTES, PAGE, RULES
from inferometer.accounting import State, account
from inferometer.join import join
from inferometer.model import Target
from inferometer.sources.engines.page import Parser
from inferometer.sources.engines.reader import Reader
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition

PAGES = Path(__file__).parents[1] / "fixtures" / "engines"
FEW, MANY = 16, 160
AGAINST = "prometheus_client.parser"
_SCRAPES = 4  # pages in turn, each with other numbers
_SHAPES = 300  # pages of different shape, before and after which memory is compared
_LEAK = 64 << 10  # bytes that so many pages may leave behind: what Python's own caches take now and then


def measure() -> Iterator[Row]:
    """Measure the reader alone, then the whole way of many engines."""
    yield from _lines()
    yield from _memory()
    yield from _shifting()
    yield from _node()


def moved(page: str, factor: int) -> str:
    """Give a page as a later scrape finds it: every number that can has grown."""
    return "\n".join(_moved(line, factor) for line in page.split("\n"))


def _moved(line: str, factor: int) -> str:
    key, blank, value = line.rpartition(" ")
    if not blank or line.startswith("#") or "_created" in key:
        return line
    number = float(value)
    return f"{key} {number + factor!r}" if number == number and abs(number) < 1e15 else line  # noqa: PLR0124  # NaN is not itself


def _lines() -> Iterator[Row]:
    """Measure the parser on every recorded page, warm and cold, beside the library that everybody uses."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the reference

    texts = [path.read_text() for path in sorted(PAGES.glob("*/*.txt"))]
    lines = sum(text.count("\n") for text in texts)
    scrapes = [[moved(text, factor).encode() for text in texts] for factor in range(_SCRAPES)]
    parsers, turns = [Parser() for _ in texts], cycle(scrapes)

    def warm() -> None:
        for parser, page in zip(parsers, next(turns), strict=True):
            parser.parse(page)

    def cold() -> None:
        for page in scrapes[0]:
            Parser().parse(page)

    def theirs() -> None:
        for text in texts:
            list(text_string_to_metric_families(text))

    ours, first, reference = cpu(warm, cold, theirs)
    yield Row("engines.lines", ours, f"s for {lines} lines", reference, AGAINST, least_ratio=30)
    yield Row("engines.lines.rate", lines / ours, "lines/s")
    yield Row("engines.lines.cold", first, f"s for {lines} lines", reference, AGAINST)


def _memory() -> Iterator[Row]:
    """Measure what the reader of a page keeps between scrapes: of the first of its kind, and of one more replica."""
    pages = [moved(PAGE.read_text(), factor).encode() for factor in range(3)]
    readers: list[Reader] = []
    series = 0

    def one_more() -> None:
        nonlocal series
        readers.append(Reader(_target(len(readers))))
        for page in pages:
            readers[-1].read(page)
        series = sum(1 for line in pages[0].splitlines() if line and not line.startswith(b"#"))

    _kept(one_more)  # what is made once for all
    readers.clear()
    for name in ("engines.memory.series", "engines.memory.series.replica"):
        yield Row(name, _kept(one_more) / series, "By/series")


def _shifting() -> Iterator[Row]:
    """Measure pages that have another series each time, as of an engine that labels by request."""
    text, reader = PAGE.read_text(), Reader(_target(0))
    place = "# HELP vllm:num_requests_waiting "
    pages = cycle([moved(text, i).replace(place, f'vllm:odd{{id="{i}"}} 1\n{place}').encode() for i in range(_SHAPES)])

    def scrapes() -> None:
        for _ in range(_SHAPES):
            reader.read(next(pages))

    again, cold = cpu(lambda: reader.read(next(pages)), lambda: Reader(_target(0)).read(next(pages)))
    yield Row("engines.shifting", again, "s", cold, "a reader that has read nothing before", least_ratio=1)
    once, twice = _kept(scrapes), _kept(scrapes, scrapes)  # either holds the last page
    yield Row("engines.shifting.left", twice - once, f"By after {_SHAPES} more pages", goal=0, limit=_LEAK)


def _node() -> Iterator[Row]:
    """Measure some engines of a node, and ten times as many, from their pages to both outputs."""
    pages = [moved(PAGE.read_text(), factor).encode() for factor in range(32)]
    few, many = cpu(_scrape_of(FEW, pages), _scrape_of(MANY, pages), rounds=3)
    yield Row(f"engines.node.{FEW}", few, "s")
    yield Row(f"engines.node.{MANY}", many, "s")
    yield Row("engines.node.x10", many / few, "times the CPU", goal=11)


def _scrape_of(engines: int, pages: list[bytes]) -> Work:
    readers = [Reader(_target(i)) for i in range(engines)]
    turns, exposition, encoder, state = cycle(pages), Exposition(), Encoder(), State()

    def work() -> None:
        nonlocal state
        reports = [reader.read(next(turns)) for reader in readers]
        state, snapshot = account(state, join(frames.frames(engines=reports), frames.CONTEXT), RULES)
        exposition.render(snapshot, openmetrics=False)
        encoder.requests(snapshot, max_bytes=MAX_BYTES)

    return work


def _target(i: int) -> Target:
    pod = f"chat-{i}"
    return Target(f"serving/{pod}:8000", "http://10.0.0.7:8000/metrics", namespace="serving", pod=pod, pod_uid=pod)


def _kept(*works: Work) -> int:
    """Give the bytes that are held after some work and were not before."""
    gc.collect()
    tracemalloc.start()
    try:
        for work in works:
            work()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return held
