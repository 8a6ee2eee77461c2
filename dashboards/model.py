# SPDX-License-Identifier: Apache-2.0
"""What a dashboard is, as plain values: variables, rows, panels and their queries."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Unit:
    """What a value is in, for Grafana and in the catalogue's spelling. An empty `ucum` is a count of anything."""

    grafana: str
    ucum: str = ""


COUNT = Unit("short")
RATIO = Unit("percentunit", "1")
SECONDS = Unit("s", "s")
BYTES = Unit("bytes", "By")
BYTES_PER_SECOND = Unit("Bps", "By/s")
WATTS = Unit("watt", "W")
CELSIUS = Unit("celsius", "Cel")
HERTZ = Unit("hertz", "Hz")
REQUESTS_PER_SECOND = Unit("reqps", "{request}/s")
TOKENS_PER_SECOND = Unit("count:tok/s", "{token}/s")
PREEMPTIONS_PER_SECOND = Unit("cps", "{preemption}/s")
TOKENS_PER_JOULE = Unit("suffix:tok/J", "{token}/J")


@dataclass(frozen=True, slots=True)
class State:
    """What a number stands for, and its colour."""

    text: str
    color: str


@dataclass(frozen=True, slots=True)
class Step:
    """From `above` on, the colour is `color`."""

    above: float
    color: str


@dataclass(frozen=True, slots=True)
class Query:
    """A range query and how its lines are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel(ABC):
    """What all panels have.

    `title` says what one sees; `description` names the metrics, says what is bad and what to do. `width` is in 24ths of
    the page, `height` in Grafana's rows. `may_be_empty` is the reason why a healthy fleet may have nothing to show here.
    """

    title: str
    description: str
    width: int = 12
    height: int = 8
    may_be_empty: str = ""

    @abstractmethod
    def shown(self) -> Iterator[tuple[Query, Unit]]:
        """Give every query with the unit that its values are shown in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(Panel):
    """One number, now. Coloured by `steps` where a colour is a judgement, else neutral; `states` replace numbers."""

    expr: str
    unit: Unit
    width: int = 3
    height: int = 4
    steps: tuple[Step, ...] = ()
    states: Mapping[int, State] = field(default_factory=lambda: MappingProxyType({}))
    empty: str = "No data"

    def shown(self) -> Iterator[tuple[Query, Unit]]:
        """Give the one query."""
        yield Query(self.expr, ""), self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Panel):
    """Values over time. `top` fixes the axis; stacked lines are parts of a whole."""

    queries: tuple[Query, ...]
    unit: Unit
    top: float | None = None
    stacked: bool = False

    def shown(self) -> Iterator[tuple[Query, Unit]]:
        """Give the queries, all in one unit."""
        return ((query, self.unit) for query in self.queries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap(Panel):
    """A histogram over time: `expr` gives its buckets by `le`, `unit` is what they measure."""

    expr: str
    unit: Unit

    def shown(self) -> Iterator[tuple[Query, Unit]]:
        """Give the one query."""
        yield Query(self.expr, "{{le}}"), self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline(Panel):
    """States over time: one bar per series, coloured by what its numbers stand for."""

    queries: tuple[Query, ...]
    states: Mapping[int, State]

    def shown(self) -> Iterator[tuple[Query, Unit]]:
        """Give the queries; their values are codes."""
        return ((query, COUNT) for query in self.queries)


@dataclass(frozen=True, slots=True)
class Link:
    """A cell opens a dashboard of ours with this variable set to the cell's value; `title` says what one sees there."""

    uid: str
    variable: str
    title: str


@dataclass(frozen=True, slots=True)
class Key:
    """A column that tells rows apart: a label, its heading, and where its cells lead. Without a heading it is hidden."""

    label: str
    heading: str = ""
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A column of values: an instant query whose labels are exactly the table's keys. Without a heading: rows only."""

    heading: str
    expr: str
    unit: Unit = COUNT
    steps: tuple[Step, ...] = ()
    states: Mapping[int, State] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """One row per thing, now. `sort` is the heading to sort by, `descending` or not."""

    keys: tuple[Key, ...]
    values: tuple[Value, ...]
    width: int = 24
    height: int = 10
    sort: str = ""
    descending: bool = False

    def shown(self) -> Iterator[tuple[Query, Unit]]:
        """Give each column's query in its unit."""
        return ((Query(value.expr, ""), value.unit) for value in self.values)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, laid out left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """A variable: the values of a label among the series of `selector`; several, or all, may be chosen."""

    name: str
    title: str
    selector: str
    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Thing:
    """A variable: one of the series of `expr`, known by its label `value` and shown to people as its label `text`.

    `value` sorts before `text`: Grafana reads both from the series with one regular expression.
    """

    name: str
    title: str
    expr: str
    value: str
    text: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable: one of a few words, the first by default."""

    name: str
    title: str
    words: tuple[str, ...]
    description: str = ""


Variable = Labels | Thing | Choice


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One question. `uid` is for ever: links of ours and of users lead to it."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)
