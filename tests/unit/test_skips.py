# SPDX-License-Identifier: Apache-2.0
"""A part that is missing is a named, counted skip for a user, and a failure where CI=true."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """\
import pytest

def test_here():
    pass

def test_elsewhere():
    pytest.skip("the engine is missing")

@pytest.mark.xfail(reason="known")
def test_known():
    raise AssertionError
"""
WHOLE_FILE = """\
import pytest

pytest.skip("the library is missing", allow_module_level=True)
"""


@pytest.fixture
def outcome(tmp_path: Path) -> "dict[str, subprocess.CompletedProcess[str]]":
    """What pytest says of a file with a skip, an expected failure, and of a file that skips itself, by the value of CI."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text(TEST, encoding="utf-8")
    (tmp_path / "test_none.py").write_text(WHOLE_FILE, encoding="utf-8")
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-ra",
        "--no-fold-skipped",
        "--continue-on-collection-errors",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        str(tmp_path),
    )
    return {
        value: subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"CI": value},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        for value in ("", "true")
    }


def test_a_missing_part_is_skipped_by_name_or_fails_where_all_must_be_there(
    outcome: "dict[str, subprocess.CompletedProcess[str]]",
) -> None:
    """Both ways of skipping are named and counted for a user and fail for CI; an expected failure is neither."""
    user, pipeline = outcome[""], outcome["true"]
    assert user.returncode == 0, user.stdout
    assert "test_some.py::test_elsewhere - Skipped: the engine is missing" in user.stdout
    assert "1 passed, 2 skipped, 1 xfailed" in user.stdout
    assert pipeline.returncode != 0
    assert "a part is missing where CI=true: Skipped: the engine is missing" in pipeline.stdout
    assert "a part is missing where CI=true: Skipped: the library is missing" in pipeline.stdout
    assert "skipped" not in pipeline.stdout.splitlines()[-1]


LARGE = """\
def test_large():
    pages = [{frozenset(map(str, range(n, n + 9))): n + odd for n in range(2000)} for odd in (0, 1)]
    assert pages[0] == pages[1]
"""


def test_what_large_collections_differ_in_is_said_and_nothing_else(tmp_path: Path) -> None:
    """Where CI=true pytest would compare them line by line, for minutes."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_large.py").write_text(LARGE, encoding="utf-8")
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path))
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"CI": "true"}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "2000 == 2000 elements, with these differences" in done.stdout
    assert "and 1990 more" in done.stdout
    assert "Full diff" not in done.stdout
