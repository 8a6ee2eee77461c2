# SPDX-License-Identifier: Apache-2.0
"""From one agent to the next: what is left, what is taken up, and what is said where that cannot be."""

import threading
from pathlib import Path

import pytest

from inferometer.accounting import State
from inferometer.accounting.held import Held
from inferometer.app import counters_file
from inferometer.app.succession import bequeath, inherit
from inferometer.catalog import HW_ID, OWNER_TIME

SERIES = tuple("GPU-0" if key == HW_ID.key else None for key in OWNER_TIME.keys)
STATE = State(holdings={SERIES: Held(("GPU-0", None), 5.0, 1_795_000_000.0, 1_795_000_005.0)})


def test_the_next_agent_takes_up_what_the_one_before_has_left(tmp_path: Path) -> None:
    """Once: an agent that crashes leaves nothing, and its successor must not go on from an older value."""
    path = str(tmp_path / "counters")
    bequeath(path, "n1", STATE, 10.0)
    state = inherit(path, "n1")

    assert state is not None
    assert state.holdings[SERIES].total == 5.0
    assert state.holdings[SERIES].start == 1_795_000_000.0
    assert inherit(path, "n1") is None


def test_without_a_path_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default: no file, and no word of it."""
    monkeypatch.chdir(tmp_path)
    bequeath("", "n1", STATE, 10.0)

    assert inherit("", "n1") is None
    assert not list(tmp_path.iterdir())


def test_an_agent_that_has_counted_nothing_leaves_nothing(tmp_path: Path) -> None:
    """One that ends before its first snapshot."""
    bequeath(str(tmp_path / "counters"), "n1", None, 10.0)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_a_file_that_cannot_be_used_is_named_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, node: str
) -> None:
    """It stays until the end, for whoever wants to look at it."""
    path = tmp_path / "counters"
    bequeath(str(path), "n2", STATE, 10.0)
    if node == "n2":
        path.write_bytes(path.read_bytes()[:-1])

    assert inherit(str(path), node) is None
    (line,) = caplog.messages
    assert line.startswith(f"the counters begin at 0: {path} cannot be used: ")
    assert line.endswith("It is replaced when the agent ends.")
    bequeath(str(path), node, STATE, 10.0)
    assert inherit(str(path), node) is not None


def test_a_directory_that_may_not_be_written_to_is_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at the end, when nobody looks."""
    path = tmp_path / "missing" / "counters"

    assert inherit(str(path), "n1") is None
    (line,) = caplog.messages
    assert str(path.parent) in line
    assert "accounting.state names a file in a directory that the agent may write to" in line


def test_what_cannot_be_removed_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be taken up again after a crash, when more has been told."""
    path = str(tmp_path / "counters")
    bequeath(path, "n1", STATE, 10.0)

    def refuse(_: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(counters_file, "remove", refuse)  # as of an immutable file, which root alone can make

    assert inherit(path, "n1") is None
    assert "Operation not permitted" in caplog.text


def test_a_full_disk_costs_the_counters_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """One line with the remedy."""
    bequeath("/dev/full/counters", "n1", STATE, 10.0)

    (line,) = caplog.messages
    assert line.startswith("the counters are not kept: /dev/full/counters: ")


def test_a_disk_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent ends without it."""
    hangs = threading.Event()
    monkeypatch.setattr(counters_file, "write", lambda *_: hangs.wait(60.0))
    try:
        bequeath(str(tmp_path / "counters"), "n1", STATE, 0.05)
    finally:
        hangs.set()

    assert "is not written within 0.05 s" in caplog.text
