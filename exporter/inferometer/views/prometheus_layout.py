# SPDX-License-Identifier: Apache-2.0
"""Everything of a Prometheus page but its numbers: its families' forms in a row, metadata between them, and where it is cut."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from inferometer.model import Resource
from inferometer.views import prometheus_text
from inferometer.views.prometheus_forms import Form

_LEAST = 8 * 1024  # characters of a part, without its numbers,
_PARTS = 64  # and how many parts a longer page has


@dataclass(frozen=True, slots=True)
class Layout:
    """The forms of a page's families, where its parts begin, by family and in the page, and by form the finished texts."""

    node: Resource
    forms: tuple[Form, ...]
    cuts: list[tuple[int, int]]
    pages: dict[bool, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, node: Resource, forms: tuple[Form, ...]) -> "Layout":
        """Lay out a page."""
        return cls(node, forms, _cuts(forms))

    def fits(self, node: Resource, forms: tuple[Form, ...]) -> bool:
        """Tell whether this is the layout of a node's page whose families have these forms."""
        return forms == self.forms and node == self.node

    def page(self, *, openmetrics: bool) -> list[str]:
        """Give the page: before each number its text and its edge, and room for it."""
        if openmetrics not in self.pages:
            texts = [*chain.from_iterable(form.texts for form in self.forms)]
            texts.append(prometheus_text.target_info(self.node) + ("\n# EOF\n" if openmetrics else "\n"))
            begin, family = 0, ""
            for form in self.forms:
                if form.metric.prometheus != family:  # several metrics may be one family, that of an engine
                    family = form.metric.prometheus
                    texts[begin] = prometheus_text.header(form.metric, openmetrics=openmetrics) + texts[begin]
                begin += len(form.texts)
            begin = 0
            for form in self.forms if openmetrics else ():
                for i, text in form.created():
                    texts[begin + i] = text + texts[begin + i]  # it ends its own family, before what begins the next
                begin += len(form.texts)
            texts[0] = texts[0].removeprefix("\n")
            page = [""] * (3 * len(texts) - 2)
            page[::3] = texts
            page[1::3] = chain.from_iterable(form.edges for form in self.forms)
            self.pages[openmetrics] = page
        return self.pages[openmetrics]


def _cuts(forms: Sequence[Form]) -> list[tuple[int, int]]:
    """Give where a part begins, by family and in the page: with a family, when the part before is long enough."""
    lengths = [sum(map(len, form.texts)) for form in forms]
    least = max(_LEAST, sum(lengths) // _PARTS)
    cuts = [(0, 0)]
    room = at = 0
    for i, form in enumerate(forms):
        if room >= least:
            cuts.append((i, at))
            room = 0
        room += lengths[i]
        at += 3 * len(form.texts)
    return cuts
