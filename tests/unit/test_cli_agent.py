# SPDX-License-Identifier: Apache-2.0
"""`inferometer check agent`: what agents answer at every address of a name, and what counts as wrong."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from commands import run
from inferometer import catalog
from inferometer.cli import agent, logs
from inferometer.cli.parser import build_parser
from kubelet.certificates import issue
from peer import answer, in_turn, peer_with

LEVELS = "".join(
    f'inferometer_identity_level{{inferometer_identity_level="{level}"}} {float(level == "name")}\n'
    for level in catalog.LEVEL.values
)
PAGE = f"""
inferometer_info{{inferometer_version="9.8.7"}} 1.0
inferometer_source_up{{inferometer_source_name="nvidia"}} 1.0
inferometer_source_up{{inferometer_source_name="engine",inferometer_source_instance="ns/pod:8000"}} 0.0
{LEVELS}""".encode()


def asked(*arguments: str, page: bytes = PAGE, times: int = 1) -> tuple[int, Any]:
    """Ask one agent that answers so, and give the exit code with the document."""
    with peer_with(*(in_turn(answer(page)) for _ in range(times))) as peer:
        done = run("check", "agent", peer.url(), "--json", *arguments)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_an_agent_that_is_as_it_should_be() -> None:
    """The page's version, how much it knows, and which sources it cannot read."""
    code, document = asked("--identity", "name", "--expect-version", "9.8.7")
    (found,) = document["agents"]
    assert (code, document["ok"], found["ok"]) == (0, True, True)
    assert (found["version"], found["level"], found["down"]) == ("9.8.7", "name", ["engine ns/pod:8000"])


@pytest.mark.parametrize(
    ("arguments", "page", "said"),
    [
        (("--identity", "uid"), PAGE, "knows of owners: name; asked for: uid"),
        (("--identity", "none"), b'\ninferometer_info{inferometer_version="1"} 1\n', "knows of owners: nothing"),
        (("--expect-version", "9.8"), PAGE, "is version 9.8.7, not 9.8"),
        ((), b"# HELP up Of somebody else's.\nup 1\n", "is not the page of an Inferometer agent"),
        ((), b"\xff\x00{{{", "is not the page of an Inferometer agent"),
        ((), b"", "is not the page of an Inferometer agent"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(arguments: Sequence[str], page: bytes, said: str) -> None:
    """Too little known, another version, somebody else's page."""
    code, document = asked(*arguments, page=page)
    assert (code, document["ok"]) == (1, False)
    assert said in document["agents"][0]["problem"]


def test_a_refusal_is_an_answer_too() -> None:
    """A status other than 200 is told by its number."""
    with peer_with(in_turn(answer(b"no", status=b"401 Unauthorized"))) as peer:
        done = run("check", "agent", peer.url())
    assert (done.returncode, done.stdout.split()) == (1, ["failed", f"127.0.0.1:{peer.port}", "answers", "401"])


def test_readyz_is_asked_for_no_more_than_that() -> None:
    """Where /metrics is not open, the path that is says whether there is an agent."""
    with peer_with(in_turn(answer(b"ok\n"))) as peer:
        done = run("check", "agent", peer.url("/readyz"))
    assert (done.returncode, done.stdout.split()) == (0, ["ok", f"127.0.0.1:{peer.port}"])


def test_it_waits_for_an_agent_that_is_not_there_yet() -> None:
    """The first answers are wrong, and a later one is right."""
    starting = in_turn(answer(b"not yet", status=b"503 Service Unavailable"))
    with peer_with(starting, starting, in_turn(answer(PAGE))) as peer:
        done = run("check", "agent", peer.url(), "--wait", "25s")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://no-such-agent.invalid:9466", 1),
        ("ftp://a", 2),
        ("http://", 2),
        ("http://a:port", 2),
        ("http://agent..monitoring:9466", 2),
        (f"http://{'a' * 64}:9466", 2),
    ],
)
def test_what_leads_nowhere(url: str, code: int) -> None:
    """A name without an address is nobody, and what is no URL is wrong usage."""
    done = run("check", "agent", url)
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1


def test_every_address_of_a_name_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A headless Service's name stands for all its agents, and one that is wrong is enough."""
    with peer_with(in_turn(answer(PAGE))) as peer:
        arguments = build_parser().parse_args(["check", "agent", f"http://agents.invalid:{peer.port}/metrics"])
        monkeypatch.setattr(agent, "_addresses", lambda *_: ("127.0.0.1", "127.0.0.9"))  # as a resolver would
        monkeypatch.setattr(logs, "configure", lambda *_: None)  # it is the whole process's, and tests follow
        assert agent.execute(arguments) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"ok      127.0.0.1:{peer.port}  version 9.8.7")
    assert second.startswith(f"failed  127.0.0.9:{peer.port}")


def test_this_machine_is_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a name is both 127.0.0.1 and ::1, an agent that listens on one of them is there."""
    both = [(family, None, 0, "", (address, 80)) for family, address in ((2, "127.0.0.1"), (10, "::1"))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    assert agent._addresses("localhost", 80) == ("localhost",)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*both, (2, None, 0, "", ("10.0.0.1", 80))])
    assert agent._addresses("agents", 80) == ["10.0.0.1", "127.0.0.1", "::1"]


def test_the_levels_are_the_catalogues() -> None:
    """The parser does not load the catalogue, so it writes them again."""
    for level in catalog.LEVEL.values:
        assert build_parser().parse_args(["check", "agent", "http://a", "--identity", level]).identity == level
    with pytest.raises(SystemExit):
        build_parser().parse_args(["check", "agent", "http://a", "--identity", "all"])


def test_whom_it_trusts_over_tls(tmp_path: Path) -> None:
    """An authority that is named, or anybody where that is said; by itself it takes no stranger's certificate."""
    certificates = issue(tmp_path)
    page = in_turn(answer(PAGE))
    for options, code in ((("--ca-file", str(certificates.ca)), 0), (("--insecure-tls",), 0), ((), 1)):
        with peer_with(page, tls=certificates.server_context()) as peer:
            done = run("check", "agent", peer.url(scheme="https"), *options)
        assert done.returncode == code, (options, done.stdout)
    assert "certificate" in done.stdout


def test_the_token_that_is_shown_is_never_printed(tmp_path: Path) -> None:
    """It goes to the agent, and nowhere else; a user in the URL does not either."""
    (tmp_path / "token").write_text("hunter2")
    with peer_with(in_turn(answer(b"", status=b"403 Forbidden"))) as peer:
        url = peer.url().replace("http://", "http://user:hush@")
        done = run("check", "agent", url, "--token-file", str(tmp_path / "token"))
    assert b"Bearer hunter2" in peer.asked[0]
    assert done.returncode == 1
    assert not {"hunter2", "hush"} & set(done.stdout.replace(":", " ").split())
    assert "hush" not in done.stdout + done.stderr
