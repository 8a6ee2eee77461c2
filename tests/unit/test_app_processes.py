# SPDX-License-Identifier: Apache-2.0
"""The pipeline looks for the processes that the driver shows."""

from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.app import Pipeline, Stand, check, simulate
from inferometer.config import Config, Processes, Seconds
from inferometer.model import DeviceReport, Whereabouts

UID, ID = "7f1a6c9e-2b63-4d0f-9b1e-0c5a4d3e2f10", "c0ffee" + "0" * 58


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A `/proc` with an init and the agent, in the machine's first pid namespace."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to("pid:[4026531836]")
    (tmp_path / "self" / "status").write_text("NSpid:\t7\n")
    (tmp_path / "1").mkdir()
    for each in ("self", "1"):
        (tmp_path / each / "cgroup").write_text("0::/init.scope\n")
    return tmp_path


def looking(config: Config, proc: Path) -> Config:
    identity = replace(config.identity, processes=Processes(proc=str(proc)))
    devices = replace(config.devices, nvidia=replace(config.devices.nvidia, deadline=Seconds(30)))
    return replace(config, period=Seconds(60), devices=devices, identity=identity)


def start(proc: Path, pid: int) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cgroup").write_text(f"0::/kubepods/pod{UID}/{ID}\n")
    (proc / str(pid) / "stat").write_text(f"{pid} (python) S {'0 ' * 18} 100 0\n")


def read(pipeline: Pipeline) -> tuple[set[int], tuple[Whereabouts, ...] | None]:
    """Step; give the processes that the driver shows, and what is known of them in the same step."""
    pipeline.step(patience=60)
    told = {frame.source: frame.value for frame in pipeline._board.frames().good}
    report, where = told["nvidia"], told.get("cgroups")
    assert isinstance(report, DeviceReport)
    assert where is None or isinstance(where, tuple)
    return {process.pid for process in report.processes}, where


def test_a_new_process_is_looked_for_in_the_same_step(proc: Path) -> None:
    """Whose the processes are is known as soon as the driver shows them."""
    with simulate(Config()) as (simulated, stand):
        config = looking(simulated, proc)
        pids, where = first(config, stand)
        assert pids
        assert where == ()

        for pid in pids:
            start(proc, pid)
        pids, where = first(config, stand)
        assert where == tuple(Whereabouts(pid, UID, ID) for pid in sorted(pids))


def first(config: Config, stand: Stand) -> tuple[set[int], tuple[Whereabouts, ...] | None]:
    pipeline = Pipeline(config, {}, stand)
    try:
        return read(pipeline)
    finally:
        pipeline.close()


def test_check_says_what_is_missing(proc: Path) -> None:
    """Without hostPID the source is absent, which is nothing wrong; switched off it is off."""
    (proc / "self" / "ns" / "pid").unlink()
    with simulate(Config()) as (config, stand):
        hidden = looking(config, proc)
        (told,) = (finding for finding in check(hidden, {}, stand) if finding.source == "cgroups")
        assert (told.state, "no hostPID" in told.reason) == ("absent", True)

        (told,) = (finding for finding in check(config, {}, stand) if finding.source == "cgroups")
        assert told.state == "off"
