# SPDX-License-Identifier: Apache-2.0
"""Arbitrary snapshots for property tests: every catalogue metric and some that are passed on, any text, finite number and bounds."""

from dataclasses import replace

from hypothesis import strategies as st

from inferometer.catalog import ATTRIBUTES, METRICS, verbatim
from inferometer.model import Exemplar, Histogram, Instrument, Metric, Point, Resource, Snapshot, Value

# Families that are passed on, in their order; the first two metrics are one family.
PASSED = (
    verbatim("my:a", Instrument.GAUGE, ()),
    verbatim("my:a", Instrument.GAUGE, ("x",)),
    verbatim("my:c_total", Instrument.COUNTER, ("x", "y")),
    verbatim("my:h", Instrument.HISTOGRAM, ("x",)),
)
_KNOWN = {attribute.key for attribute in ATTRIBUTES}

# What escaping gets wrong first, then anything that UTF-8 can say.
texts = st.one_of(
    st.sampled_from(
        ["a", '"', "\\", "\n", "\\n", '\\"', "%", "%s", "%(x)s", "{}", "# EOF", "é", "日本", "\U0001f600", " ", "\r"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
times = st.integers(1_500_000_000_000, 2_500_000_000_000).map(lambda milliseconds: milliseconds / 1_000)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(0, allow_nan=False, allow_infinity=False)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    bounds = tuple(sorted(draw(st.sets(positive.map(lambda bound: bound + 0.0), max_size=6))))
    counts = st.integers(0, 1 << 50)
    return Histogram(
        bounds, tuple(draw(st.lists(counts, min_size=len(bounds) + 1, max_size=len(bounds) + 1))), draw(positive)
    )


def values(metric: Metric) -> st.SearchStrategy[Value]:
    """Any value that the metric's instrument allows."""
    if metric.instrument is Instrument.HISTOGRAM:
        return histograms()
    return positive if metric.instrument is Instrument.COUNTER else st.one_of(finite, st.integers(-(1 << 60), 1 << 60))


def resources() -> st.SearchStrategy[Resource]:
    keys = st.sampled_from(["service.name", "k8s.node.name", "k8s_node.name", "host.id", "0.x", "é", "k8s.pod.uid"])
    return st.dictionaries(keys, texts, max_size=4).map(Resource.of)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """A snapshot as the join promises it: grouped by metric in catalogue order, every series once."""
    about = draw(st.lists(resources(), min_size=1, max_size=3, unique=True))
    chosen = draw(st.sets(st.sampled_from(range(len(METRICS))), max_size=5))
    chosen_passed = draw(st.sets(st.sampled_from(range(len(PASSED))), max_size=4))
    points: list[Point] = []
    for metric in (*(METRICS[i] for i in sorted(chosen)), *(PASSED[i] for i in sorted(chosen_passed))):
        attributes = st.tuples(*(st.one_of(st.none(), texts) if key in _KNOWN else texts for key in metric.keys))
        series = draw(st.lists(attributes, min_size=1, max_size=3, unique_by=lambda a: tuple(v or None for v in a)))
        for values_of in series:
            start = draw(st.one_of(st.none(), times))
            resource = draw(st.sampled_from(about))
            points.append(Point(metric, values_of, draw(values(metric)), draw(times), start, resource))
    told = draw(exemplars(tuple(points)))
    return Snapshot(at=draw(times), steady=0.0, node=about[0], points=tuple(points), exemplars=told)


# Without what prometheus_client's parser takes for the end of an exemplar's labels although it is escaped or quoted.
_plain = texts.filter(lambda text: not set(text) & set('"\\\n#{}'))


@st.composite
def exemplars(
    draw: st.DrawFn, points: tuple[Point, ...]
) -> dict[tuple[Metric, tuple[str | None, ...]], tuple[Exemplar, ...]]:
    """Exemplars of some of the points that may have them: with and without times, with ids that are some and that are none."""
    hexadecimal = st.sampled_from(["0" * 32, "0123456789abcdef" * 2, "0123456789ABCDEF", "f" * 16, "x"])
    labels = st.dictionaries(
        st.sampled_from(["trace_id", "span_id", "user", "_"]), st.one_of(hexadecimal, _plain), max_size=3
    )
    one = st.builds(
        Exemplar, labels.map(lambda said: tuple((k, v) for k, v in said.items() if v)), finite, st.none() | times
    )
    told = {}
    for point in points:
        if point.metric.instrument in (Instrument.COUNTER, Instrument.HISTOGRAM) and draw(st.booleans()):
            told[point.metric, point.attributes] = tuple(draw(st.lists(one, max_size=3)))
    return told


@st.composite
def successions(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots as they follow one another: most series stay and move, some end, begin, restart or change their bounds."""
    snapshot = draw(snapshots())
    row = [snapshot]
    for _ in range(draw(st.integers(1, 3))):
        fate = st.sampled_from(["moves", "moves", "moves", "ends", "restarts", "is replaced"])
        points: list[Point] = []
        for point in row[-1].points:
            match draw(fate):
                case "moves":
                    value = draw(values(point.metric))
                    if isinstance(value, Histogram) and isinstance(point.value, Histogram):
                        counts = tuple(draw(st.integers(0, 1 << 50)) for _ in point.value.counts)
                        value = point.value._replace(counts=counts)
                    points.append(point._replace(value=value, at=draw(times)))
                case "restarts":
                    points.append(point._replace(value=draw(values(point.metric)), start=draw(times)))
                case "is replaced":
                    points.append(point._replace(attributes=(f"{point.attributes[0]}'", *point.attributes[1:])))
                case _:
                    pass
        told = draw(st.one_of(st.just(row[-1].exemplars), st.just({}), exemplars(tuple(points))))
        row.append(replace(snapshot, at=draw(times), points=tuple(points), exemplars=told))
    return row
