# SPDX-License-Identifier: Apache-2.0
"""What would make an engine say more, in its own options."""

from inferometer.sources.engines.dialects import BY_NAME

_ANY = "Look at its options: with its statistics off the page has only what any server says."


def how_to_show(engine: str) -> str:
    """Say what makes an engine show its statistics; `engine` is its name, or anything else."""
    known = BY_NAME.get(engine)
    if known is not None and known.statistics:
        return known.statistics
    return " ".join(filter(None, (_ANY, BY_NAME["vllm"].statistics)))


def how_to_bound(engine: str, metric: str) -> str:
    """Say what gives an engine's histogram a bound at a threshold; `metric` is the catalogue's name."""
    known = BY_NAME.get(engine)
    options = [family.option for family in known.families if family.metric.name == metric] if known else []
    option = next(filter(None, options), "")
    if not option:
        return "Take one of its bounds: no option of the engine is known that gives it others."
    return f"Take one of its bounds, or set another: {option}."
