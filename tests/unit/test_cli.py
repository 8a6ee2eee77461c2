# SPDX-License-Identifier: Apache-2.0
"""The command line: streams, exit codes and documents of the commands that need no node."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from commands import PATIENCE, PROGRAM, environment, run
from inferometer import __version__, catalog
from inferometer.cli.completion import tree
from inferometer.cli.parser import build_parser
from inferometer.cli.top import metrics_url
from inferometer.config.example import commented_defaults
from inferometer.config.json_schema import schema
from inferometer.server.passwords import is_password
from inferometer.server.secret_files import read_users

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "tests" / "fixtures" / "engines"
VLLM = PAGES / "vllm" / "real_v0.32.0_cpu_after60.txt"
COMMANDS = ("run", "demo", "snapshot", "top", "check", "record", "metrics", "config", "password", "completion")


def test_the_version_comes_at_once() -> None:
    """`--version` imports neither gRPC nor YAML nor any part of the agent."""
    script = "import sys; from inferometer.cli import main; code = main(['--version']); print(code, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)

    first, second = done.stdout.splitlines()
    assert first == f"inferometer {__version__}"
    code, *modules = second.split()
    assert code == "0"
    assert not {"grpc", "yaml", "google.protobuf", "inferometer.app", "inferometer.config"} & set(modules)


def test_help_shows_the_commands_with_examples() -> None:
    """The first thing that a newcomer reads names every command."""
    done = run("--help")

    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^    {command} ", done.stdout, re.MULTILINE)
    assert "inferometer demo  " in done.stdout


@pytest.mark.parametrize(("columns", "width"), [(" 120 ", 118), ("-1", 78), ("wide", 78), ("9" * 5000, 78)])
def test_help_is_as_wide_as_it_is_told(columns: str, width: int) -> None:
    """A width that is none does not count: there is no terminal here, so that the usual one does."""
    done = run("run", "--help", env={"COLUMNS": columns})

    assert (done.returncode, done.stderr) == (0, "")
    assert width - 12 < max(map(len, done.stdout.splitlines())) <= width


@pytest.mark.parametrize("command", [(name,) for name in COMMANDS] + [("check", "engine")])
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    """Each command explains itself and its options."""
    done = run(*command, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: inferometer {' '.join(command)}")
    assert "--log-level" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("demo", "--port", "99999"),
        ("demo", "--for", "soon"),
        ("demo", "--see", "1"),
        ("snapshot", "--json", "--format", "table"),
        ("snapshot", "--format", "xml"),
        ("config", "--schema", "--markdown"),
        ("completion", "tcsh"),
        ("run", "--log-level", "loud"),
        ("run", "--listen", "nowhere"),
        ("run", "--config", "missing.yaml"),
        ("check", "--config", "missing.yaml"),
        ("check", "engine", "http://127.0.0.1:9/metrics", "--credentials", "none"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """What cannot be understood says so on standard error, and nothing on standard output."""
    done = run(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") >= 1
    assert "Traceback" not in done.stderr


def test_an_option_is_named_as_it_was_given() -> None:
    """A bad `--listen` is not explained as a variable that nobody set."""
    assert run("run", "--listen", "nowhere").stderr == (
        "inferometer: --listen: server.listen: must be ADDRESS:PORT, such as 127.0.0.1:9466 or [::]:9466\n"
    )


# --- config -------------------------------------------------------------------------------------------------------


def test_config_prints_the_defaults_the_schema_and_the_keys() -> None:
    """Each form is what the library makes; the variables of this shell do not change it."""
    assert run("config").stdout == commented_defaults()
    assert json.loads(run("config", "--schema").stdout) == schema()
    document = json.loads(run("config", "--json").stdout)
    assert document["schema"] == 1
    (headers,) = [key for key in document["keys"] if key["key"] == "otlp.headers"]
    assert headers == {
        "key": "otlp.headers",
        "variable": "INFEROMETER_OTLP__HEADERS",
        "type": "map",
        "default": "{}",
        "required": False,
        "secret": True,
        "description": "Headers to send.",
    }


def test_config_check_judges_a_file(tmp_path: Path) -> None:
    """A good file is 0 and `ok`, a bad one 2 with every problem on standard error."""
    good, bad = ROOT / "examples" / "inferometer.yaml", tmp_path / "bad.yaml"
    bad.write_text("server:\n  listne: x\nperiod: no\n")

    fine, wrong = run("config", "--check", str(good)), run("config", "--check", str(bad))

    assert (fine.returncode, fine.stdout, fine.stderr) == (0, f"{good}: ok\n", "")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.splitlines()[0] == (
        f"inferometer: {bad}:2: server.listne: is not a known key; did you mean server.listen?"
    )
    assert len(wrong.stderr.splitlines()) == 2


def test_config_check_as_json(tmp_path: Path) -> None:
    """A pipeline reads the problems from standard output."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("foo: 1\n")

    done = run("config", "--check", str(bad), "--json", env={"INFEROMETER_PERIOD": "x"})

    assert (done.returncode, done.stderr) == (2, "")
    document = json.loads(done.stdout)
    assert (document["schema"], document["ok"]) == (1, False)
    assert [(p["place"], p["key"]) for p in document["problems"]] == [
        (f"{bad}:1", "foo"),
        ("INFEROMETER_PERIOD", "period"),
    ]


def test_no_secret_is_printed(tmp_path: Path) -> None:
    """Neither a check nor its errors show a header's value."""
    path = tmp_path / "c.yaml"
    path.write_text("otlp: {headers: {Authorization: hunter2}, interval: x}\n")

    done = run("config", "--check", str(path), env={"INFEROMETER_OTLP__HEADERS": "{a: hunter2, b: [hunter2]}"})

    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr


# --- metrics ------------------------------------------------------------------------------------------------------


def test_metrics_lists_the_catalogue() -> None:
    """One line a metric, or a document with where each is read from."""
    listed = run("metrics").stdout.splitlines()
    document = json.loads(run("metrics", "--json").stdout)

    assert [line.split()[0] for line in listed] == [m.prometheus for m in catalog.METRICS]
    assert document["schema"] == 1
    assert [m["name"] for m in document["metrics"]] == [m.name for m in catalog.METRICS]
    assert all(m["sources"] for m in document["metrics"]), [m["name"] for m in document["metrics"] if not m["sources"]]


def test_the_reference_page_of_the_metrics_is_the_committed_one() -> None:
    """`docs/metrics.md` is generated, and names every metric and attribute."""
    page = (ROOT / "docs" / "metrics.md").read_text()

    assert page == run("metrics", "--markdown").stdout, "run `make docs`"
    for metric in catalog.METRICS:
        assert f"### `{metric.name}`" in page
        assert f"| `{metric.prometheus}` |" in page
    for attribute in catalog.ATTRIBUTES:
        assert f"| `{attribute.key}` | `{attribute.label}` |" in page


# --- check engine -------------------------------------------------------------------------------------------------


def test_check_engine_explains_a_page() -> None:
    """The document of a recorded page, from a file and from standard input."""
    done, piped = (
        run("check", "engine", str(VLLM), "--json"),
        run("check", "--json", "engine", "-", stdin=VLLM.read_bytes()),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert piped.stdout == done.stdout
    document = json.loads(done.stdout)
    assert set(document) == {
        "schema",
        "engine",
        "backend",
        "kind",
        "version",
        "models",
        "blind",
        "details",
        "mapped",
        "unmapped",
        "unknown",
        "missing",
        "likely",
        "objectives",
        "passed",
        "withheld",
    }
    assert (document["schema"], document["engine"], document["kind"]) == (1, "vllm", "engine")
    assert {"family": "vllm:generation_tokens_total", "metric": "inference.tokens"} in document["mapped"]


def test_check_engine_for_a_reader() -> None:
    """Without `--json` the same is said in lines."""
    done = run("check", "engine", str(VLLM))

    assert done.returncode == 0
    assert done.stdout.startswith("engine   vllm\nkind     engine\n")
    assert "vllm:num_requests_running" in done.stdout


@pytest.mark.parametrize("page", [b"", b"<html><body>no</body></html>", b"\xff\xfe", b"a 1\na 1\n", b"a{ 1\n"])
def test_a_page_that_cannot_be_read_is_exit_code_1(page: bytes) -> None:
    """Each bad page has its error, and no document."""
    done = run("check", "engine", "-", "--json", stdin=page)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("inferometer: ")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_missing_is_exit_code_1(tmp_path: Path) -> None:
    """The file is named."""
    done = run("check", "engine", str(tmp_path / "none"))

    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "none") in done.stderr


@pytest.fixture
def server() -> Iterator[str]:
    """Serve the recorded page, and 404 elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/metrics") else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            if self.path.startswith("/metrics"):
                self.wfile.write(VLLM.read_bytes())

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://user:hunter2@127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_check_engine_reads_a_url(server: str) -> None:
    """A live page is read like a file; an error shows neither password nor token."""
    fine, wrong = (
        run("check", "engine", f"{server}/metrics?token=hunter2"),
        run("check", "engine", f"{server}/none?t=hunter2"),
    )

    assert fine.stdout.startswith("engine   vllm\n")
    assert wrong.returncode == 1
    assert "404" in wrong.stderr
    assert "hunter2" not in fine.stdout + fine.stderr + wrong.stdout + wrong.stderr


def test_check_engine_says_what_is_wrong_with_standard_input() -> None:
    """An empty page is named without the advice to run this very command; a closed input is a sentence, no traceback."""
    empty = run("check", "engine", "-")
    closed = subprocess.run(
        ["sh", "-c", f"{shlex.join(PROGRAM)} check engine - <&-"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (empty.returncode, empty.stderr) == (1, "inferometer: -: the page is empty\n")
    assert (closed.returncode, closed.stderr) == (1, "inferometer: standard input: is closed\n")


def test_top_refuses_a_page_that_is_not_an_agents(server: str) -> None:
    """The table of something else would be empty, and look like an idle node."""
    done = run("top", f"{server}/metrics")

    assert done.returncode == 1
    assert "is not the page of an Inferometer agent" in done.stderr
    assert "hunter2" not in done.stderr
    assert run("top", "127.0.0.1:1").returncode == 1


def test_top_refuses_what_is_no_url() -> None:
    """An address that cannot be parsed is a sentence on standard error, not a traceback."""
    done = run("top", "http://[::1")
    assert done.returncode == 1
    assert "not an http:// or https:// URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_top_completes_a_url() -> None:
    """What a person types means the metrics page."""
    assert metrics_url("node-7:9466") == "http://node-7:9466/metrics"
    assert metrics_url("https://node-7:9466/") == "https://node-7:9466/metrics"
    assert metrics_url("http://proxy/node-7/metrics") == "http://proxy/node-7/metrics"


# --- streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["metrics --json", "config", "completion bash", "--help", "metrics --markdown"])
def test_a_closed_pipe_is_silent(command: str) -> None:
    """`inferometer metrics | head -1` leaves nothing on standard error."""
    with subprocess.Popen(
        [*PROGRAM, *command.split()], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 0


def test_standard_output_that_is_closed_from_the_start_is_silent() -> None:
    """A service without standard output works."""
    shell = f"{' '.join(PROGRAM)} config >&-"
    done = subprocess.run(["sh", "-c", shell], env=environment(), capture_output=True, timeout=PATIENCE, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")  # noqa: PTH110  # a device, not a path of ours
def test_a_full_disk_is_exit_code_1() -> None:
    """Output that is lost is no success."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123  # as above
        done = subprocess.run(
            [*PROGRAM, "config"], env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
        )

    assert done.returncode == 1
    assert done.stderr == b"inferometer: standard output: No space left on device\n"


# --- password -----------------------------------------------------------------------------------------------------


def test_password_makes_a_users_line(tmp_path: Path) -> None:
    """The first line of standard input is hashed into a line that the endpoint understands; it itself is not printed."""
    done = run("password", "jane", stdin="open sésame\r\nanother".encode())
    document = json.loads(run("password", "jane", "--json", stdin=b"open").stdout)

    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "users").write_text(done.stdout)
    hashed = read_users(str(tmp_path / "users"))["jane"]
    assert is_password(hashed, "open sésame".encode())
    assert "open" not in done.stdout
    assert (document["name"], document["schema"]) == ("jane", 1)


@pytest.mark.parametrize(
    ("name", "stdin", "code"),
    [("a:b", b"x", 2), ("", b"x", 2), ("a", b"", 1), ("a", b"\n", 1), ("a", b"\xff", 1), ("a", b"x" * 9000, 1)],
)
def test_password_refuses_what_cannot_be_one(name: str, stdin: bytes, code: int) -> None:
    """A name that no client can send, no password, and one that is far too long are refused, and nothing is printed."""
    done = run("password", name, stdin=stdin)

    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("inferometer: ")


def test_every_json_document_has_a_schema_number() -> None:
    """All commands that print once take `--json`."""
    for command in (("metrics",), ("config",), ("completion", "bash"), ("check", "engine", str(VLLM))):
        assert json.loads(run(*command, "--json").stdout)["schema"] == 1, command


def test_the_command_line_page_names_every_command_and_option() -> None:
    """`docs/command-line.md` is written by hand; what it forgets fails here."""
    page = (ROOT / "docs" / "command-line.md").read_text()

    for command in COMMANDS:
        assert f"`inferometer {command}" in page
    options = {option.name for command in tree(build_parser()) for option in command.options}
    for option in options - {"-h"}:
        assert option in page, option
