# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a page to what an engine says: parse, recognise, read. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import is_
from types import MappingProxyType

from inferometer.config import Passthrough
from inferometer.model import EngineReport, Target
from inferometer.sources.engines.exemplars import NONE, Known, of_outputs
from inferometer.sources.engines.page import Layout, Parser
from inferometer.sources.engines.passing import find_passing
from inferometer.sources.engines.plan import compile_plan
from inferometer.sources.engines.recognise import likely, recognise
from inferometer.sources.engines.repeated import Repeated, Told

_NOTHING = Passthrough()
_NO_COUNTS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PageDescription:
    """What a page is and which of its families mean which metric: the answer of `check engine`.

    `mapped` pairs families with metrics, `unmapped` has the other families, of which the dialect has never heard of
    the `unknown`, and `missing` those that an engine of the page's age should have. `likely` are families of an unknown
    engine's page, and the metrics that they would be if they mean what other engines mean by that name. `details`
    pairs attributes of the engine's info with what the page tells. `passed` are the families that are passed on as they
    are, and `withheld` pairs those that are asked for and are not with the reason.
    """

    engine: str
    backend: str
    kind: str
    version: str
    models: tuple[str, ...]
    mapped: tuple[tuple[str, str], ...]
    unmapped: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    likely: tuple[tuple[str, str], ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    passed: tuple[str, ...] = ()
    withheld: tuple[tuple[str, str], ...] = ()


class Reader:
    """Reads one target's pages. A page like the last one costs only its values."""

    def __init__(self, target: Target, *, max_samples: int = 20_000, passthrough: Passthrough = _NOTHING) -> None:
        self._target = target
        self._passthrough = passthrough
        self._parser = Parser(max_samples=max_samples)
        self._begin(Layout((), {}, [], []))

    def _begin(self, layout: Layout) -> None:
        """Work out what pages of a layout say."""
        self._page = page = recognise(layout, self._target.engine)
        self._plan = compile_plan(layout, page, self._target.instance)
        self._passing = find_passing(layout, page.kind, self._passthrough, self._target.instance)
        self._said, self._words = Repeated(self._plan.outputs), Repeated(self._passing.outputs)
        self._before = Told(), Told(), NONE
        self._report: EngineReport | None = None
        self._layout = layout

    def read(self, body: bytes, content_type: str = "") -> EngineReport:
        """Read one page; one that says what the page before said gives the very same report. Raises as `Parser.parse` does."""
        layout, values, exemplars = self._parser.parse(body, content_type)
        if layout is not self._layout:
            self._begin(layout)
        now = self._said.read(values), self._words.read(values), exemplars
        # Without any exemplars these are the same object, too.
        if self._report is None or not all(map(is_, now, self._before)):
            self._report = self._told(*now, len(values))
            self._before = now
        return self._report

    def _told(self, said: Told, words: Told, exemplars: Known, samples: int) -> EngineReport:
        page, plan, passing = self._page, self._plan, self._passing
        told, doubtful = of_outputs(plan.outputs, exemplars, samples)
        return EngineReport(
            self._target,
            page.engine,
            page.backend,
            page.kind.value,
            page.version,
            page.models,
            said.readings,
            plan.unmapped,
            plan.missing,
            plan.without(said.doubts),
            plan.unknown,
            page.details,
            plan.balanced,
            plan.named,
            {"exemplar": doubtful} if doubtful else _NO_COUNTS,
            passed=words.readings,
            withheld=passing.without(len(words.doubts)),
            exemplars=told,
        )


def describe(body: bytes, content_type: str = "", passthrough: Passthrough = _NOTHING) -> PageDescription:
    """Say what a page is, and what is passed on of it. Raises as `Parser.parse` does."""
    layout, *_ = Parser(max_samples=1_000_000).parse(body, content_type)
    page = recognise(layout)
    plan = compile_plan(layout, page, "")
    passing = find_passing(layout, page.kind, passthrough, "")
    return PageDescription(
        page.engine,
        page.backend,
        page.kind.value,
        page.version,
        page.models,
        plan.mapped,
        plan.unmapped,
        plan.missing,
        plan.unknown if page.dialects else (),
        () if page.dialects else likely(layout),
        tuple(sorted(page.details.items())),
        passing.names,
        passing.refused,
    )
