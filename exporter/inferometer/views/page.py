# SPDX-License-Identifier: Apache-2.0
"""The status page: one HTML document for a person, without scripts or anything from elsewhere."""

from collections.abc import Iterable, Iterator
from html import escape

from inferometer import __version__
from inferometer.model import Resource, Snapshot, SourceHealth
from inferometer.views.samples import samples
from inferometer.views.style import STYLE
from inferometer.views.table import Row, Table, tabulate
from inferometer.views.text import number, share

_REFRESH = 5  # seconds

_COLUMNS = (
    ("GPU", ""),
    ("Owner", ""),
    ("Claim", ""),
    ("Model", ""),
    ("Busy", "n"),
    ("SM", "n"),
    ("Tokens/s", "n"),
    ("W", "n"),
    ("Tokens/J", "n"),
)


def render(before: Snapshot | None, after: Snapshot) -> bytes:
    """Render the page of the newest snapshot; the rates are those since `before`. Everything shown is escaped."""
    table = tabulate(samples(before) if before else None, samples(after))
    return "\n".join(_document(table, after)).encode("utf-8", "replace")


def _document(table: Table, snapshot: Snapshot) -> Iterator[str]:
    node = _node(snapshot.node)
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="refresh" content="{_REFRESH}">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{escape(node)} · Inferometer</title><style>{STYLE}</style></head><body>"
    if snapshot.simulated:
        yield '<p class="simulated" role="note">Simulated node: nothing on this page was measured.</p>'
    yield f'<header><h1>{escape(node)}</h1><p class="by">Inferometer {escape(__version__)}</p></header>'
    yield from _sums(table)
    yield from (f'<p class="ill" role="note">{escape(line)}</p>' for line in table.ill)
    yield "<main><section><h2>Who holds what, and what it yields</h2>"
    yield from _rows(table.rows)
    yield "</section><section><h2>Sources</h2>"
    yield from _sources(snapshot.sources)
    yield '</section></main><footer><a href="/metrics">/metrics</a> <a href="/healthz">/healthz</a>'
    yield '<a href="/readyz">/readyz</a></footer></body></html>'


def _node(resource: Resource) -> str:
    known = dict(resource.attributes)
    return known.get("k8s.node.name") or known.get("host.name") or "this node"


def _sums(table: Table) -> Iterator[str]:
    shown = (
        ("GPUs", str(table.gpus)),
        ("MIG instances", str(table.instances)),
        ("Holdings", str(table.holdings)),
        ("Engines", str(table.engines)),
        ("Tokens/s", number(table.tokens, 1)),
        ("Watts", number(table.watts, 0)),
    )
    yield '<dl class="sums">'
    yield from (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in shown)
    yield "</dl>"


def _rows(rows: Iterable[Row]) -> Iterator[str]:
    listed = list(rows)
    if not listed:
        yield "<p>Neither a GPU nor an engine is in sight; <code>inferometer check</code> says why.</p>"
        return
    yield "<table><thead><tr>"
    yield from (f'<th scope="col" class="{kind}">{title}</th>' for title, kind in _COLUMNS)
    yield "</tr></thead><tbody>"
    for row in listed:
        values = (
            *(row.devices, row.owner, row.claim, row.model, share(row.busy), share(row.sm)),
            *(number(row.tokens, 1), number(row.watts, 0), number(row.tokens_per_joule, 2)),
        )
        yield '<tr class="nobody">' if not row.owned else "<tr>"
        yield from (_cell(title, value, kind) for (title, kind), value in zip(_COLUMNS, values, strict=True))
        yield "</tr>"
    yield "</tbody></table>"


def _sources(sources: Iterable[SourceHealth]) -> Iterator[str]:
    yield '<table><thead><tr><th scope="col">Source</th><th scope="col">State</th><th scope="col" class="n">Age</th>'
    yield '<th scope="col">What is wrong, and what to do</th></tr></thead><tbody>'
    for source in sources:
        name = " ".join(filter(None, (source.source, source.instance)))
        # A state is a word as well as a colour: not every reader sees the colour.
        state = ("up", "up") if source.up else ("down", source.reason or "down")
        age = "never" if source.age is None else f"{source.age:.1f} s"
        trouble = " ".join(filter(None, (source.message, source.remedy)))
        yield f'<tr>{_cell("Source", name)}<td data-label="State"><span class="{state[0]}">{escape(state[1])}</span></td>'
        yield f"{_cell('Age', age, 'n')}{_cell('Trouble', trouble)}</tr>"
    yield "</tbody></table>"


def _cell(title: str, value: str, kind: str = "") -> str:
    """Write one cell; its title stands beside it where the screen is narrow, and an empty one is not shown there."""
    names = " ".join(filter(None, (kind, "" if value and value != "-" else "absent")))
    classes = f' class="{names}"' if names else ""
    return f'<td data-label="{title}"{classes}>{escape(value) or "-"}</td>'
