# SPDX-License-Identifier: Apache-2.0
"""The processes on the GPUs and whose they are, read from a `/proc`."""

import os
from pathlib import Path

import pytest

from inferometer import config
from inferometer.model import Reason, Trouble, Whereabouts
from inferometer.sources.identity import cgroups as module
from inferometer.sources.identity.cgroups import Cgroups

UID = "7f1a6c9e-2b63-4d0f-9b1e-0c5a4d3e2f10"
OTHER = "00000000-aaaa-bbbb-cccc-111111111111"
ID, OTHER_ID = "c0ffee" + "0" * 58, "f00d" + "2" * 60
IN_POD, IN_OTHER = f"0::/kubepods/burstable/pod{UID}/{ID}", f"0::/kubepods/burstable/pod{OTHER}/{OTHER_ID}"

TICKS = os.sysconf("SC_CLK_TCK")
UP = 10_000.0  # seconds since boot
BOOTED = 1_700_000_000.0  # Unix seconds


class Proc:
    """A `/proc` of files: the node's init, the agent, and what a test adds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.add(1, "0::/init.scope", began=0.0, name="systemd")
        self.agent("0::/system.slice/inferometer.service")

    def add(self, pid: int, cgroup: str, *, began: float = 5_000.0, state: str = "R", name: str = "python") -> None:
        """Start a process, or another one under its number."""
        there = self.path / str(pid)
        there.mkdir(parents=True, exist_ok=True)
        (there / "cgroup").write_text(cgroup + "\n")
        fields = [state, "1", "1", "1", "0", "-1", "4194304", *["0"] * 12, str(round(began * TICKS)), "0", "0"]
        (there / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")

    def agent(self, cgroup: str, *, namespace: str = "pid:[4026531836]", numbers: str = "77") -> None:
        """Say where the agent is."""
        there = self.path / "self"
        (there / "ns").mkdir(parents=True, exist_ok=True)
        (there / "cgroup").write_text(cgroup + "\n")
        (there / "status").write_text(f"Name:\tpython\nNSpid:\t{numbers}\n")
        (there / "ns" / "pid").unlink(missing_ok=True)
        (there / "ns" / "pid").symlink_to(namespace)

    def end(self, pid: int) -> None:
        """End a process."""
        for file in (self.path / str(pid)).iterdir():
            file.unlink()
        (self.path / str(pid)).rmdir()


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "proc")


def reader(proc: Proc, *, own: Path | None = None) -> Cgroups:
    return Cgroups(
        config.Processes(proc=str(proc.path)),
        5.0,
        own=str(own or proc.path),
        clock=lambda: BOOTED + UP,
        since_boot=lambda: UP,
    )


def seen(*pids: int, at: float | None = BOOTED + UP - 30) -> dict[int, float | None]:
    return dict.fromkeys(pids, at)


def found(source: Cgroups) -> dict[int, tuple[str, str, bool]]:
    return {each.pid: (each.pod_uid, each.container_id, each.host) for each in source.read()}


def test_whose_they_are(proc: Proc) -> None:
    """A container's process is its pod's, another one is the host's; one that has ended is not told."""
    proc.add(400, IN_POD)
    proc.add(300, "0::/user.slice/user-1000.slice/session-3.scope")
    source = reader(proc)

    assert source.aim(seen(400, 300, 999))
    assert source.read() == (Whereabouts(300, host=True), Whereabouts(400, UID, ID))


def test_only_new_ones_are_news(proc: Proc) -> None:
    """`aim` tells when there is a process to look at that was not there before."""
    source = reader(proc)

    assert source.aim(seen(400))
    assert not source.aim(seen(400))
    assert not source.aim(seen())
    assert source.aim(seen(400, 401))


def test_a_known_process_is_not_read_again(proc: Proc) -> None:
    """What a process's cgroup said holds as long as the process lives, even where its last words are the root's."""
    proc.add(400, IN_POD)
    source = reader(proc)
    source.aim(seen(400))
    source.read()

    proc.add(400, "0::/", state="Z")

    assert found(source) == {400: (UID, ID, False)}


def test_a_number_that_is_used_again(proc: Proc) -> None:
    """A number with another beginning is another process."""
    proc.add(400, IN_POD, began=5_000)
    source = reader(proc)
    source.aim(seen(400))
    source.read()

    proc.add(400, IN_OTHER, began=6_000)

    assert found(source) == {400: (OTHER, OTHER_ID, False)}


def test_younger_than_the_list_that_names_it(proc: Proc) -> None:
    """A process that began after its number was seen on a GPU is not the one that was seen; one of that second may be."""
    proc.add(400, IN_OTHER, began=UP - 10)
    proc.add(401, IN_OTHER, began=UP - 29.5)
    source = reader(proc)
    source.aim(seen(400, 401, at=BOOTED + UP - 30))
    assert found(source) == {401: (OTHER, OTHER_ID, False)}

    source.aim(seen(400, at=BOOTED + UP - 5))  # the next list has it
    assert found(source) == {400: (OTHER, OTHER_ID, False)}


def test_the_clock_may_be_set(proc: Proc) -> None:
    """What was told once is not younger or older for a clock that is set an hour ahead."""
    now = [BOOTED + UP]
    proc.add(400, IN_POD, began=UP - 60)
    source = Cgroups(config.Processes(proc=str(proc.path)), 5.0, clock=lambda: now[0], since_boot=lambda: UP)
    source.aim(seen(400))
    now[0] += 3600
    source.aim(seen(400))

    assert found(source) == {400: (UID, ID, False)}


def test_without_a_time_of_the_list(proc: Proc) -> None:
    """Where nobody knows when a process was seen, it may be any age."""
    proc.add(400, IN_POD, began=UP - 1)
    source = reader(proc)
    source.aim(seen(400, at=None))

    assert found(source) == {400: (UID, ID, False)}


def test_one_that_is_ending(proc: Proc) -> None:
    """A process that has left its cgroup already, and was not known before, is nobody's, and not the host's."""
    proc.add(400, "0::/", state="Z")
    (proc.path / "400" / "stat").write_text("400 (x) Z 1 1 1 0 -1 4194308 " + "0 " * 12 + "500000 0\n")
    proc.add(401, "0::/")
    (proc.path / "401" / "stat").write_text("401 (x) R 1 1 1 0 -1 4194308 " + "0 " * 12 + "500000 0\n")
    source = reader(proc)
    source.aim(seen(400, 401))

    assert found(source) == {}


@pytest.mark.parametrize("name", ["a) R 1 1 (", ")))", "", "x\ny", "tensor parallel 0"])
def test_names_of_processes(proc: Proc, name: str) -> None:
    """A process may have parentheses, spaces and line ends in its name."""
    proc.add(400, IN_POD, name=name)
    source = reader(proc)
    source.aim(seen(400))

    assert found(source) == {400: (UID, ID, False)}


@pytest.mark.parametrize("stat", ["", "400", "400 (x) R 1", "400 (x) " + "x " * 30])
def test_a_stat_that_says_nothing(proc: Proc, stat: str) -> None:
    """A process whose beginning cannot be read costs the others nothing."""
    proc.add(400, IN_POD)
    proc.add(401, IN_POD)
    (proc.path / "400" / "stat").write_text(stat)
    source = reader(proc)
    source.aim(seen(400, 401))

    assert list(found(source)) == [401]


def test_bounded(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more processes are looked at than the limit says, and the others are counted."""
    monkeypatch.setattr(module, "MOST", 2)
    for pid in (400, 401, 402):
        proc.add(pid, IN_POD)
    source = reader(proc)
    source.aim(seen(400, 401, 402))

    assert list(found(source)) == [400, 401]
    assert source.dropped == 1


# --- whether the node's processes are seen ------------------------------------------------------------------------


OWN_V1 = f"2:cpu:/kubepods/pod{OTHER}/{OTHER_ID}"
NESTED = "pid:[4026532819]"


@pytest.mark.parametrize(
    ("agent", "first"),
    [
        (OWN_V1, OWN_V1),  # process 1 is the container's own
        ("0::/", "0::/"),  # the same, in a cgroup namespace of its own
        (OWN_V1, f"2:cpu:/kubepods/pod{OTHER}/{ID}"),  # the pod's containers share their processes: it is the sandbox's
        ("0::/", f"0::/../cri-containerd-{ID}.scope"),  # likewise
        ("0::/", f"0::/../{ID}"),
    ],
)
def test_without_host_pid(proc: Proc, agent: str, first: str) -> None:
    """In the pid namespace of a container or pod the node's processes are not seen, and that is said."""
    proc.add(1, first)
    proc.agent(agent, namespace=NESTED)
    proc.add(400, IN_POD)
    source = reader(proc)
    source.aim(seen(400))

    with pytest.raises(Trouble, match="no hostPID") as told:
        source.read()
    assert told.value.reason is Reason.UNSUPPORTED
    assert "hostPID" in told.value.remedy


@pytest.mark.parametrize(
    ("agent", "first"),
    [
        ("0::/", "0::/../../../../init.scope"),
        ("0::/", "0::/../../../.."),
        (OWN_V1, "2:cpu:/init.scope"),
        (OWN_V1, f"2:cpu:/docker/{ID}/init.scope"),
        ("0::/system.slice/inferometer.service", "0::/init.scope"),
    ],
)
def test_a_node_that_is_a_container(proc: Proc, agent: str, first: str) -> None:
    """A node of kind has a pid namespace of its own: with hostPID its init is process 1, and its processes are seen."""
    proc.add(1, first)
    proc.agent(agent, namespace=NESTED)
    proc.add(400, IN_POD)
    source = reader(proc)
    source.aim(seen(400))

    assert found(source) == {400: (UID, ID, False)}


def test_private_cgroups_on_the_node(proc: Proc) -> None:
    """With hostPID and a cgroup namespace of its own, the agent's own container is nobody's and the node's are the host's."""
    proc.add(1, "0::/../../../../init.scope")
    proc.agent("0::/")
    proc.add(400, f"0::/../../pod{UID}/{ID}")
    proc.add(401, "0::/")
    proc.add(402, "0::/../../../../system.slice/dcgm.service")
    source = reader(proc)
    source.aim(seen(400, 401, 402))

    assert found(source) == {400: (UID, ID, False), 401: ("", "", False), 402: ("", "", True)}


def test_the_nodes_proc_mounted_elsewhere(proc: Proc, tmp_path: Path) -> None:
    """Without hostPID the node's /proc serves, but a number that a process of the agent's own pod has too is nobody's."""
    proc.agent("0::/", namespace=NESTED, numbers="4321\t7")
    proc.add(1, "0::/../../../../init.scope")
    proc.add(7, "0::/../../../..")
    proc.add(400, IN_POD)
    own = tmp_path / "own"
    (own / "7").mkdir(parents=True)
    source = reader(proc, own=own)
    source.aim(seen(7, 400))

    assert found(source) == {400: (UID, ID, False)}


def test_processes_that_are_hidden(proc: Proc) -> None:
    """Where even process 1 is hidden from the agent, that is said instead of nobody's being there."""
    proc.end(1)
    source = reader(proc)
    source.aim(seen(400))

    with pytest.raises(Trouble, match="process 1 cannot be seen") as told:
        source.read()
    assert told.value.reason is Reason.PERMISSION
    assert "hidepid" in told.value.remedy


def test_no_proc_at_all(tmp_path: Path) -> None:
    """A path with nothing behind it is said to be the setting's."""
    source = Cgroups(config.Processes(proc=str(tmp_path)), 5.0)

    with pytest.raises(Trouble, match="process 1 cannot be seen") as told:
        source.read()
    assert told.value.reason is Reason.MISSING
    assert "identity.processes.proc" in told.value.remedy


def test_this_machine() -> None:
    """The real /proc says whose this process is, or why it cannot be told here."""
    source = Cgroups(config.Processes(), 5.0)
    source.aim({os.getpid(): None})
    try:
        (me,) = source.read()
    except Trouble as trouble:
        assert trouble.reason is Reason.UNSUPPORTED
    else:
        assert me.pid == os.getpid()
