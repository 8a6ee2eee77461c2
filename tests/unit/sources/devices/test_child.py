# SPDX-License-Identifier: Apache-2.0
"""The agent's end of the pipe: frames that are too large, garbage or cut off, and a child that talks too much."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakenvml.driver import wait_until
from inferometer.model import Reason, Trouble
from inferometer.sources.devices.child import Child, Departures

Play = Callable[[str], Child]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Start a shell script in the place of the sampler."""
    played: list[Child] = []

    def play_one(script: str) -> Child:
        program = tmp_path / f"sampler{len(played)}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))
        child = Child(nvml="", argument="", library="", patience=1.0)
        played.append(child)
        return child

    yield play_one
    for child in played:
        child.kill()
        wait_until(lambda child=child: child.exit_status() is not None)  # type: ignore[misc]  # bound now
        child.release()


def soon() -> float:
    """Give the time until which a frame is waited for."""
    return time.monotonic() + 20


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (r"\377\377\377\377", Reason.TOO_LARGE),
        (r"\000\000\000\003{]}", Reason.MALFORMED),
        (r"\000\000\000\003\377\376\375", Reason.MALFORMED),
        (r"\000\000\000\002[]", Reason.MALFORMED),
        (r'\000\000\000\013{"gpu":NaN}', Reason.MALFORMED),
        (r"\000\001\000\000" + 0x10000 * "[", Reason.MALFORMED),
    ],
)
def test_what_is_no_frame_is_a_trouble(play: Play, sent: str, reason: Reason) -> None:
    """A length beyond the limit, what is not JSON, what is no object and what is nested without end are refused."""
    child = play(f"printf '{sent}'; exec cat")

    with pytest.raises(Trouble) as caught:
        list(child.frames(soon()))

    assert caught.value.reason is reason


def test_frames_may_come_in_pieces(play: Play) -> None:
    """Frames are put together whatever the pipe does to them."""
    child = play(
        r"""printf '\000\000'; sleep 0.1; printf '\000\007{"a"'; sleep 0.1; printf ':1}\000\000\000\002{}'; exec cat"""
    )
    frames = child.frames(soon())

    assert [next(frames), next(frames)] == [{"a": 1}, {}]


@pytest.mark.parametrize(("told", "arenas"), [(None, 1), ("3", 3)])
def test_its_threads_share_one_arena(
    play: Play, monkeypatch: pytest.MonkeyPatch, told: str | None, arenas: int
) -> None:
    """Unless somebody wants it otherwise."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    if told is not None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", told)
    child = play(r"""printf '\000\000\000\007{"a":%s}' "$MALLOC_ARENA_MAX"; exec cat""")

    assert next(child.frames(soon())) == {"a": arenas}


def test_a_frame_that_is_cut_off_is_an_end(play: Play) -> None:
    """A child that ends in the middle of a frame has ended."""
    with pytest.raises(EOFError):
        list(play(r"printf '\000\000\000\007{'").frames(soon()))


def test_no_frame_by_the_deadline_is_none(play: Play) -> None:
    """Frames end at the deadline when nothing comes."""
    assert list(play("exec cat").frames(time.monotonic() + 0.05)) == []


def test_standard_error_is_logged_at_debug_and_never_blocks(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """A child that writes without end to standard error goes on, and costs a bounded number of lines."""
    caplog.set_level("DEBUG")
    child = play(r"""yes 'a complaint of the driver' | head -c 1000000 >&2; printf '\000\000\000\002{}'; exec cat""")

    assert next(child.frames(soon())) == {}

    lines = [r for r in caplog.records if "a complaint" in r.getMessage()]
    assert 0 < len(lines) <= 20
    assert {r.levelname for r in lines} == {"DEBUG"}


def test_departures_end_kindly_and_then_kill(play: Play) -> None:
    """A child that does not end when told is killed when its grace is over, and both are reaped."""
    kind, stubborn = play("exec cat >/dev/null"), play("trap '' HUP TERM; while :; do sleep 0.05; done")
    departures = Departures()
    departures.end(kind, grace=20)
    departures.end(stubborn, grace=0.1)

    def gone() -> bool:
        departures.sweep()
        return len(departures) == 0

    wait_until(gone)
    assert kind.exit_status() == 0
    assert stubborn.exit_status() == -9
