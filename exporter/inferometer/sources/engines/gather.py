# SPDX-License-Identifier: Apache-2.0
"""Gathers, once per layout, the slots of every series that a dialect maps."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferometer.sources.engines.dialect import Dialect
from inferometer.sources.engines.family import Family, Role
from inferometer.sources.engines.page import Layout

Labels = tuple[tuple[str, str], ...]
Key = tuple[int, int, Labels]  # family, rank of its name, labels without `le`


@dataclass(slots=True)
class Draft:
    """The slots of one series (of one histogram, counter or gauge) while a layout is gone through."""

    value: int | None = None
    bounds: list[tuple[str, int]] = field(default_factory=list)
    count: int | None = None
    sum: int | None = None
    created: int | None = None

    def note(self, role: Role, slot: int, le: str) -> None:
        """Remember a slot."""
        match role:
            case Role.VALUE:
                self.value = slot
            case Role.BUCKET:
                self.bounds.append((le, slot))
            case Role.COUNT:
                self.count = slot
            case Role.SUM:
                self.sum = slot
            case Role.CREATED:
                self.created = slot

    @property
    def is_empty(self) -> bool:
        """Whether nothing but a `_created` was found."""
        return self.value is None and self.count is None and self.sum is None and not self.bounds


def gather(layout: Layout, dialect: Dialect, models: frozenset[str] | None = None) -> dict[Key, Draft]:
    """Gather the slots of every series of the dialect's own; `models`, where given, are the only ones that count.

    Some families have no label that says whose they are (`http_requests_total`). They are the engine's only where it
    says something of itself too.
    """
    drafts: dict[Key, Draft] = {}
    known: dict[Labels, Mapping[str, str]] = {}
    for slot, (name, labels) in enumerate(layout.series):
        for family, rank, role in dialect.places.get(name, ()):
            le, bare = "", labels
            if role is Role.BUCKET:
                le = next((value for label, value in labels if label == "le"), "")
                bare = tuple([pair for pair in labels if pair[0] != "le"])
            said = known.get(bare)
            if said is None:
                said = known[bare] = dict(bare)
            if _is_own(said, dialect, dialect.families[family], models):
                drafts.setdefault((family, rank, bare), Draft()).note(role, slot, le)
    found = {key: draft for key, draft in drafts.items() if not draft.is_empty}
    speaks = not dialect.required or any(dialect.required <= known[labels].keys() for _, _, labels in found)
    return found if speaks else {}


def _is_own(said: Mapping[str, str], dialect: Dialect, family: Family, models: frozenset[str] | None) -> bool:
    required = dialect.required if family.required is None else family.required
    if not required <= said.keys() or not dialect.foreign.isdisjoint(said):
        return False
    if models is not None and said.get(dialect.model_label, "") not in models:
        return False
    return all(said.get(label, "") in values for label, values in family.conditions)
