# SPDX-License-Identifier: Apache-2.0
"""What the configuration says of metrics: which are meant, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from inferometer import catalog
from inferometer.config.document import Document, Path, Problem
from inferometer.config.keys import dotted
from inferometer.config.nearest import nearest
from inferometer.config.schema import Config
from inferometer.model import Aggregation, Metric


def matching(pattern: str) -> tuple[Metric, ...]:
    """Give the metrics that a name or a pattern with `*` means, in the catalogue's order."""
    if "*" not in pattern:
        return (catalog.BY_NAME[pattern],) if pattern in catalog.BY_NAME else ()
    literal = pattern.replace("[", "[[]").replace("?", "[?]")  # only the star is special
    return tuple(metric for metric in catalog.METRICS if fnmatchcase(metric.name, literal))


def limits_of(config: Config) -> dict[Metric, int]:
    """Give the metrics that have limits of their own; the last entry counts."""
    return {metric: limit.series for limit in config.limits.metrics for metric in matching(limit.metric)}


def drops_of(config: Config) -> dict[Metric, frozenset[str]]:
    """Give the attributes that metrics do without: of each what all rules say that it fits, of those that it has."""
    dropped: dict[Metric, frozenset[str]] = {}
    for rule in config.attributes.drop:
        for metric in matching(rule.metric):
            if keys := frozenset(rule.attributes).intersection(metric.keys):
                dropped[metric] = dropped.get(metric, frozenset()) | keys
    return dropped


def check_metrics(config: Config, document: Document) -> None:
    """Note what is wrong with what a configuration says of metrics."""
    for i, limit in enumerate(config.limits.metrics):
        _check_name(limit.metric, ("limits", "metrics", i, "metric"), document)
    dropped = drops_of(config)
    for i, rule in enumerate(config.attributes.drop):
        path: Path = ("attributes", "drop", i)
        if _check_name(rule.metric, (*path, "metric"), document):
            for j, key in enumerate(rule.attributes):
                if problem := _refuse(key, matching(rule.metric), dropped):
                    _report(document, (*path, "attributes", j), problem)


_MARKS = (catalog.OVERFLOW.key, catalog.SIMULATED.key)


def _refuse(key: str, metrics: Sequence[Metric], dropped: Mapping[Metric, frozenset[str]]) -> str:
    """Say why these metrics cannot do without an attribute; empty if they can."""
    if key in _MARKS:
        return f"{key} cannot be dropped: it says that a series is not what it seems"
    known = list(dict.fromkeys(each for metric in metrics for each in metric.keys))
    if key not in known:
        who = f"{metrics[0].name} has no" if len(metrics) == 1 else "none of these metrics has an"
        return f"{who} attribute {key!r}; {_nearest(key, known)}"
    unfit = [metric for metric in metrics if key in metric.keys and not _can_do_without(key, metric, dropped[metric])]
    if not unfit:
        return ""
    first, told = unfit[0], catalog.DESCRIBED_BY.get(key)
    more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
    why = "infos are to be joined" if first.aggregation is Aggregation.JOIN else "means and ratios do not add up"
    remedy = f"keep {' and '.join(told)}" if told else "name only metrics that add up"
    return f"{first.name}{more} cannot do without {key}: series that it tells apart would be one, and {why}; {remedy}"


def _can_do_without(key: str, metric: Metric, dropped: frozenset[str]) -> bool:
    """Tell whether series of a metric that differ in an attribute can be one, or never do."""
    if metric.aggregation in (Aggregation.SUM, Aggregation.MAX):
        return True
    return catalog.is_told(key, [each for each in metric.keys if each not in dropped])


def _check_name(pattern: str, path: Path, document: Document) -> bool:
    if not pattern:  # required, and reported as such
        return False
    if matching(pattern):
        return True
    _report(document, path, f"no metric is called {pattern!r}; {_nearest(pattern, [*catalog.BY_NAME])}")
    return False


def _nearest(name: str, known: Sequence[str]) -> str:
    """Name what was probably meant; a metric may have been called as Prometheus calls it."""
    translated = {metric.prometheus: metric.name for metric in catalog.METRICS}
    if name in translated:
        return f"did you mean {translated[name]}?"
    return f"the nearest is {nearest(name, known)}"


def _report(document: Document, path: Path, message: str) -> None:
    document.problems.append(Problem(document.place(path), dotted(path), message))
