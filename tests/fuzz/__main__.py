# SPDX-License-Identifier: Apache-2.0
"""`make fuzz`: atheris (libFuzzer) against the reader of engines' pages. Arguments are libFuzzer's own.

It begins with pieces of the recorded pages. What it finds it writes to the working directory and ends with an error: an
exception, a page that takes seconds, memory beyond the limit, or values that prometheus_client reads otherwise.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["inferometer"]):
    from fuzz.judge import judge
    from inferometer.sources.engines.page import Parser

PAGES = Path(__file__).parents[1] / "fixtures" / "engines"
_LINES = 12  # of a piece
_REMEMBERED = Parser()  # it reads whatever comes, one after another


def fuzz(data: bytes) -> None:
    """Judge one input."""
    judge(data, _REMEMBERED)


def write_seeds(directory: Path) -> None:
    """Cut the recorded pages into pieces."""
    for page in PAGES.glob("*/*.txt"):
        lines = page.read_bytes().splitlines(keepends=True)
        for number in range(0, len(lines), _LINES):
            piece = lines[number : number + _LINES]
            (directory / f"{page.stem}-{number}").write_bytes(b"".join(piece))
            (directory / f"{page.stem}-{number}-open").write_bytes(b"".join([*piece, b"# EOF\n"]))


if __name__ == "__main__":
    with TemporaryDirectory() as seeds:
        write_seeds(Path(seeds))
        limits = ["-max_len=4096", "-timeout=5", "-rss_limit_mb=512"]
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], seeds], fuzz)
        atheris.Fuzz()
