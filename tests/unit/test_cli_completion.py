# SPDX-License-Identifier: Apache-2.0
"""Shell completion: generated from the parser's tree, and tried in the shells that are here."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import run
from inferometer.cli.completion import bash, fish, tree, zsh
from inferometer.cli.parser import build_parser

COMMANDS = tuple(tree(build_parser()))
SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


def complete(*words: str) -> list[str]:
    """Let bash complete the last word."""
    script = f"""{bash(COMMANDS)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _inferometer; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("inferometer sn", ["snapshot"]),
        ("inferometer c", ["check", "config", "completion"]),
        ("inferometer --log-format j", ["json"]),
        ("inferometer --log-level debug co", ["config", "completion"]),
        ("inferometer snapshot --fo", ["--format"]),
        ("inferometer snapshot --format o", ["otlp-json"]),
        ("inferometer check en", ["engine"]),
        ("inferometer check engine --js", ["--json"]),
        ("inferometer completion z", ["zsh"]),
        ("inferometer run --nothing", []),
    ],
)
def test_bash_completes(line: str, offered: list[str]) -> None:
    """Commands, options and closed values, at every level."""
    assert complete(*line.split(" ")) == offered


def test_bash_completes_files_where_a_file_belongs(tmp_path: Path) -> None:
    """After `--config` and for the page of `check engine`."""
    (tmp_path / "page.txt").touch()

    for before in (("run", "--config"), ("config", "--check"), ("check", "engine")):
        assert complete("inferometer", *before, f"{tmp_path}/pa") == [f"{tmp_path}/page.txt"]
    assert complete("inferometer", "demo", "--port", f"{tmp_path}/pa") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_each_script_is_printed_and_names_everything(shell: str) -> None:
    """Every command and every option stands in each script, and the shell, if it is here, can read it."""
    done = run("completion", shell)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SHELLS[shell](COMMANDS)
    for command in COMMANDS:
        assert command.words[-1] in done.stdout
        for option in command.options:
            assert re.search(rf"(-l {option.name[2:]}|{option.name})\b", done.stdout), option.name
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, timeout=30, check=True)
