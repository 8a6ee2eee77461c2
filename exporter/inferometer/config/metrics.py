# SPDX-License-Identifier: Apache-2.0
"""What the configuration says of metrics: which are meant, and what is wrong with it."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from inferometer import catalog
from inferometer.config.document import Document, Path, Problem
from inferometer.config.keys import dotted
from inferometer.config.schema import Config
from inferometer.model import Metric


def matching(pattern: str) -> tuple[Metric, ...]:
    """Give the metrics that a name or a pattern with `*` means, in the catalogue's order."""
    if "*" not in pattern:
        return (catalog.BY_NAME[pattern],) if pattern in catalog.BY_NAME else ()
    literal = pattern.replace("[", "[[]").replace("?", "[?]")  # only the star is special
    return tuple(metric for metric in catalog.METRICS if fnmatchcase(metric.name, literal))


def limits_of(config: Config) -> dict[Metric, int]:
    """Give the metrics that have limits of their own; the last entry counts."""
    return {metric: limit.series for limit in config.limits.metrics for metric in matching(limit.metric)}


def check_metrics(config: Config, document: Document) -> None:
    """Note what is wrong with what a configuration says of metrics."""
    for i, limit in enumerate(config.limits.metrics):
        _check_name(limit.metric, ("limits", "metrics", i, "metric"), document)


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
    return f"the nearest is {difflib.get_close_matches(name, known, 1, 0.0)[0]}"


def _report(document: Document, path: Path, message: str) -> None:
    document.problems.append(Problem(document.place(path), dotted(path), message))
