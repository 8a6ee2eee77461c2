# SPDX-License-Identifier: Apache-2.0
"""The one checker of PromQL: names, labels, values, types and units of an expression, against the catalogue.

`check` follows an expression from its selectors outwards and knows, at each step, which labels a result can have, what
its unit is and whether it may be summed. What cannot be right is a `Fault` that names the place and the nearest valid name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

import promql_parser as syntax

from inferometer.model import Aggregation
from series import KNOWN, OF_A_POD, Kind, Series, Shape, recorded
from units import ONE, PER_SECOND, Unit

__all__ = ["KNOWN", "Fault", "Kind", "Series", "Shape", "check", "check_legend", "recorded", "substitute"]


class Fault(ValueError):  # noqa: N818  # people read it; "Error" would say less
    """An expression that cannot be right; the sentence names the place."""


def check(expression: str, *, place: str, known: Mapping[str, Series] = KNOWN) -> Shape:
    """Check an expression without variables and give its result's shape.

    Args:
        expression: PromQL, as Prometheus would get it.
        place: who asks: `alert GpuLost`, `dashboard fleet, panel Held`. Stands first in the fault.
        known: every series that may be selected; `{**KNOWN, record.name: record}` adds a recording rule's.
    """
    try:
        parsed = syntax.parse(expression)
    except ValueError as error:
        raise Fault(f"{place}: this is not PromQL: {error}: {expression}") from None
    try:
        return _Walk(known).shape(parsed)
    except Fault as fault:
        raise Fault(f"{place}: {fault}") from None


def check_legend(legend: str, shape: Shape, *, place: str) -> None:
    """Check that each `{{label}}` of a legend, or of a rule's annotation, is one that the result can have."""
    for label in re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", legend):
        if label not in shape.labels:
            raise Fault(f"{place}: the legend's {_unknown('label', label, shape.labels)}")


def substitute(text: str, variables: Mapping[str, str], *, place: str) -> str:
    """Put values in place of a dashboard's `$name`, `${name}` and `${name:format}`. `$1` belongs to label_replace."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["bare"]
        if name not in variables:
            raise Fault(f"{place}: {_unknown('variable', f'${name}', [f'${known}' for known in variables])}")
        return variables[name]

    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<bare>[A-Za-z_]\w*))", value, text)


def _unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """Say that a name is none of the valid ones, and which of those is nearest."""
    names = sorted(valid)
    near = get_close_matches(name, names, 1, 0.0)
    hint = f"the nearest is {near[0]}" if near else "there is none"
    return f"{what} {name} does not exist here; {hint}"


# --- the walk -----------------------------------------------------------------------------------------------------

_RATES = ("rate", "irate", "increase")
_OVER_TIME = ("avg", "min", "max", "sum", "quantile", "stddev", "stdvar", "mad")
_OF_GAUGES = ("delta", "idelta", "deriv", "predict_linear", *(f"{name}_over_time" for name in _OVER_TIME))
_COUNTS = ("changes", "resets", "count_over_time", "present_over_time")
_QUANTILES = ("histogram_quantile", "histogram_fraction")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_SETS = ("and", "or", "unless")
_ANY_ONE = ("group", "min", "max", "avg")  # of indicators these are indicators


class _Walk:
    """Follows one expression, inside out."""

    def __init__(self, known: Mapping[str, Series]) -> None:
        self._known = known

    def shape(self, node: object) -> Shape:
        """Give the shape of any node of the syntax tree."""
        match node:
            case syntax.ParenExpr() | syntax.UnaryExpr():
                return self.shape(node.expr)
            case syntax.SubqueryExpr():
                of = self.shape(node.expr)
                return of if isinstance(node.expr, syntax.VectorSelector) else replace(of, kind=Kind.DERIVED)
            case syntax.NumberLiteral() | syntax.StringLiteral():
                return Shape(scalar=True)
            case syntax.VectorSelector():
                return self._select(node)
            case syntax.MatrixSelector():
                return self._select(node.vector_selector)
            case syntax.Call():
                return self._call(node.func.name, node.args)
            case syntax.AggregateExpr():
                return self._aggregate(node)
            case syntax.BinaryExpr():
                return self._combine(node)
            case _:
                raise Fault(f"the checker does not know {type(node).__name__}")

    # --- selectors

    def _select(self, node: syntax.VectorSelector) -> Shape:
        if node.name is None or node.matchers.or_matchers:
            raise Fault("a selector names one metric, outside its braces")
        series = self._known.get(node.name)
        if series is None:
            raise Fault(_unknown("metric", node.name, self._known))
        shape = series.shape
        for matcher in node.matchers.matchers:
            if matcher.name not in shape.labels:
                raise Fault(f"{_unknown('label', matcher.name, shape.labels)}, of {node.name}")
            self._check_value(series, matcher)
        if any(m.name == "le" and m.op in (syntax.MatchOp.Equal, syntax.MatchOp.Re) for m in node.matchers.matchers):
            return replace(shape, kind=Kind.COUNTER, observed=None)  # one bucket is a counter like any other
        return shape

    @staticmethod
    def _check_value(series: Series, matcher: syntax.Matcher) -> None:
        valid = series.values.get(matcher.name)
        exact = matcher.op in (syntax.MatchOp.Equal, syntax.MatchOp.NotEqual)
        if valid is None or not (exact or re.fullmatch(r"[\w|]+", matcher.value)):
            return
        for value in [matcher.value] if exact else matcher.value.split("|"):
            if value and value not in valid:
                raise Fault(f"{_unknown('value', value, valid)}, of label {matcher.name} of {series.name}")

    # --- functions

    def _call(self, name: str, arguments: Sequence[object]) -> Shape:
        shapes = [self.shape(argument) for argument in arguments]
        if name == "time":
            return Shape(unit=Unit.parse("s"), scalar=True)
        if not shapes:
            return Shape(unit=ONE)
        if name in ("absent", "absent_over_time"):
            return Shape(_pinned(arguments[0]), ONE)
        if name in _QUANTILES:
            return self._quantile(name, shapes[-1])
        of = next((shape for shape in shapes if not shape.scalar), shapes[0])
        if name in _RATES:
            if of.kind not in (Kind.COUNTER, Kind.BUCKET):
                raise Fault(f"{name}() is for counters, and {_said(arguments[0])} is a {of.kind}")
            unit = of.unit if name == "increase" else (of.unit or ONE) * PER_SECOND
            return replace(of, unit=unit, kind=Kind.DERIVED)
        if name in _OF_GAUGES:
            if of.kind in (Kind.COUNTER, Kind.BUCKET):
                raise Fault(
                    f"{name}() is for gauges, and {_said(arguments[0])} is a {of.kind}; use rate() or increase()"
                )
            return replace(of, unit=(of.unit or ONE) * PER_SECOND if name == "deriv" else of.unit, kind=Kind.DERIVED)
        if name in _COUNTS:
            return Shape(of.labels, ONE)
        if name in ("label_replace", "label_join"):
            return self._relabel(name, of, arguments)
        if name == "scalar":
            return Shape(unit=of.unit, scalar=True)
        if name == "vector":
            return Shape(unit=of.unit)
        if name == "timestamp":
            return Shape(of.labels, Unit.parse("s"))
        return replace(of, kind=Kind.DERIVED)  # abs, clamp, round, sort, last_over_time, ...: the same thing

    @staticmethod
    def _quantile(name: str, of: Shape) -> Shape:
        if of.observed is None:
            raise Fault(f"{name}() needs a histogram's _bucket series with its label le; aggregate by (le, ...)")
        if of.kind is Kind.BUCKET:
            raise Fault(f"{name}() of the counts since the start says nothing of now; take rate() of the buckets first")
        return Shape(of.labels - {"le"}, of.observed if name == "histogram_quantile" else ONE)

    @staticmethod
    def _relabel(name: str, of: Shape, arguments: Sequence[object]) -> Shape:
        words = [argument.val for argument in arguments if isinstance(argument, syntax.StringLiteral)]
        for source in [words[2]] if name == "label_replace" else words[2:]:
            if source not in of.labels:
                raise Fault(f"{_unknown('label', source, of.labels)}, for {name}()")
        return replace(of, labels=of.labels | {words[0]}, kind=Kind.DERIVED)

    # --- aggregations

    def _aggregate(self, node: syntax.AggregateExpr) -> Shape:
        of, name = self.shape(node.expr), str(node.op)
        labels: frozenset[str] = frozenset()
        if node.modifier is not None:
            named = frozenset(node.modifier.labels)
            by = node.modifier.type == syntax.AggModifierType.By
            for label in sorted(named - of.labels - (frozenset() if by else OF_A_POD)):
                raise Fault(f"{_unknown('label', label, of.labels)}, for {name}()")
            labels = named if by else of.labels - named
        if name in ("topk", "bottomk", "limitk", "limit_ratio"):
            return replace(of, kind=Kind.DERIVED)
        if of.observed is not None and "le" not in labels:
            raise Fault(
                f"{name}() over le counts each observation once per bucket; aggregate by (le, ...), or use _count"
            )
        if name == "count":
            return Shape(labels, of.unit if of.indicator else Unit.parse("{series}"))
        if name == "count_values":
            word = node.param.val if isinstance(node.param, syntax.StringLiteral) else ""
            return Shape(labels | {word}, Unit.parse("{series}"))
        if name == "sum" and of.aggregation not in (None, Aggregation.SUM):
            raise Fault(f"sum() of {_said(node.expr)} means nothing: the catalogue says {of.aggregation}")
        if of.indicator and name in _ANY_ONE:
            return Shape(labels, of.unit, indicator=True)
        if name == "group":
            return Shape(labels, Unit.parse("{series}"), indicator=True)
        kind = of.kind if of.kind is Kind.BUCKET else Kind.DERIVED  # added up, counts since the start stay that
        return replace(of, labels=labels, kind=kind, indicator=False)

    # --- operators

    def _combine(self, node: syntax.BinaryExpr) -> Shape:
        left, right, operator = self.shape(node.lhs), self.shape(node.rhs), str(node.op)
        labels = self._match(node, left, right, operator)
        as_bool = node.modifier is not None and node.modifier.return_bool
        unit = _unit_of(operator, left, right)
        if operator in _SETS:
            both = operator == "or"
            return replace(
                left,
                labels=labels,
                unit=unit,
                kind=Kind.DERIVED,
                indicator=left.indicator and (right.indicator or not both),
            )
        if operator in _COMPARISONS:
            kept = right if left.scalar else left
            if as_bool:
                return Shape(labels, ONE, scalar=left.scalar and right.scalar)
            return replace(kept, labels=labels, unit=unit, kind=Kind.DERIVED)
        if operator == "*" and (left.indicator or right.indicator) and not (left.scalar or right.scalar):
            kept = left if right.indicator else right
            return replace(kept, labels=labels, kind=Kind.DERIVED)
        return Shape(labels, unit, observed=left.observed or right.observed, scalar=left.scalar and right.scalar)

    def _match(self, node: syntax.BinaryExpr, left: Shape, right: Shape, operator: str) -> frozenset[str]:
        """Check the labels that two vectors are matched on, and give the result's."""
        if left.scalar or right.scalar:
            return (right if left.scalar else left).labels
        modifier = node.modifier
        matching = modifier.matching if modifier else None
        if matching is None:
            if operator != "or" and left.labels != right.labels:
                apart = ", ".join(sorted(left.labels ^ right.labels))
                raise Fault(f"the two sides of {operator} differ in {apart} and may never match; say on (...)")
            return left.labels | right.labels
        named = frozenset(matching.labels)
        on = matching.type == syntax.LabelModifierType.Include
        for side in (left, right) if on else (replace(left, labels=left.labels | right.labels),):
            for label in sorted(named - side.labels - (frozenset() if on else OF_A_POD)):
                raise Fault(f"{_unknown('label', label, side.labels)}, on one side of {operator}")
        if operator in _SETS:
            return left.labels | right.labels if operator == "or" else left.labels
        assert modifier is not None
        pairs = (
            (syntax.VectorMatchCardinality.ManyToOne, left, right),
            (syntax.VectorMatchCardinality.OneToMany, right, left),
        )
        for cardinality, many, one in pairs:
            if modifier.card == cardinality:
                brought = frozenset(modifier.group_labels or ())
                for label in sorted(brought - one.labels):
                    raise Fault(f"{_unknown('label', label, one.labels)}, to be brought over by {operator}")
                return many.labels | brought
        return named if on else left.labels - named


def _unit_of(operator: str, left: Shape, right: Shape) -> Unit | None:
    """Give the unit of two sides combined; what cannot be compared or added is a fault."""
    if operator in ("and", "unless"):
        return left.unit
    if operator in ("*", "/"):
        if left.unit is None and right.unit is None:
            return None
        above, below = left.unit or ONE, right.unit or ONE
        return above * below if operator == "*" else above / below
    if operator == "^":
        return left.unit
    if left.unit is not None and right.unit is not None and left.unit != right.unit:
        raise Fault(f"the two sides of {operator} have different units: {left.unit} and {right.unit}")
    return right.unit if left.unit is None else left.unit


def _pinned(node: object) -> frozenset[str]:
    """Give the labels that absent() can tell: those that the selector pins."""
    while isinstance(node, syntax.ParenExpr | syntax.SubqueryExpr):
        node = node.expr
    if isinstance(node, syntax.MatrixSelector):
        node = node.vector_selector
    if not isinstance(node, syntax.VectorSelector):
        return frozenset()
    return frozenset(m.name for m in node.matchers.matchers if m.op == syntax.MatchOp.Equal)


def _said(node: object) -> str:
    """Quote an operand, shortened to one line."""
    text = " ".join(node.prettify().split()) if isinstance(node, syntax.Expr) else str(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
