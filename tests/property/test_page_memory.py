# SPDX-License-Identifier: Apache-2.0
"""Recorded pages that change in every way that pages do, read with memory and without: the same, whatever went before."""

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.config import Passthrough
from inferometer.model import Reason, Target, Trouble
from inferometer.sources.engines.reader import Reader

_PAGES = sorted((Path(__file__).parents[1] / "fixtures" / "engines").glob("*/*.txt"))
_TARGET = Target("ns/pod:8000", "http://10.0.0.1:8000/metrics")
_WORDS = Passthrough(allow=("*",), max_series=100_000)
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_USUAL = (b"0", b"1", b"2.5", b"NaN", b"+Inf", b"1e9")
_ODD = (b"1_0", b"5 1700000000", b"5 1700000001", b'7 # {trace_id="a"} 1 2', b'7 # {trace_id="b"} 1', b"3 # bad", b"x")
_ODDER = (b"", b"1 ", b" 1", b"\xc2\xa01", b"\xff", b"1\r", b"-1", b'1 # {a="}"} 2', b"1 # ")


def _say(random_: random.Random, line: bytes) -> bytes:
    """Let a sample say something else; comments stay."""
    if not line or line.startswith(b"#"):
        return line
    values = _USUAL if random_.random() < 0.8 else _ODD + _ODDER
    return line.partition(b" # ")[0].rpartition(b" ")[0] + b" " + random_.choice(values)


def _swap(random_: random.Random, whole: bytes, separator: bytes) -> bytes:
    parts = whole.split(separator)
    if len(parts) > 2:
        i, j = random_.randrange(1, len(parts)), random_.randrange(1, len(parts))
        parts[i], parts[j] = parts[j], parts[i]
    return separator.join(parts)


def _rebuild(random_: random.Random, lines: list[bytes], i: int) -> bytes:
    """Change what a page is made of: its lines, families, types, labels, names, line ends."""
    line, whole = lines[i], b"\n".join(lines)
    changed = {
        "twice": [*lines[:i], random_.choice(lines), *lines[i:]],
        "gone": [*lines[:i], *lines[i + 1 :]],
        "type": [*lines[:i], line.replace(b"counter", b"gauge"), *lines[i + 1 :]],
        "label": [*lines[:i], line.replace(b'="', b'="z', 1), *lines[i + 1 :]],
        "suffix": [*lines[:i], line.replace(b"_total", b""), *lines[i + 1 :]],
        "case": [*lines[:i], line.upper(), *lines[i + 1 :]],
        "spaces": [*lines[:i], line.replace(b"{", b" {", 1), *lines[i + 1 :]],
        "blank": [*lines[:i], b"", *lines[i:]],
        "cut": lines[:i],
        "end": [*lines, b"# EOF", b""],
    }
    match random_.randrange(14):
        case 0:
            return _swap(random_, whole, b"\n")
        case 1:
            return _swap(random_, whole, b"\n# HELP ")
        case 2:
            return whole.replace(b"\n", b"\r\n")
        case 3:
            return whole.removesuffix(b"\n")
        case _:
            return b"\n".join(random_.choice(list(changed.values())))


def _next(random_: random.Random, body: bytes) -> bytes:
    """Give a page that may follow this one."""
    lines = body.split(b"\n")
    for _ in range(random_.choice((0, 1, 1, 3, 30))):
        i = random_.randrange(len(lines))
        lines[i] = _say(random_, lines[i])
    return _rebuild(random_, lines, random_.randrange(len(lines))) if random_.random() < 0.3 else b"\n".join(lines)


def _report(reader: Reader, body: bytes, content_type: str) -> str | None:
    """Give what a reader tells of a page; nothing where it refuses it: of several reasons either may be found first."""
    try:
        return repr(reader.read(body, content_type)).replace("-0.0", "0.0")
    except Trouble as trouble:
        assert trouble.reason in (Reason.MALFORMED, Reason.TOO_LARGE), trouble.message
        return None


@settings(max_examples=30)  # each reads twenty recorded pages
@given(st.integers(0, 2**32), st.sampled_from(_PAGES))
def test_replicas_that_remember_tell_what_a_new_reader_tells(seed: int, path: Path) -> None:
    """Two of one server share how their pages are read, and each tells what stands on its own page, and nothing else."""
    random_ = random.Random(seed)
    recorded = path.read_bytes()
    readers = [Reader(_TARGET, passthrough=_WORDS) for _ in range(2)]
    bodies = [recorded, recorded]
    for _ in range(5):
        for i, reader in enumerate(readers):
            before = random_.choice((bodies[i], bodies[i], bodies[i], bodies[1 - i], recorded))
            body, content_type = _next(random_, before), random_.choice(("", "", "", "", _OPENMETRICS))
            expected = _report(Reader(_TARGET, passthrough=_WORDS), body, content_type)
            assert _report(reader, body, content_type) == expected
            if expected is not None and body.strip():
                bodies[i] = body
