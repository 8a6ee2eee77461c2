# SPDX-License-Identifier: Apache-2.0
"""A capture on the disk: what NVML was asked and what it answered, as a header and one line of JSON for each call.

`capture.json` says what was recorded: format, tool, date, GPUs, driver, rounds, period, what was hidden, what calls cost.
`nvml.jsonl` (or `nvml.jsonl.gz`) has lines of two sorts, in the order of time:

- `{"round": 3, "t": 3.012}`: a new sample began, so many seconds after the recording;
- `{"call": "nvmlDeviceGetPowerUsage", "ask": ["@gpu0"], "answer": 345600, "us": 4}`: an answer, or `error` (a return code),
  `raises` (the binding stumbled) or `hangs` (no answer for so many seconds); `filled` has the arguments that were written
  into, by position; `us` is how many microseconds it took. An answer like the one before it is not written again.
  Values are written as in `shapes`.
"""

import contextlib
import gzip
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from inferometer.sources.devices.captures.masks import Numbering

FORMAT = 1
HEADER = "capture.json"
LINES = "nvml.jsonl"
PART = "nvml.part"  # while it is recorded: with tokens for what is hidden
MOST = 256 << 20  # bytes, unpacked, that are read of a capture
_MAX_LINE = 1 << 20
_PACKED_FROM = 1 << 20  # bytes
_OUTCOMES = frozenset({"answer", "error", "raises", "hangs"})


class CaptureError(Exception):
    """A directory is no capture, or a damaged one. The text names the file, and the line where there is one."""


class Written(NamedTuple):
    """What a finished recording consists of."""

    path: Path
    rounds: int
    lines: int
    bytes: int
    full: bool  # the limit ended it early
    masked: Mapping[str, int]  # how many different things were hidden, by kind


def prepare(directory: Path) -> None:
    """Make the directory of a new capture. Raises CaptureError where there is something in it, and OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    if next(directory.iterdir(), None) is not None:
        raise CaptureError(f"{directory} is not empty")
    (directory / PART).touch()


def header(directory: Path) -> dict[str, Any]:
    """Read what was recorded. Raises CaptureError."""
    path = directory / HEADER
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read(_MAX_LINE))
    except (OSError, ValueError) as error:
        raise CaptureError(f"{directory} is no capture: {path}: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        version = found.get("format") if isinstance(found, dict) else None
        raise CaptureError(f"{path}: format {version} is not known; this version reads format {FORMAT}")
    if not isinstance(period := found.get("period"), int | float) or period <= 0:
        raise CaptureError(f"{path}: the period must be a number of seconds")
    return found


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """Give the lines. Raises CaptureError for a file that is cut off, too large, or has a line that is none."""
    path = directory / LINES
    packed = path.with_name(f"{LINES}.gz")
    path = packed if packed.exists() else path
    size, number = 0, 0
    try:
        with _open(path) as file:
            while line := file.readline(_MAX_LINE):
                number, size = number + 1, size + len(line)
                if size > MOST:
                    raise CaptureError(f"{path}: longer than {MOST} bytes")
                if not line.endswith(b"\n"):
                    raise CaptureError(f"{path}, line {number}: cut off")
                yield _parse(line, f"{path}, line {number}")
    except (OSError, EOFError) as error:
        raise CaptureError(f"{path}, after line {number}: {error}") from error
    if not number:
        raise CaptureError(f"{path}: empty")


def check(directory: Path) -> dict[str, Any]:
    """Read all of a capture; give its header. Raises CaptureError."""
    found = header(directory)
    if not sum("round" in line for line in read(directory)):  # every line is looked at
        raise CaptureError(f"{directory / LINES}: there is no round in it")
    return found


def _open(path: Path) -> "gzip.GzipFile | IO[bytes]":
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _parse(line: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"{place}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise CaptureError(f"{place}: no object")
    if "round" in found:
        if not isinstance(found["round"], int) or not isinstance(found.get("t"), int | float):
            raise CaptureError(f"{place}: a round needs a number and a time")
    elif not isinstance(found.get("call"), str) or not isinstance(found.get("ask"), list):
        raise CaptureError(f"{place}: neither a round nor a call")
    elif len(_OUTCOMES & found.keys()) != 1:
        raise CaptureError(f"{place}: a call has one of {', '.join(sorted(_OUTCOMES))}")
    return found


def finish(directory: Path, facts: Mapping[str, Any]) -> Written:
    """Number what is hidden, and write the lines and the header. Raises CaptureError where nothing was recorded, and OSError.

    `facts` are put into the header. A large file is packed.
    """
    numbering, costs = Numbering(), _Costs()
    rounds, lines, full = 0, 0, False
    part, path = directory / PART, directory / LINES
    with part.open(encoding="utf-8") as file, path.open("w", encoding="utf-8") as result:
        for text in file:
            found = None
            with contextlib.suppress(ValueError):  # a process was killed while it wrote
                found = json.loads(text)
            if not isinstance(found, dict):
                continue
            if "costs" in found:
                costs.add(found["costs"])
            elif "full" in found:
                full = True
            elif "round" in found:
                result.write(json.dumps({**found, "round": rounds}) + "\n")
                rounds, lines = rounds + 1, lines + 1
            else:
                result.write(numbering.apply(text))
                lines += 1
    part.unlink()
    if not rounds:
        path.unlink()
        raise CaptureError(f"{directory}: nothing was recorded")
    found = {
        "format": FORMAT,
        **facts,
        "rounds": rounds,
        **({"full": True} if full else {}),
        "masked": numbering.counts,
        "calls": costs.told(),
    }
    (directory / HEADER).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if path.stat().st_size > _PACKED_FROM:
        path = _pack(path)
    return Written(path, rounds, lines, path.stat().st_size, full, numbering.counts)


def discard(directory: Path) -> None:
    """Remove what was recorded so far."""
    (directory / PART).unlink(missing_ok=True)


def _pack(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    with path.open("rb") as plain, packed.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        shutil.copyfileobj(plain, file)
    path.unlink()
    return packed


class _Costs:
    """What calls cost, of all processes of a recording: `[count, microseconds in all, longest]` by call."""

    def __init__(self) -> None:
        self._calls: dict[str, list[int]] = {}

    def add(self, costs: Mapping[str, list[int]]) -> None:
        for call, (count, total, longest) in costs.items():
            known = self._calls.setdefault(call, [0, 0, 0])
            known[:] = [known[0] + count, known[1] + total, max(known[2], longest)]

    def told(self) -> dict[str, dict[str, int]]:
        return {
            call: {"count": count, "mean_us": round(total / count), "max_us": longest}
            for call, (count, total, longest) in sorted(self._calls.items())
        }
