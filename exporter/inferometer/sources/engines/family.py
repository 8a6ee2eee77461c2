# SPDX-License-Identifier: Apache-2.0
"""What a family of an engine's page is: its names, the metric that it means, and how its series are read. Data only."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from inferometer.model import Instrument, Metric


class Role(StrEnum):
    """What a sample is to its family."""

    VALUE = "value"
    BUCKET = "bucket"
    COUNT = "count"
    SUM = "sum"
    CREATED = "created"


class Label(NamedTuple):
    """A label that becomes an attribute.

    `values` are pairs of the page's value and ours; a page's value ending in `*` stands for all that begin so. Series whose
    values become one are added up. `rest` is what any other value becomes; empty: it stays; None: its series is not read.
    """

    name: str
    attribute: str
    values: tuple[tuple[str, str], ...] = ()
    rest: str | None = ""

    def translate(self, value: str) -> str | None:
        """Give the attribute's value, or None where the series is not read."""
        for theirs, ours in self.values:
            if value == theirs or (theirs.endswith("*") and value.startswith(theirs[:-1])):
                return ours
        return value if self.rest == "" else self.rest


class Where(NamedTuple):
    """Only series whose label has one of these values; a label that is absent has the empty one."""

    label: str
    values: frozenset[str]


def where(label: str, *values: str) -> Where:
    """Write a condition."""
    return Where(label, frozenset(values))


class Sample(NamedTuple):
    """Read the sample itself.

    `per` is how many of the page's units make one of ours: 250 milliseconds at `per` 1000 are 0.25 s. A value in `off`
    says that the engine does not tell.
    """

    per: float = 1.0
    off: frozenset[float] = frozenset()


class Times(NamedTuple):
    """Multiply the sample by another gauge of the same series, e.g. blocks by tokens per block.

    `name` is without prefix; the series differ in the labels of `conditions` and of the family's own.
    """

    name: str
    conditions: tuple[Where, ...] = ()


class FromLabels(NamedTuple):
    """Multiply the numbers that labels of an info series hold. The first of the `choices` that all are numbers counts."""

    choices: tuple[tuple[str, ...], ...]


class Newest(NamedTuple):
    """Read a label of the newest series of a family whose values are Unix times and whose old series never go.

    `listed`: the label holds a comma-separated list, and its length counts; else it holds the number.
    """

    label: str
    listed: bool = False


How = Sample | Times | FromLabels | Newest
AS_IT_IS = Sample()
ANY = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Family:
    """One thing an engine says, and the metric that it is.

    Args:
        names: the family's names without the dialect's prefix, newest first; where a page has several, the first counts.
        metric: what it means. Its instrument is the type that the page must declare, if it declares one.
        fixed: attributes that the name itself says, e.g. the direction of the tokens.
        labels: this family's own labels.
        conditions: which of its series this is about; a family may have several meanings, by label.
        how: how a series is read.
        added: labels over which series are added up, `ANY` for all that mean nothing to us. Only where they live and
            die together: a sum that loses a part looks like a counter that was reset.
        lowest: labels of which the lowest value counts, because every rank repeats the whole.
        required: labels without which a series is not this family's; None: those of the dialect.
        types: types that the page declares although the metric's instrument is another.
        since: families (without prefix) whose presence tells that the engine is new enough to have this one; empty: all
            versions have it.
        optional: only engines that run with some option have it, so that its absence says nothing.
        unless: families (without prefix) that say the same in more detail: this one is read where none of them has samples.
        beside: what a page's host says is read although the engine behind it says the same, because it counts others; it is
            told under the host's name, which is there before the engine says anything.
        prefixed: its names follow the dialect's prefix.
        option: the engine's own option that changes a histogram's bounds.
        versions: which versions have it, for people.
    """

    names: tuple[str, ...]
    metric: Metric
    fixed: tuple[tuple[str, str], ...] = ()
    labels: tuple[Label, ...] = ()
    conditions: tuple[Where, ...] = ()
    how: How = AS_IT_IS
    added: frozenset[str] = frozenset()
    lowest: tuple[str, ...] = ()
    required: frozenset[str] | None = None
    types: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    optional: bool = False
    unless: tuple[str, ...] = ()
    beside: bool = False
    prefixed: bool = True
    option: str = ""
    versions: str = ""

    def called(self, prefixes: tuple[str, ...]) -> list[str]:
        """Give its full names, best first: prefixes are ranked after names."""
        return [prefix + name for name in self.names for prefix in (prefixes if self.prefixed else ("",))]


class Place(NamedTuple):
    """Where a sample belongs: the index of its family, the index of the name it goes by (0 is best), its role."""

    family: int
    rank: int
    role: Role


def bases(name: str, instrument: Instrument) -> tuple[str, str]:
    """Give the family name that text pages declare, and the one that OpenMetrics does (a counter's lacks `_total`)."""
    return name, name.removesuffix("_total") if instrument is Instrument.COUNTER else name


def samples_of(name: str, family: Family) -> dict[str, Role]:
    """Give the sample names of a family that goes by `name`."""
    samples = {name: Role.VALUE}
    if family.metric.instrument is Instrument.HISTOGRAM:
        samples = {name + "_bucket": Role.BUCKET, name + "_count": Role.COUNT, name + "_sum": Role.SUM}
    return {**samples, bases(name, family.metric.instrument)[1] + "_created": Role.CREATED}
