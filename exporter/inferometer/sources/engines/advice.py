# SPDX-License-Identifier: Apache-2.0
"""What would make an engine say more, in its own options."""

from inferometer import catalog
from inferometer.sources.engines.dialects import BY_NAME

UNMEASURED = catalog.SLO_STATE.values[-1]

_ANY = "Look at its options: with its statistics off the page has only what any server says."


def how_to_show(engine: str) -> str:
    """Say what makes an engine show its statistics; `engine` is its name, or anything else."""
    known = BY_NAME.get(engine)
    if known is not None and known.statistics:
        return known.statistics
    return " ".join(filter(None, (_ANY, BY_NAME["vllm"].statistics)))


def how_to_measure(engine: str, metric: str, state: str) -> str:
    """Say what lets an engine tell who kept an objective on `metric`, the catalogue's name, now that its state is `state`."""
    if state != UNMEASURED:
        return how_to_bound(engine, metric)
    known = BY_NAME.get(engine)
    if known is not None and not any(family.metric.name == metric for family in known.families):
        return "No metric of this engine tells it: take another, or narrow the objective by model or namespace."
    return "Engines that have it may have it from the first request on, and old ones not at all."


def how_to_bound(engine: str, metric: str) -> str:
    """Say what gives an engine's histogram a bound at a threshold; `metric` is the catalogue's name."""
    known = BY_NAME.get(engine)
    options = [family.option for family in known.families if family.metric.name == metric] if known else []
    option = next(filter(None, options), "")
    if not option:
        return "Take one of its bounds: no option of the engine is known that gives it others."
    return f"Take one of its bounds, or set another: {option}."
