# SPDX-License-Identifier: Apache-2.0
"""Health over arbitrary readings: more that is wrong never makes a GPU better, and nothing wrong is ok."""

from hypothesis import given
from hypothesis import strategies as st

from inferometer import catalog
from inferometer.join.health import worst
from inferometer.join.rules import OK, RULES, STATES, Facts, Rule

# One reading each that is wrong by itself, and with it what has to be there to compare with.
WRONG = (
    *((catalog.GPU_RECOVERY_ACTION, ("gpu.recovery.action", v), 1.0) for v in catalog.RECOVERY_ACTION.values[1:]),
    *((catalog.GPU_THROTTLE_ACTIVE, ("gpu.throttle.reason", v), 1.0) for v in catalog.THROTTLE_REASON.values),
    *((catalog.GPU_FABRIC_CONDITION, ("gpu.fabric.condition", v), 1.0) for v in catalog.FABRIC_CONDITION.values),
    (catalog.GPU_ROW_REMAP_FAILURE, ("", ""), 1.0),
    (catalog.GPU_ROW_REMAP_PENDING, ("", ""), 1.0),
    (catalog.GPU_RETIRED_PENDING, ("", ""), 1.0),
    (catalog.GPU_SRAM_THRESHOLD, ("", ""), 1.0),
    (catalog.HW_ERRORS, ("error.type", "uncorrected"), 3.0),
    (catalog.GPU_RETIRED_PAGES, ("gpu.retirement.cause", "double_bit"), 64.0),
    (catalog.GPU_ROW_REMAP_BANKS, ("gpu.row_remap.availability", "none"), 2.0),
)


def facts(wrong: frozenset[int], *, silent: bool = False, severities: frozenset[str] = frozenset()) -> Facts:
    numbers: dict[object, list[object]] = {}
    for metric, pair, value in (WRONG[i] for i in wrong):
        numbers.setdefault(metric, []).append(((pair,) if pair[0] else (), value))
    return Facts(silent, numbers, severities)  # type: ignore[arg-type]  # built loosely


def holding(seen: Facts) -> list[Rule]:
    return [rule for rule in RULES if rule.when.holds(seen)]


some = st.frozensets(st.sampled_from(range(len(WRONG))))


@given(some, some, st.booleans())
def test_more_that_is_wrong_is_never_better(one: frozenset[int], more: frozenset[int], silent: bool) -> None:
    """A state is monotone in what is wrong."""
    few, many = worst(holding(facts(one))), worst(holding(facts(one | more, silent=silent)))

    assert STATES.index(many) >= STATES.index(few)


@given(some)
def test_a_state_other_than_ok_has_a_cause(wrong: frozenset[int]) -> None:
    """No cause, no state but ok; and the state is that of one of the causes."""
    rules = holding(facts(wrong))

    assert worst(rules) == OK if not rules else worst(rules) in {rule.state for rule in rules}


@given(some, st.frozensets(st.sampled_from(catalog.XID_SEVERITY.values)))
def test_the_drivers_verdict_outranks_the_table_of_xids(wrong: frozenset[int], severities: frozenset[str]) -> None:
    """An XID is a cause only where the driver does not tell what has to be done."""
    seen = facts(wrong, severities=severities)

    assert any(rule.cause == "xid" for rule in holding(seen)) == (
        catalog.GPU_RECOVERY_ACTION not in seen.numbers and bool(severities & {"reset", "fatal"})
    )
