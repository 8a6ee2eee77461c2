# SPDX-License-Identifier: Apache-2.0
"""SIGHUP as an operator sends it: what the file says now is used, and what cannot be used changes nothing."""

import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import started
from whole.agents import await_that

BARE = "period: 500ms\nidentity: {podresources: {enabled: false}}\ndevices: {nvidia: {enabled: false}}\n"

Rewrite = Callable[[str], str]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        return bool(answer.status == 200)


def line_with(process: subprocess.Popen[str], *wanted: str) -> str:
    """Read standard error up to a line that holds one of the texts; the agent's end fails the test."""
    assert process.stderr is not None
    said = []
    while line := process.stderr.readline():
        if any(text in line for text in wanted):
            return line
        said.append(line)
    raise AssertionError(f"the agent ended with {process.wait(timeout=10)}: {''.join(said[-20:])}")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def rewrite(tmp_path: Path, port: int) -> Iterator[Rewrite]:
    """An agent on `port`; called with a text, its file holds that beside what it needs, and the answer to SIGHUP is given."""
    file = tmp_path / "inferometer.yaml"
    file.write_text(f"{BARE}server: {{listen: '127.0.0.1:{port}'}}\n")
    with started(("run", "--config", str(file)), stdout=subprocess.DEVNULL) as process:
        line_with(process, "listening on")

        def rewrite_file(text: str) -> str:
            file.write_text(BARE + text)
            process.send_signal(signal.SIGHUP)
            return line_with(process, "configuration read again", "the old one stays")

        yield rewrite_file


def test_a_bad_file_changes_nothing(rewrite: Rewrite, port: int) -> None:
    """A misspelt key is named with its line, and the agent goes on where it was."""
    said = rewrite("serverr: {}\n")

    assert "inferometer.yaml:4: serverr: is not a known key; did you mean server?" in said
    assert answers(port)
    assert "read again" in rewrite(f"server: {{listen: '127.0.0.1:{port}'}}\n")


def test_the_agent_moves_to_another_port(rewrite: Rewrite, port: int) -> None:
    """It listens where the file says now, and no longer where it was."""
    there = free_port()

    assert "read again" in rewrite(f"server: {{listen: '127.0.0.1:{there}'}}\n")
    assert answers(there)
    with socket.create_server(("127.0.0.1", port)):  # free again
        pass


def test_the_agent_opens_its_port_to_more_addresses(rewrite: Rewrite, port: int) -> None:
    """From one address to all with the same port, the agent is not in its own way."""
    assert "read again" in rewrite(f"server: {{listen: '0.0.0.0:{port}'}}\n")
    assert answers(port)


@pytest.mark.parametrize("same_port", [False, True])
def test_an_address_that_cannot_be_had_changes_nothing(rewrite: Rewrite, port: int, same_port: bool) -> None:
    """A port in use, or an address of another machine on the port in use here, is named, and the agent stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"192.0.2.1:{port}" if same_port else f"127.0.0.1:{taken.getsockname()[1]}"
        assert listen in rewrite(f"server: {{listen: '{listen}'}}\n")
    assert answers(port)


def test_a_page_comes_and_goes_with_the_file(rewrite: Rewrite, port: int) -> None:
    """/metrics/dcgm is there from the moment that the file asks for it, and no longer."""
    url = f"http://127.0.0.1:{port}/metrics/dcgm"
    for wanted, status in (("true", 200), ("false", 404)):
        assert "read again" in rewrite(f"server: {{listen: '127.0.0.1:{port}', dcgm: {wanted}}}\n")
        await_that(lambda: status_of(url) == status, f"{status}")  # noqa: B023  # called at once


def test_logging_follows_the_file(rewrite: Rewrite, port: int) -> None:
    """The form of a line is the file's from then on."""
    assert rewrite(f"server: {{listen: '127.0.0.1:{port}'}}\nlog: {{format: json}}\n").startswith('{"time": ')


def test_a_gate_that_cannot_be_built_changes_nothing(rewrite: Rewrite, port: int, tmp_path: Path) -> None:
    """With files that are not there yet the endpoint stays as it is, on the same port; once they are there it asks for them."""
    tokens, page = tmp_path / "tokens", f"http://127.0.0.1:{port}/metrics"
    wanted = f"server: {{listen: '127.0.0.1:{port}', auth: {{tokens_file: {tokens}}}}}\n"

    assert f"{tokens}: no such file" in rewrite(wanted)
    assert status_of(page) in {200, 503}  # before the first snapshot it is 503, and never 401
    tokens.write_text("a-token-of-the-scraper\n")
    assert "read again" in rewrite(wanted)
    assert answers(port)
    assert status_of(page) == 401


def status_of(url: str) -> int:
    """Ask for a page without credentials."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
