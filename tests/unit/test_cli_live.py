# SPDX-License-Identifier: Apache-2.0
"""The commands that need a node, on the simulated one: demo, top, snapshot and check; and the agent without anything."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.protobuf import json_format
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData  # noqa: TID251  # oracle
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # oracle

from commands import PATIENCE, PROGRAM, environment, run, started
from kubelet.certificates import issue

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ gpus=\d+ instances=\d+ holdings=\d+ engines=\d+ "
    r"tokens_per_second=(\S+) watts=\S+ not_ok=\d+ down=\S+ simulated=true"
)


# However long the machine stands still while a source is read.
PATIENT = {"INFEROMETER_DEVICES__NVIDIA__DEADLINE": "30s", "INFEROMETER_ENGINES__DEADLINE": "30s"}


def free_port() -> int:
    """Give a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_url(process: subprocess.Popen[str]) -> str:
    """Read the demo's address from its standard error."""
    assert process.stderr is not None
    said = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert found, said
    return found[0]


def read_lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def test_demo_shows_a_line_a_period_and_ends_in_time() -> None:
    """Without a terminal each snapshot is one line; with `--for` the demo ends by itself, with exit code 0."""
    done = run("demo", "--port", "0", "--for", "6s")

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert 2 <= len(lines) <= 8
    rates = [match[1] for match in map(LINE.fullmatch, lines) if match]
    assert len(rates) == len(lines), done.stdout
    assert rates[0] == "-"
    assert max(float(rate) for rate in rates if rate != "-") > 0
    assert any(" down=none " in line for line in lines)
    assert "Traceback" not in done.stderr


def test_demo_serves_the_status_page_and_top_reads_it() -> None:
    """The demo's endpoint is an agent's, `top` shows its table, and Ctrl-C ends both with 130 and nothing left over."""
    with started(("demo", "--port", str(free_port()), "--seed", "7")) as demo:
        url = wait_for_url(demo)
        read_lines(demo, 1)
        with urllib.request.urlopen(url, timeout=PATIENCE) as page:  # the status page
            html = page.read().decode()
        assert "Simulated node" in html
        assert "Tokens/J" in html
        with started(("top", url)) as top:
            lines = read_lines(top, 2)
            while not (rate := LINE.fullmatch(lines[-1])) or rate[1] in ("-", "0") or "down=none" not in lines[-1]:
                assert len(lines) < 60, lines
                lines += read_lines(top, 1)
            top.send_signal(signal.SIGINT)
            assert top.wait(PATIENCE) == 130
            assert top.stderr is not None
            assert top.stderr.read() == ""
        demo.send_signal(signal.SIGINT)
        assert demo.wait(PATIENCE) == 130
        assert demo.stderr is not None
        assert "Traceback" not in demo.stderr.read()
    assert all(LINE.fullmatch(line) for line in lines), lines
    assert float(rate[1]) > 0


def test_top_reads_an_agent_that_asks_for_a_certificate_and_a_token(tmp_path: Path) -> None:
    """`top` shows what its options name; without them it says why it may not, and what contradicts itself is refused."""
    files = issue(tmp_path)
    token, tokens = tmp_path / "token", tmp_path / "tokens"
    token.write_text("a-token-of-some-length\n")
    tokens.write_text("a-token-of-some-length\n")
    url = f"https://127.0.0.1:{free_port()}"
    server = {
        "listen": url.removeprefix("https://"),
        "tls": {"certificate": str(files.certificate), "key": str(files.key), "client_ca": str(files.ca)},
        "auth": {"tokens_file": str(tokens)},
    }
    config = tmp_path / "inferometer.yaml"
    config.write_text(json.dumps({"period": "1s", "server": server, "devices": {"nvidia": {"enabled": False}}}))
    trust = ("--ca-file", str(files.ca), "--certificate-file", str(files.certificate), "--key-file", str(files.key))
    with started(("run", "--config", str(config))) as agent:
        until = time.monotonic() + PATIENCE
        while (stranger := run("top", url, *trust)).stderr and "answers 401" not in stranger.stderr:
            assert time.monotonic() < until, stranger.stderr
        assert stranger.returncode == 1
        with started(("top", url, *trust, "--token-file", str(token))) as top:
            (line,) = read_lines(top, 1)
            top.send_signal(signal.SIGINT)
            assert top.wait(PATIENCE) == 130
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE) == 0
    assert "gpus=" in line
    distrusted = run("top", url, "--key-file", str(files.key))
    assert (distrusted.returncode, distrusted.stdout) == (2, "")
    assert "a certificate and its key go together" in distrusted.stderr


def test_a_port_in_use_is_exit_code_1() -> None:
    """The address is named, and the simulated node does not stay behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("demo", "--port", str(port), "--for", "5s")

    assert (done.returncode, done.stdout) == (1, "")
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def on_a_terminal(*arguments: str, until: re.Pattern[str], env: dict[str, str]) -> str:
    """Run a command on a terminal of 100 x 30 until it has written something, and end it; give what it wrote there."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [*PROGRAM, *arguments],
            env=environment({"LINES": "30", **env}),
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
        ) as process:
            os.close(theirs)
            written, end, is_asked = b"", time.monotonic() + PATIENCE, False
            while time.monotonic() < end:
                if select.select([ours], [], [], 0.1)[0]:
                    try:
                        written += os.read(ours, 65536)
                    except OSError:  # the terminal's other end is closed
                        break
                elif process.poll() is not None:
                    break
                if not is_asked and until.search(written.decode(errors="replace")):
                    process.send_signal(signal.SIGINT)
                    is_asked = True
            assert process.wait(PATIENCE) == 130
    finally:
        os.close(ours)
    return written.decode()


def test_on_a_terminal_the_table_is_redrawn_in_place() -> None:
    """The cursor goes back up by as many lines as were drawn; colours come unless NO_COLOR is set."""
    again = re.compile(r"\x1b\[(\d+)F")
    plain = on_a_terminal("demo", "--port", "0", until=again, env={"TERM": "xterm", "NO_COLOR": "1"})

    assert "TOKENS/J" in plain
    assert "Ctrl-C ends" in plain
    (up,) = again.findall(plain)[:1]
    frame = plain.split(f"\x1b[{up}F")[0]
    assert frame.count("\n") == int(up)
    assert not re.search(r"\x1b\[\d+m", plain)


@pytest.fixture(scope="module")
def forms() -> dict[str, str]:
    """Collect from the simulated node in every format."""
    printed = {"table": snapshot_as("table")}  # by itself: its rates need all that answers at once
    names = ("json", "prometheus", "otlp-json")
    with ThreadPoolExecutor(len(names)) as pool:
        return printed | dict(zip(names, pool.map(snapshot_as, names), strict=True))


def snapshot_as(form: str) -> str:
    """Collect from the simulated node."""
    done = run("snapshot", "--simulate", "--format", form, env=PATIENT)
    assert (done.returncode, done.stderr) == (0, ""), form
    return done.stdout


def test_snapshot_as_a_table(forms: dict[str, str]) -> None:
    """Rates stand in the very first table: the collection is long enough for them."""
    head, empty, title, *rows = forms["table"].splitlines()

    assert head.startswith("SIMULATED: ")
    assert (empty, title.split()[:2]) == ("", ["GPU", "OWNER"])
    assert any(re.search(r" \d+\.\d +\d+ +\d+\.\d\d$", row) for row in rows), forms["table"]
    assert "\x1b" not in forms["table"]


def test_snapshot_as_json(forms: dict[str, str]) -> None:
    """A program reads the same node."""
    document = json.loads(forms["json"])

    assert (document["schema"], document["simulated"]) == (1, True)
    assert all(document[part] for part in ("node", "devices", "holdings", "engines", "sources", "metrics"))


def test_snapshot_as_prometheus(forms: dict[str, str]) -> None:
    """Prometheus' own client reads the page, and every series says that it is simulated."""
    families = list(text_string_to_metric_families(forms["prometheus"]))

    assert {"hw_power_watts", "gpu_owner_info", "inference_tokens"} <= {f.name for f in families}
    assert all(
        "inferometer_simulated" in sample.labels for f in families if f.name != "target_info" for sample in f.samples
    )


def test_snapshot_as_otlp(forms: dict[str, str]) -> None:
    """OTLP/JSON is what the protocol's own library reads."""
    read = json_format.Parse(forms["otlp-json"], MetricsData())

    names = {m.name for r in read.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert {"hw.power", "gpu.owner.info", "inference.tokens"} <= names


def test_check_says_what_to_do_on_a_bare_machine() -> None:
    """Each source has its finding; what is missing has a remedy and makes the exit code 1."""
    switched_off = {
        "INFEROMETER_DEVICES__NVIDIA__LIBRARY": "/nonexistent/libnvidia-ml.so.1",
        "INFEROMETER_IDENTITY__PODRESOURCES__SOCKET": "/nonexistent/kubelet.sock",
    }
    done, document = run("check", env=switched_off), run("check", "--json", env=switched_off)

    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(r"^missing +podresources ", done.stdout, re.MULTILINE)
    read = json.loads(document.stdout)
    assert (document.returncode, read["schema"], read["ok"]) == (1, 1, False)
    assert {"nvidia", "podresources", "pods"} <= {finding["source"] for finding in read["findings"]}
    assert all(set(finding) == {"source", "state", "reason", "remedy"} for finding in read["findings"])


def test_check_names_an_engine_that_is_not_scraped() -> None:
    """A target that cannot be used is a finding: its warning is not shown by `check`."""
    done = run(
        "check", "--json", env={"INFEROMETER_ENGINES__TARGETS": "[{url: 'http://127.0.0.1:9/metrics', engine: vlm}]"}
    )

    (finding,) = [f for f in json.loads(done.stdout)["findings"] if f["source"].startswith("engine")]
    assert (finding["source"], finding["state"]) == ("engine engines.targets[0]", "failed")
    assert finding["reason"].startswith("not scraped: ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_run_ends_on_a_signal_and_logs_json(number: signal.Signals, code: int) -> None:
    """The agent starts on a bare machine, logs one object a line, and ends in order."""
    with started(("run", "--listen", "127.0.0.1:0", "--log-format", "json")) as process:
        assert process.stderr is not None
        listening = ""
        while "listening" not in listening:
            listening = process.stderr.readline()
            assert listening, "the agent ended"
        process.send_signal(number)
        assert process.wait(PATIENCE) == code
        lines = [listening, *process.stderr.read().splitlines()]
        assert process.stdout is not None
        assert process.stdout.read() == ""
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))
