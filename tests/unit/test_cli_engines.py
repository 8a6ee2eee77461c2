# SPDX-License-Identifier: Apache-2.0
"""`inferometer check engine` without a page: which engines are scraped, how each was found, and what is not and why."""

import json
from pathlib import Path

from commands import run
from peer import answer, in_turn, peer_with

PAGE = b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 1\n'
DENIED = answer(b"", status=b"401 Unauthorized")


def written(folder: Path, port: int, *, allowed: bool) -> Path:
    """Write the configuration of a process that is not in Kubernetes: two targets, of which one does not exist."""
    (folder / "token").write_text("hunter2")
    file = folder / "inferometer.yaml"
    file.write_text(
        f"""
identity: {{pods: {{source: off}}}}
engines:
  deadline: 30s
  targets:
    - {{url: "http://127.0.0.1:{port}/metrics"{", credentials: gateway" if allowed else ""}}}
    - {{url: "http://127.0.0.1:9/metrics", credentials: gatway}}
  credentials:
    - {{name: gateway, token_file: {folder / "token"}}}
"""
    )
    return file


def test_engines_are_listed_with_how_they_were_found(tmp_path: Path) -> None:
    """Outside Kubernetes too; what is refused is a finding with its remedy, and devices are not looked at."""
    with peer_with(in_turn(answer(PAGE)), in_turn(answer(PAGE))) as peer:
        file = str(written(tmp_path, peer.port, allowed=True))
        document = run("check", "--json", "--config", file, "engine")
        shown = run("check", "--config", file, "engine")
    findings = {each["source"]: each for each in json.loads(document.stdout)["findings"]}
    assert (document.returncode, document.stderr) == (1, "")
    here = f"engine 127.0.0.1:{peer.port}"
    assert set(findings) == {here, f"{here} families", "engine engines.targets[1]", "pods"}
    assert (findings[f"{here} families"]["state"], "lacks vllm:" in findings[f"{here} families"]["reason"]) == (
        "absent",
        True,
    )
    good, bad = findings[f"engine 127.0.0.1:{peer.port}"], findings["engine engines.targets[1]"]
    assert good["state"] == "ok"
    assert good["reason"].endswith("; found by engines.targets[0], asked with the credentials 'gateway'")
    assert good["reason"].startswith("vllm ")
    assert (bad["state"], "'gatway'" in bad["reason"]) == ("failed", True)
    assert f"ok engine 127.0.0.1:{peer.port} vllm" in " ".join(shown.stdout.split())
    assert "hunter2" not in document.stdout + shown.stdout + shown.stderr


def test_an_engine_that_denies_is_said_with_what_helps(tmp_path: Path) -> None:
    """How it was found stands beside what is wrong."""
    with peer_with(in_turn(DENIED)) as peer:
        done = run("check", "--json", "--config", str(written(tmp_path, peer.port, allowed=False)), "engine")
    found = {each["source"]: each for each in json.loads(done.stdout)["findings"]}[f"engine 127.0.0.1:{peer.port}"]
    assert found["state"] == "failed"
    assert "401" in found["reason"]
    assert found["reason"].endswith("; found by engines.targets[0]")
    assert "engines.credentials" in found["remedy"]


def test_a_page_is_asked_for_with_credentials_by_name(tmp_path: Path) -> None:
    """The entry's token is sent to the URL that was given, and shown nowhere."""
    with peer_with(in_turn(answer(PAGE))) as peer:
        file = str(written(tmp_path, peer.port, allowed=True))
        done = run("check", "--config", file, "engine", peer.url(), "--credentials", "gateway")
    assert (done.returncode, done.stdout.partition("\n")[0]) == (0, "engine   vllm")
    assert b"Authorization: Bearer hunter2" in peer.asked[0]
    assert "hunter2" not in done.stdout + done.stderr


OBJECTIVE = (
    "slo: {objectives: [{name: chat, metric: ttft, threshold: 450ms}, {name: fine, metric: ttft, threshold: 500ms}]}"
)


def test_a_threshold_between_two_bounds_is_said_with_the_engines_option(tmp_path: Path) -> None:
    """Of one page, and of the engines that are scraped; what can be measured is not mentioned."""
    page = (Path(__file__).parents[1] / "fixtures" / "engines" / "vllm" / "real_v0.32.0_cpu_after60.txt").read_bytes()
    with peer_with(in_turn(answer(page)), in_turn(answer(page))) as peer:
        file = written(tmp_path, peer.port, allowed=True)
        file.write_text(f"{file.read_text()}\n{OBJECTIVE}\n")
        one = run("check", "--json", "--config", str(file), "engine", "-", stdin=page)
        shown = run("check", "--config", str(file), "engine", "-", stdin=page)
        every = run("check", "--json", "--config", str(file), "engine")
    (told,) = json.loads(one.stdout)["objectives"]
    assert told.startswith("objective chat: 0.45 s lies between the bounds 0.25 s and 0.5 s of ")
    assert "--custom-histogram-buckets" in told
    assert "objectives that cannot be measured (1)" in shown.stdout
    found = {each["source"]: each for each in json.loads(every.stdout)["findings"]}
    finding = found[f"engine 127.0.0.1:{peer.port} objectives"]
    assert finding["state"] == "missing"
    assert finding["reason"].startswith("objective chat: 0.45 s")
    assert "--custom-histogram-buckets" in finding["remedy"]


def test_an_engine_whose_statistics_are_off_is_said_with_what_turns_them_on(tmp_path: Path) -> None:
    """It answers, so its source is well; what it lacks is a finding of its own."""
    page = b'python_info{version="3.12"} 1\nhttp_requests_total{method="GET",status="2xx",handler="/"} 4\n'
    with peer_with(in_turn(answer(page))) as peer:
        done = run("check", "--json", "--config", str(written(tmp_path, peer.port, allowed=True)), "engine")
    found = {each["source"]: each for each in json.loads(done.stdout)["findings"]}
    finding = found[f"engine 127.0.0.1:{peer.port} page"]
    assert (finding["state"], "statistics_off" in finding["reason"]) == ("missing", True)
    assert "--disable-log-stats" in finding["remedy"]


def test_a_page_that_says_nothing_of_its_engine_is_called_blind() -> None:
    """One page by itself too: with the reason, and with what would make the engine speak."""
    pages = Path(__file__).parents[1] / "fixtures" / "engines" / "vllm"
    off, on = [(pages / f"real_v0.32.0_cpu_{name}.txt").read_bytes() for name in ("disable_log_stats.after", "after60")]
    told = [json.loads(run("check", "--json", "engine", "-", stdin=page).stdout)["blind"] for page in (off, on)]
    assert told == ["statistics_off", ""]
    shown = run("check", "engine", "-", stdin=off).stdout
    assert "blind    statistics_off\n" in shown
    assert "--disable-log-stats" in shown


def test_what_is_passed_on_of_a_page_is_said_with_the_reasons_for_what_is_not(tmp_path: Path) -> None:
    """The configuration says what is asked for; a family that cannot be passed on has the reason beside it."""
    (tmp_path / "inferometer.yaml").write_text('engines: {passthrough: {allow: ["vllm:*", "gpu_*"]}}')
    (tmp_path / "page").write_bytes(PAGE + b"# TYPE gpu_cache_usage_perc gauge\ngpu_cache_usage_perc 0.5\n")
    arguments = ("check", "--config", str(tmp_path / "inferometer.yaml"), "engine", str(tmp_path / "page"))
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["passed"] == ["vllm:num_requests_running"]
    assert [each["family"] for each in document["withheld"]] == ["gpu_cache_usage_perc"]
    shown = run(*arguments).stdout
    assert "passed on (1)\n  vllm:num_requests_running\n" in shown
    assert "gpu_cache_usage_perc: names that begin so are taken" in shown
