# SPDX-License-Identifier: Apache-2.0
"""`inferometer record` and `--replay`, as a user runs them: the real program, the compiled library, the committed capture."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import captures
from commands import run
from fakenvml.build import build
from inferometer.config import Config, Engines, Identity, PodResources, Pods, Seconds

ROOT = Path(__file__).parents[2]
# However long the machine stands still while it is read.
PATIENT = {"INFEROMETER_DEVICES__NVIDIA__DEADLINE": "30s"}
DERIVED = ROOT / "tests" / "fixtures" / "captures" / "derived_h100_mig"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def config(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that reads the compiled library."""
    next(captures.story()).write(tmp_path / "node.txt")
    monkeypatch.setenv("FAKENVML", str(tmp_path / "node.txt"))
    monkeypatch.delenv("FAKENVML_LOG", raising=False)
    path = tmp_path / "inferometer.yaml"
    path.write_text(f"devices: {{nvidia: {{library: {library}, deadline: 10s}}}}\n")
    return path


def test_record_says_what_it_wrote_and_what_it_masked(tmp_path: Path, config: Path) -> None:
    """The capture has so many rounds, names the GPUs and the driver, and can be replayed at once."""
    done = run("record", str(tmp_path / "capture"), "--rounds", "2", "--period", "200ms", "--config", str(config))

    assert done.returncode == 0, done.stderr
    assert "recording 2 rounds, one every 0.2 s" in done.stderr
    assert re.search(r"capture/nvml\.jsonl: 2 rounds, \d+ lines, \d+ bytes\n", done.stdout)
    assert re.search(r"^masked: .*2 serial.*4 uuid", done.stdout, re.MULTILINE)
    header = json.loads((tmp_path / "capture" / "capture.json").read_text())
    assert (header["format"], header["rounds"], header["period"]) == (1, 2, 0.2)
    assert header["gpus"] == ["NVIDIA H100 80GB HBM3"] * 2
    assert header["driver"] == "575.57.08"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", header["date"])
    assert header["calls"]["nvmlDeviceGetCount"]["count"] == 2
    again = run("snapshot", "--replay", str(tmp_path / "capture"), "--format", "prometheus", env=PATIENT)
    assert again.returncode == 0, again.stderr
    assert "GPU-00000000-0000-0000-0000-000000000001" in again.stdout


def test_record_prints_a_document(tmp_path: Path, config: Path) -> None:
    """`--json` has the same facts."""
    done = run(
        "record", str(tmp_path / "capture"), "--for", "0.1", "--period", "0.1", "--json", "--config", str(config)
    )

    document = json.loads(done.stdout)
    assert (document["rounds"], document["full"], document["schema"]) == (1, False, 1)
    assert document["masked"]["uuid"] == 4


def test_record_refuses_a_directory_with_something_in_it(tmp_path: Path, config: Path) -> None:
    """And leaves it as it was."""
    done = run("record", str(tmp_path), "--config", str(config))

    assert done.returncode == 1
    assert f"{tmp_path} is not empty" in done.stderr
    assert not (tmp_path / "capture.json").exists()


def test_record_without_a_driver_leaves_nothing_behind(tmp_path: Path) -> None:
    """A node without GPUs has nothing to record: the reason is told, and the name can be used again."""
    config = tmp_path / "inferometer.yaml"
    config.write_text(f"devices: {{nvidia: {{library: {tmp_path / 'none.so'}}}}}\n")

    done = run("record", str(tmp_path / "capture"), "--config", str(config))

    assert done.returncode == 1
    assert "none.so was not found" in done.stderr
    assert list((tmp_path / "capture").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--rounds", "0"), "between 1 and"),
        (("--for", "soon"), "--for must be a duration"),
        (("--period", "1ms"), "--period must be at least"),
    ],
)
def test_record_names_a_wrong_option(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    """Nothing is made of it."""
    done = run("record", str(tmp_path / "capture"), *options)

    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "capture").exists()


def test_a_replay_says_that_it_is_none_of_this_machine() -> None:
    """Every series of a device carries `inferometer_simulated`, and no other source is asked."""
    done = run("snapshot", "--replay", str(DERIVED), "--format", "prometheus", env=PATIENT)

    assert done.returncode == 0, done.stderr
    device_lines = [line for line in done.stdout.splitlines() if re.match(r"(hw|gpu)_\w+\{", line)]
    assert len(device_lines) > 50
    assert [line for line in device_lines if 'inferometer_simulated="true"' not in line] == []
    sources = set(re.findall(r'inferometer_source_up\{[^}]*inferometer_source_name="(\w+)"', done.stdout))
    assert sources == {"nvidia"}


def test_check_replays(tmp_path: Path) -> None:
    """What a recorded GPU does not tell can be looked into elsewhere."""
    done = run("check", "--replay", str(DERIVED), env=PATIENT)

    assert "2 GPUs, 2 MIG instances" in done.stdout


@pytest.mark.parametrize("command", ["run", "snapshot", "check"])
def test_a_damaged_capture_is_named_by_file_and_line(command: str, tmp_path: Path) -> None:
    """Before anything is started."""
    shutil.copytree(DERIVED, tmp_path / "damaged")
    path = tmp_path / "damaged" / "nvml.jsonl"
    path.write_text(path.read_text()[:1000])

    done = run(command, "--replay", str(tmp_path / "damaged"))

    assert done.returncode == 1
    assert re.search(rf"{re.escape(str(path))}, line \d+: cut off", done.stderr)


def test_a_replay_looks_at_this_machine_only_where_that_is_configured() -> None:
    """The kubelet and the API server are left alone unless somebody has named them; the period is the recording's."""
    from inferometer.app.captured import adapt

    plain = adapt(Config(), Seconds(2))
    named = Config(
        identity=Identity(podresources=PodResources(socket="/somewhere.sock"), pods=Pods(server="https://api:6443")),
        engines=Engines(enabled=True),
    )
    configured = adapt(named, Seconds(2))

    assert plain.period == Seconds(2)
    assert not plain.identity.podresources.enabled
    assert plain.identity.pods.source == "off"
    assert not plain.devices.kernel_log.enabled
    unseen = replace(named.identity.processes, enabled=False)  # their numbers are another time's
    assert configured.identity == replace(named.identity, processes=unseen)
    assert configured.engines == named.engines
