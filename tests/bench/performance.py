# SPDX-License-Identifier: Apache-2.0
"""docs/performance.md, made of what the bench has printed: `python -m bench.performance < rows.jsonl`."""

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# What a part measures and how, in the order of the page. A row belongs to the first part whose name it begins with.
_PARTS = {
    "encode": (
        "Encoders",
        (
            "CPU seconds to write 10,000 numbers and 2,000 histograms of 20 buckets, eight attributes each, whose numbers all\n"
            "move and whose series do not. `cold` is the first time, `x10` how many times the CPU ten times as many series take."
        ),
    ),
    "parse": ("The parser", "CPU seconds to read a recorded page of vLLM, 621 lines, and to map it into our schema."),
    "page": ("From a page to both outputs", "Parser, join, account and both encoders, for one engine's page."),
    "engines": ("Engines", "Every recorded page, and many engines on a node."),
    "identity": ("Who holds what", "The join of the dense node, and what identity costs the node and the API server."),
    "dense_node": (
        "The dense node",
        (
            "The whole agent with its sampler: 8 GPUs with 7 MIG instances each, 60 pods, 16 engines of some 600 lines, both\n"
            "outputs on, scraped every period. Memory is each process's own pages and the pages of files once. The Collector\n"
            "beside it scrapes the same 16 pages at the same time and pushes them by OTLP, and does nothing else."
        ),
    ),
    "metrics": (
        "GET /metrics",
        (
            "Of the dense node, gzip, each client a process of its own, all asking at the same moment. The slow clients are 64\n"
            "that ask for the plain page and do not take it."
        ),
    ),
    "devices": (
        "Devices",
        (
            "Agents that read nothing but GPUs, beside nvitop-exporter, which is written in Python too, on the same library (the\n"
            "tests' own `libnvidia-ml.so.1`, which answers at once) at the same time, each scraped every period."
        ),
    ),
}

_HEAD = """# What it costs

<!-- Made by `make performance`. Do not edit. -->

`make bench` measures, and prints one JSON object per measure; `make bench BENCH=encode,parse` selects. `make performance`
writes this page of it. A ratio says how many times better than the reference ours is, where something else does the same
work in the same run; goal and limit are the budgets of the design. Figures are of one machine on one day ({machine}): run
it on yours.
"""

_COLUMNS = "| measure | value | unit | reference | ratio | goal | limit |\n|---|---|---|---|---|---|---|"


def render(rows: Iterable[Mapping[str, Any]], machine: str) -> str:
    """Give the page of rows as `measure.Row` prints them. A part that is missing is said to be so."""
    grouped: dict[str, list[Mapping[str, Any]]] = {part: [] for part in _PARTS}
    for row in rows:
        grouped[next(part for part in _PARTS if row["name"].startswith(part))].append(row)
    sections = [_section(*_PARTS[part], of_part) for part, of_part in grouped.items() if of_part]
    return "\n".join([_HEAD.format(machine=machine), *sections])


def _section(title: str, about: str, rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    against = list(dict.fromkeys(row["against"] for row in rows if row.get("against")))
    notes = {name: i for i, name in enumerate(against, 1)}
    lines = [f"## {title}", "", about, "", _COLUMNS, *(_line(row, notes) for row in rows), ""]
    lines += [f"{i}. {name}" for name, i in notes.items()]
    return "\n".join([*lines, ""] if notes else lines)


def _line(row: Mapping[str, Any], notes: Mapping[str, int]) -> str:
    if "missing" in row:
        return f"| `{row['name']}` | missing: {row['missing']} | | | | | |"
    reference = f"{row['reference']:.4g} ({notes[row['against']]})" if "reference" in row else ""
    ratio = _number(row.get("ratio")) + (f" (at least {_number(row['least_ratio'])})" if "least_ratio" in row else "")
    cells = (f"`{row['name']}`", _number(row["value"]), row["unit"], reference, ratio, _number(row.get("goal")))
    return f"| {' | '.join((*cells, _number(row.get('limit'))))} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def machine() -> str:
    """Give the machine by its cores and kind only."""
    models = (line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    python = ".".join(platform.python_version_tuple()[:2])
    whose = "the distribution's" if sys.base_prefix == "/usr" else "a"
    return f"{os.cpu_count()} cores of an {next(models, platform.machine()).strip()}, {whose} Python {python}"


if __name__ == "__main__":
    sys.stdout.write(render(map(json.loads, sys.stdin), machine()))
