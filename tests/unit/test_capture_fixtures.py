# SPDX-License-Identifier: Apache-2.0
"""Every committed capture can be read and replayed, and identifies nobody."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import captures
from inferometer.sources.devices.captures import files, masks

CAPTURES = Path(__file__).parents[1] / "fixtures" / "captures"
NAMES = sorted(path.name for path in CAPTURES.iterdir() if path.is_dir())

_CLASSES = ("real_", "derived_")
_MASKED = re.compile(r"00000000-0000-0000-0000-0000[0-9a-f]{8}")
# What a masked place may hold, by the kind of its rule.
_SHAPES = {
    "secret": r"",
    "pid": r"41\d{5}",
    "process": r"process-\d+|text-\d+",
    "host": r"host-\d+|text-\d+",
    "serial": r"0*\d{1,4}|0{8,}[0-9a-f]{1,4}",
    "guid": r"0*[0-9a-f]{1,4}",
    "machine": r"machine-\d+|text-\d+",
}
# What identifies a unit, a machine or a person and has a form of its own.
_TELLING = {
    "a UUID": re.compile(masks.UUID),
    "a serial number": re.compile(r'"(?!0{6})\d{10,15}"'),
    "an address": re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"),
    "a hardware address": re.compile(r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,}\b"),
    "a path": re.compile(r'"[^"]*(?:/home/|/usr/|/opt/|/root/|/mnt/|\.py\b)[^"]*"'),
    "a host name": re.compile(r"\b[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*\.(?:local|internal|lan|com|net|org|io)\b"),
}


def telling(text: str) -> list[str]:
    """Name what identifies somebody in a text."""
    return [
        f"{what}: {found[0]}"
        for what, pattern in _TELLING.items()
        for found in pattern.finditer(text)
        if not (what == "a UUID" and _MASKED.fullmatch(found[0]))
    ]


def places(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Walk a value: each number and text with its place, as the rules name it."""
    if isinstance(value, dict):
        for key, item in value.items():
            is_type = re.fullmatch(r"(c_|nvml|struct_)\w+(\[\d+\])?|tuple|time|hex|bytes|\d+", key)
            yield from places(item, where if is_type else f"{where}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from places(item, where)
    elif value:
        yield where, value


def test_there_is_one() -> None:
    """The directory is where the tests look."""
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_name_says_how_it_was_made(name: str) -> None:
    """Recorded from a real driver, or from the tests' library; and its page of sources has it."""
    assert name.startswith(_CLASSES)
    assert f"`captures/{name}`" in (CAPTURES.parent / "SOURCES.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_identifies_nobody(name: str) -> None:
    """Neither by form, whatever the place, nor by place, whatever the form."""
    directory = CAPTURES / name
    assert telling((directory / files.HEADER).read_text()) == []
    for number, line in enumerate(files.read(directory), 1):
        call = line.get("call", "")
        assert telling(json.dumps(line)) == [], f"line {number}"
        for where, value in places([line.get("answer"), line.get("filled")], call):
            if kind := masks.kind(where):
                assert re.fullmatch(_SHAPES[kind], str(value)), f"line {number}: {where}: {value}"


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_can_be_replayed(name: str) -> None:
    """Each GPU of its header is there, with values."""
    header = files.check(CAPTURES / name)
    with closing(captures.replaying(CAPTURES / name)) as source:
        report = source.read()

    gpus = [device for device in report.devices if not device.is_instance]
    assert [device.details["hw.model"] for device in gpus] == header["gpus"]
    for gpu in gpus:
        assert any(reading.subject == gpu.uuid for reading in report.readings)


@pytest.mark.parametrize(
    "text",
    [
        '"GPU-1aa1b2c3-1d2e-4f3a-8b4c-0d5e6f708192"',
        '"MIG-GPU-1aa1b2c3-1d2e-4f3a-8b4c-0d5e6f708192/7/0"',
        '"1650522000123"',
        '"/' + 'home/somebody/train.py"',  # in two parts: no file names such a place
        '"node-7.cluster.local"',
        '"10.1.2.3"',
    ],
)
def test_what_identifies_somebody_is_found(text: str) -> None:
    """The test above sees what it is there for."""
    assert telling(text)
