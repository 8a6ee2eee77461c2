# SPDX-License-Identifier: Apache-2.0
"""The agent itself on the points: its version, its sources, and how complete its map of who holds what is."""

from collections.abc import Sequence
from functools import partial
from itertools import starmap

from inferometer import __version__, catalog
from inferometer.join.draft import Draft
from inferometer.join.owned import SOURCES
from inferometer.join.sheet import Sheet
from inferometer.model import Frames, SourceHealth


def put_agent(draft: Draft, health: Sequence[SourceHealth]) -> None:
    """Put the agent's version, and which of its sources work, how long that takes and how long ago it was."""
    draft.say("agent", _put_version, __version__)
    aged = [source for source in health if source.age is not None]
    for metric, sources, values in (
        (catalog.SOURCE_UP, health, [float(source.up) for source in health]),
        (catalog.SOURCE_DURATION, health, [source.took for source in health]),
        (catalog.SOURCE_AGE, aged, [source.age for source in aged if source.age is not None]),
    ):
        keys = [(source.source, source.instance) for source in sources]
        names = draft.names("sources", metric, keys, partial(starmap, _named, keys))
        draft.say_column("sources", metric, names, values)


def _named(source: str, instance: str) -> dict[str, str | None]:
    return {catalog.SOURCE.key: source, catalog.SOURCE_INSTANCE.key: instance}


def _put_version(sheet: Sheet, version: str) -> None:
    sheet.put(catalog.AGENT_INFO, {catalog.VERSION.key: version}, 1.0)


def put_identity(draft: Draft, frames: Frames, level: str) -> None:
    """Put how old and how complete the map of who holds what is: it is made of what each of its sources said last."""
    ages = {source: age for source in SOURCES if (age := frames.ages.get((source, ""))) is not None}
    names = draft.names(
        "identity", catalog.IDENTITY_AGE, tuple(ages), lambda: [{catalog.SOURCE.key: source} for source in ages]
    )
    values = [age + frames.behind.get((source, ""), 0.0) for source, age in ages.items()]
    draft.say_column("identity", catalog.IDENTITY_AGE, names, values)
    draft.say("level", _put_level, level)


def _put_level(sheet: Sheet, level: str) -> None:
    for possible in catalog.LEVEL.values:
        sheet.put(catalog.IDENTITY_LEVEL, {catalog.LEVEL.key: possible}, float(possible == level))
