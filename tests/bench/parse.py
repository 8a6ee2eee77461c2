# SPDX-License-Identifier: Apache-2.0
"""CPU of reading a recorded vLLM page, alone and all the way to both outputs."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, cycle
from pathlib import Path

import frames
from bench.measure import Row, Work, cpu
from inferometer.accounting import Rules, State, account
from inferometer.join import Context, Memo, join
from inferometer.model import Snapshot, Target
from inferometer.sources.engines.reader import Reader
from inferometer.views.otlp import Encoder
from inferometer.views.prometheus import Exposition

PAGE = Path(__file__).parents[1] / "fixtures/engines/vllm/real_v0.32.0_cpu_after60.txt"
TARGET = Target(
    "serving/chat-0:8000", "http://10.0.0.7:8000/metrics", namespace="serving", pod="chat-0", pod_uid="c0ffee"
)
RULES = Rules(300.0, 2_000)
MAX_BYTES = 3_500_000


def measure() -> Iterator[Row]:
    """Measure the parser and its mapping beside prometheus_client's parser, which maps nothing."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the reference

    pages = _pages()
    text = pages[0].decode()
    against = "prometheus_client.parser"
    warm, cold, theirs = cpu(
        _warm(pages),
        lambda: Reader(TARGET).read(pages[0]),
        lambda: list(text_string_to_metric_families(text)),
    )
    yield Row("parse.vllm", warm, "s", theirs, against)
    yield Row("parse.vllm.cold", cold, "s", theirs, against)


def measure_to_outputs() -> Iterator[Row]:
    """Measure one page from its bytes to both outputs, with the join and the fold that the agent does in between."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the reference

    from bench.references import sdk_encoded

    pages = _pages()
    text = pages[0].decode()
    points = _snapshot(Reader(TARGET), pages[0], State(), frames.CONTEXT)[1].points
    ours, theirs = cpu(_to_outputs(pages), lambda: (list(text_string_to_metric_families(text)), sdk_encoded(points)))
    yield Row(
        "page.to_outputs", ours, "s", theirs, "prometheus_client.parser, opentelemetry-sdk encoder", least_ratio=10.0
    )


def _pages() -> list[bytes]:
    """Give pages as they follow one another: the engine's numbers grow, its series and their start times stay."""
    page = PAGE.read_text().splitlines()
    return ["\n".join([*(grown(line, factor) for line in page), ""]).encode() for factor in range(1, 33)]


def grown(line: str, factor: int) -> str:
    series, _, value = line.rpartition(" ")
    return f"{series} {float(value) * factor!r}" if series.startswith("vllm:") and "_created" not in series else line


def _warm(pages: list[bytes]) -> Work:
    reader, turns = Reader(TARGET), cycle(pages)
    return lambda: reader.read(next(turns))


def _to_outputs(pages: list[bytes]) -> Work:
    reader, exposition, encoder, turns = Reader(TARGET), Exposition(), Encoder(), cycle(pages)
    state, context, seconds = State(), replace(frames.CONTEXT, memo=Memo()), count()

    def work() -> None:
        nonlocal state
        state, snapshot = _snapshot(reader, next(turns), state, context, float(next(seconds)))
        exposition.render(snapshot, openmetrics=False)
        encoder.requests(snapshot, max_bytes=MAX_BYTES)

    return work


def _snapshot(
    reader: Reader, page: bytes, state: State, context: Context, passed: float = 0.0
) -> tuple[State, Snapshot]:
    joined = join(frames.frames(engines=[reader.read(page)], passed=passed), context)
    return account(state, joined, RULES)
