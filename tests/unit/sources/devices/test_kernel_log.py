# SPDX-License-Identifier: Apache-2.0
"""The kernel's log as a source: where reading begins, what is lost, what is kept, and what it costs nobody."""

import errno
import logging
import os
import pty
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fakekmsg import USER_ERROR, FakeKmsg
from inferometer.config import KernelLog as Settings
from inferometer.model import KernelReport, Reason, Trouble
from inferometer.simulation.kernel_log import KernelLog as SimulatedLog
from inferometer.sources.devices import kernel_log, kernel_place
from inferometer.sources.devices.kernel_log import MOST, KernelLog
from inferometer.sources.devices.kernel_place import Place
from inferometer.sources.devices.kmsg import LONGEST, open_log

BOOT, OTHER_BOOT = "6c9949eb-d00b-44f0-a8d9-38b463c1bf7d", "00000000-d00b-44f0-a8d9-38b463c1bf7d"
XID = "NVRM: Xid (PCI:0000:3b:00): {}, pid=4711, name=python, Ch 00000008"


class Clocks:
    """The time of day and CLOCK_MONOTONIC, of a machine that was started a day ago."""

    def __init__(self) -> None:
        self.now, self.steady = 1_795_000_000.0, 86_400.0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def kmsg() -> FakeKmsg:
    return FakeKmsg()


Make = Callable[..., KernelLog]


@pytest.fixture
def make(kmsg: FakeKmsg, clocks: Clocks, tmp_path: Path) -> Iterator[Make]:
    """Make sources on the fake log, each as if in a process of its own."""
    made: list[KernelLog] = []

    def make(state: Path | None = None, boot: str = BOOT, path: Path | None = None) -> KernelLog:
        kernel_log._left.clear()
        settings = Settings(path=str(path or tmp_path / "kmsg"), state=str(state or ""))
        source = KernelLog(
            settings, 5.0, opener=kmsg.open, clock=lambda: clocks.now, steady=lambda: clocks.steady, boot=boot
        )
        made.append(source)
        return source

    yield make
    for source in made:
        source.close()


def codes(report: KernelReport) -> list[int]:
    return [xid.code for xid in report.xids]


def test_an_xid_has_all_that_its_line_tells(make: Make, kmsg: FakeKmsg, clocks: Clocks) -> None:
    """Code, address, instance, process, teller, and when it was in Unix seconds."""
    source = make()
    source.read()
    clocks.advance(5)
    kmsg.say("NVRM: Xid (PCI:0000:3b:00 GPU-I:05 GPU-CI:00): 94, pid=4711, name=x, Contained", clocks.steady - 2)
    (xid,) = source.read().xids

    assert (xid.code, xid.pci_address, xid.pid, xid.teller, xid.device) == (94, "0000:3b:00.0", 4711, "kernel", "")
    assert (xid.gpu_instance, xid.compute_instance, xid.times) == (5, 0, 1)
    assert xid.at == pytest.approx(clocks.now - 2)


def test_an_sxid_has_its_switch_and_whether_it_is_fatal(make: Make, kmsg: FakeKmsg) -> None:
    """Once for its three lines, numbered among the XIDs."""
    source = make()
    source.read()
    kmsg.say(XID.format(79))
    for text in ("Fatal, Link 46 ingress", "Severity 1 Engine instance 46 Sub-engine instance 00", "Data {0x0000002e}"):
        kmsg.say(f"nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 11001, {text}")
    report = source.read()
    (sxid,) = report.sxids

    assert (sxid.code, sxid.pci_address, sxid.fatal) == (11001, "0000:c1:00.0", True)
    assert sxid.number == report.xids[0].number + 1


def test_the_first_start_begins_at_the_end(make: Make, kmsg: FakeKmsg) -> None:
    """What was said before is not known to be news; what comes after counts, and stays in later reports."""
    kmsg.say(XID.format(13))
    source = make()
    assert codes(source.read()) == []
    kmsg.say(XID.format(79))
    assert codes(source.read()) == [79]
    kmsg.say(XID.format(31))
    report = source.read()

    assert codes(report) == [79, 31]
    assert all(a.number + 1 == b.number for a, b in pairwise(report.xids))
    assert report.lost == 0


def test_other_lines_and_other_speakers_do_not_count(make: Make, kmsg: FakeKmsg) -> None:
    """The kernel says much else, and a process may imitate it."""
    source = make()
    source.read()
    kmsg.say("usb 1-1: new device\n SUBSYSTEM=usb\n DEVICE=+usb:1-1")
    kmsg.say(XID.format(79), prefix=USER_ERROR)
    kmsg.say(b"\xff\xfe garbage \x00")
    kmsg.put(b"\x00\x01 no record at all")
    kmsg.say(XID.format(31) + "\n DEVICE=+pci:0000:3b:00.0\n NVRM: Xid (PCI:0000:3b:00): 62, x")

    assert codes(source.read()) == [31]


def test_overwritten_records_are_counted(make: Make, kmsg: FakeKmsg) -> None:
    """The kernel says EPIPE; the gap in the sequence numbers says how many, and reading goes on at the oldest."""
    kmsg.records = type(kmsg.records)(maxlen=10)
    source = make()
    source.read()
    kmsg.say("known")
    source.read()
    for code in range(1, 26):
        kmsg.say(XID.format(code))
    report = source.read()

    assert codes(report) == list(range(16, 26))
    assert report.lost == 15
    assert source.read().lost == 15


def test_a_record_that_is_too_long_is_one_lost(make: Make, kmsg: FakeKmsg) -> None:
    """The kernel says EINVAL and goes on behind it."""
    source = make()
    source.read()
    kmsg.say(XID.format(13))
    kmsg.say(XID.format(31) + "x" * LONGEST)
    kmsg.say(XID.format(79))
    report = source.read()

    assert (codes(report), report.lost) == ([13, 79], 1)


@pytest.mark.parametrize(("old", "lost"), [(1, 5), (0, 1)])
def test_an_overrun_before_anything_was_taken_is_counted(make: Make, kmsg: FakeKmsg, old: int, lost: int) -> None:
    """What was there at the start tells from where to count; without anything, how many is not known: at least one."""
    kmsg.records = type(kmsg.records)(maxlen=3)
    for _ in range(old):
        kmsg.say("old")
    source = make()
    source.read()
    for code in range(1, 9):
        kmsg.say(XID.format(code))
    report = source.read()

    assert (codes(report), report.lost) == ([6, 7, 8], lost)


def test_a_storm_is_taken_in_portions(make: Make, kmsg: FakeKmsg) -> None:
    """Different XIDs without end: each read takes a bounded number, none is lost, and only the newest are kept."""
    source = make()
    source.read()
    for process in range(2 * MOST + 500):
        kmsg.say(f"NVRM: Xid (PCI:0000:3b:00): 31, pid={process + 1}, name=x")
    sizes, seen = [], set()
    for _ in range(4):
        report = source.read()
        sizes.append(len(report.xids))
        seen |= {xid.pid for xid in report.xids}

    assert sizes == [MOST, 2 * MOST, 2 * MOST, 2 * MOST]
    assert seen == set(range(1, 2 * MOST + 501))


def test_equal_xids_of_a_second_are_one_with_their_number(make: Make, kmsg: FakeKmsg, clocks: Clocks) -> None:
    """A storm of the same XID does not push out others."""
    source = make()
    source.read()
    clocks.advance(5)
    for _ in range(700):
        kmsg.say(XID.format(31), clocks.steady - 3)
    kmsg.say(XID.format(79), clocks.steady - 3)
    kmsg.say(XID.format(31), clocks.steady)
    report = source.read()

    assert [(xid.code, xid.times) for xid in report.xids] == [(31, 700), (79, 1), (31, 1)]


@pytest.mark.parametrize(("drift", "expected"), [(-900.0, 5.0), (+900.0, 0.0), (-2.0, 2.0)])
def test_the_kernels_clock_may_drift(make: Make, kmsg: FakeKmsg, clocks: Clocks, drift: float, expected: float) -> None:
    """A record was written between the last read and this one, whatever its stamp says after months of uptime."""
    source = make()
    source.read()
    clocks.advance(5)
    kmsg.say(XID.format(79), clocks.steady + drift)
    (xid,) = source.read().xids

    assert clocks.now - xid.at == pytest.approx(expected)


def test_a_step_of_the_time_of_day_does_not_matter(make: Make, kmsg: FakeKmsg, clocks: Clocks) -> None:
    """Age is told by the steady clock, and the time of day is asked at each read."""
    source = make()
    source.read()
    clocks.advance(5)
    clocks.now += 3600
    kmsg.say(XID.format(79), clocks.steady - 1)
    (xid,) = source.read().xids

    assert xid.at == pytest.approx(clocks.now - 1)


# --- the state file -----------------------------------------------------------------------------------------------


def test_after_a_restart_reading_goes_on_where_it_stopped(make: Make, kmsg: FakeKmsg, tmp_path: Path) -> None:
    """What was said while the agent was away counts once, and what it had read does not count again."""
    state = tmp_path / "place"
    kmsg.say("boot")
    before = make(state)
    before.read()
    kmsg.say(XID.format(13))
    assert codes(before.read()) == [13]
    before.close()
    kmsg.say(XID.format(79))
    report = make(state).read()

    assert (codes(report), report.lost) == ([79], 0)


def test_an_xid_that_comes_while_the_agent_restarts_for_the_first_time_counts_once(
    make: Make, kmsg: FakeKmsg, tmp_path: Path
) -> None:
    """The place is kept from the first read on, before there was anything new: killed then, too, it goes on there."""
    state = tmp_path / "place"
    kmsg.say(XID.format(13))
    kmsg.say("the newest")
    make(state).read()  # and is killed: nothing is closed
    assert kernel_place.load(str(state)) == Place(BOOT, 1)

    kmsg.say(XID.format(79))
    report = make(state).read()

    assert (codes(report), report.lost) == ([79], 0)


@pytest.mark.parametrize("error", [errno.EPIPE, errno.EINVAL])
def test_what_is_passed_over_may_be_overwritten_meanwhile(
    make: Make, kmsg: FakeKmsg, error: int, tmp_path: Path
) -> None:
    """The end is found all the same, and nothing that is old counts as lost."""
    state = tmp_path / "place"
    kmsg.say("old" + "x" * (LONGEST if error == errno.EINVAL else 0))
    kmsg.say(XID.format(13))
    if error == errno.EPIPE:
        kmsg.records = type(kmsg.records)(kmsg.records, maxlen=2)

        def overwrite() -> None:
            kmsg.asked = lambda: None
            kmsg.say(XID.format(31))

        kmsg.asked = overwrite
    report = make(state).read()

    assert (codes(report), report.lost) == ([], 0)
    assert kernel_place.load(str(state)) == Place(BOOT, 2 if error == errno.EPIPE else 1)


def test_a_log_that_takes_too_long_to_pass_over_is_read_from_its_end(
    make: Make, kmsg: FakeKmsg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one that is written faster than it is read: the place is known with the next record, which counts."""
    monkeypatch.setattr(kernel_log, "_PASSING", 0.0)
    kmsg.say(XID.format(13))
    source = make(tmp_path / "place")
    assert codes(source.read()) == []
    kmsg.say(XID.format(79))

    assert codes(source.read()) == [79]
    assert kernel_place.load(str(tmp_path / "place")) == Place(BOOT, 1)


def test_what_was_overwritten_while_the_agent_was_away_is_counted(make: Make, kmsg: FakeKmsg, tmp_path: Path) -> None:
    """The saved sequence number tells how many."""
    kernel_place.save(str(tmp_path / "place"), Place(BOOT, 4))
    kmsg.records = type(kmsg.records)(maxlen=2)
    for code in range(1, 11):  # sequence numbers 0 to 9
        kmsg.say(XID.format(code))
    report = make(tmp_path / "place").read()

    assert (codes(report), report.lost) == ([9, 10], 3)


def test_after_a_reboot_the_whole_log_is_news(make: Make, kmsg: FakeKmsg, clocks: Clocks, tmp_path: Path) -> None:
    """The agent comes late in a boot: what the driver said at its own start counts, at the time it was said."""
    kernel_place.save(str(tmp_path / "place"), Place(OTHER_BOOT, 4000))
    kmsg.say(XID.format(79), 12.0)
    kmsg.say("later", 50.0)
    source = make(tmp_path / "place")
    (xid,) = source.read().xids
    source.close()

    assert xid.code == 79
    assert xid.at == pytest.approx(clocks.now - (clocks.steady - 12.0))
    assert kernel_place.load(str(tmp_path / "place")) == Place(BOOT, 1)


@pytest.mark.parametrize("content", [b"", b"6c9949eb-d0", b"\xff\xff\n", f"{BOOT} {10**30}\n".encode(), b"x" * 10_000])
def test_a_torn_state_file_is_told_once_and_ignored(
    make: Make, kmsg: FakeKmsg, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is as if there were none: reading begins at the end, and the file is soon whole again."""
    state = tmp_path / "place"
    state.write_bytes(content)
    kmsg.say(XID.format(13))
    source = make(state)
    assert codes(source.read()) == []
    kmsg.say(XID.format(79))
    assert codes(source.read()) == [79]
    source.close()

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert kernel_place.load(str(state)) == Place(BOOT, 1)


def test_a_state_file_from_ahead_of_the_log_does_not_silence_it(
    make: Make, kmsg: FakeKmsg, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that was copied or damaged may name a record that is yet to come."""
    kernel_place.save(str(tmp_path / "place"), Place(BOOT, 1_000_000))
    kmsg.say(XID.format(13))
    source = make(tmp_path / "place")
    assert codes(source.read()) == []
    kmsg.say(XID.format(79))

    assert codes(source.read()) == [79]
    assert "ahead" in caplog.text


def test_the_state_file_is_written_every_few_seconds(
    make: Make, kmsg: FakeKmsg, clocks: Clocks, tmp_path: Path
) -> None:
    """Not at every read, not where nothing is new, and by replacing it at once."""
    state = tmp_path / "place"
    source = make(state)
    source.read()
    assert not state.exists()  # there is no record: there is no place
    kmsg.say("a")
    source.read()
    assert kernel_place.load(str(state)) == Place(BOOT, 0)
    kmsg.say("b")
    clocks.advance(1)
    source.read()
    assert kernel_place.load(str(state)) == Place(BOOT, 0)
    clocks.advance(5)
    source.read()

    assert kernel_place.load(str(state)) == Place(BOOT, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_state_file_that_cannot_be_written_is_told_once(
    make: Make, kmsg: FakeKmsg, clocks: Clocks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """XIDs are read all the same."""
    source = make(tmp_path / "nowhere" / "place")
    source.read()
    for code in (13, 31, 79):
        kmsg.say(XID.format(code))
        clocks.advance(10)
        report = source.read()

    assert codes(report) == [13, 31, 79]
    assert len(caplog.records) == 1


# --- life ---------------------------------------------------------------------------------------------------------


def test_a_successor_in_the_same_process_loses_nothing(kmsg: FakeKmsg, tmp_path: Path) -> None:
    """A new configuration makes a new source: it goes on where the last one stopped, also without a state file."""
    settings = Settings(path=str(tmp_path / "kmsg"))
    kmsg.records = type(kmsg.records)(maxlen=3)
    before = KernelLog(settings, 5.0, opener=kmsg.open)
    before.read()
    for code in (1, 2, 3, 4, 5):
        kmsg.say(XID.format(code))
    before.read()
    before.close()
    kmsg.say(XID.format(6))
    after = KernelLog(settings, 5.0, opener=kmsg.open)
    report = after.read()
    after.close()

    assert codes(report) == [6]
    assert report.lost == 1  # as the one before has counted


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errno.ENOENT, Reason.MISSING),
        (errno.EPERM, Reason.PERMISSION),
        (errno.EACCES, Reason.PERMISSION),
        (errno.ENOTSUP, Reason.UNSUPPORTED),
        (errno.EIO, Reason.REJECTED),
    ],
)
def test_a_log_that_fails_says_why_and_is_read_on_when_it_works_again(
    make: Make, kmsg: FakeKmsg, error: int, reason: Reason
) -> None:
    """What was said in between counts, since the last sequence number is known."""
    source = make()
    kmsg.say(XID.format(13))
    source.read()
    kmsg.say(XID.format(31))
    source.read()
    kmsg.broken = error
    for _ in range(2):
        with pytest.raises(Trouble) as trouble:
            source.read()
        assert trouble.value.reason == reason
        assert trouble.value.remedy
    kmsg.broken = None
    kmsg.say(XID.format(79))

    assert codes(source.read()) == [31, 79]


def test_a_closed_source_refuses(make: Make) -> None:
    """A read that comes late opens nothing."""
    source = make()
    source.read()
    source.close()
    with pytest.raises(Trouble) as trouble:
        source.read()
    assert trouble.value.reason == Reason.REFUSED


# --- devices ------------------------------------------------------------------------------------------------------


def test_the_simulated_nodes_fifo_is_read_record_by_record(tmp_path: Path) -> None:
    """Each read of the packets in a pipe gives one, and its emptiness is the end; nobody at the other end is no harm."""
    written = SimulatedLog(tmp_path / "kmsg")
    source = KernelLog(Settings(path=str(tmp_path / "kmsg")), 5.0)
    try:
        assert codes(source.read()) == []
        written.say(XID.format(13))
        written.say(XID.format(79))
        assert codes(source.read()) == [13, 79]
    finally:
        written.close()
    assert codes(source.read()) == [13, 79]
    source.close()


def test_what_is_no_kernel_log_is_refused(tmp_path: Path) -> None:
    """A container's runtime may have put a terminal or /dev/null there: nothing of it is read."""
    (tmp_path / "file").write_text("3,1,1,-;NVRM: Xid (PCI:0000:3b:00): 79, x\n")
    outer, inner = pty.openpty()
    os.write(outer, b"typed\n")
    try:
        for path in (str(tmp_path / "file"), str(tmp_path), "/dev/null", "/dev/zero", os.ttyname(inner)):
            with pytest.raises(OSError) as error:
                open_log(path)
            assert error.value.errno == errno.ENOTSUP, path
        assert os.read(inner, 100) == b"typed\n"
    finally:
        os.close(outer)
        os.close(inner)


def test_this_machines_own_log_is_read_or_the_reason_is_told(tmp_path: Path) -> None:
    """All of this boot is read to its end without waiting; where a machine does not show its log, that has a remedy."""
    state = tmp_path / "place"
    kernel_place.save(str(state), Place(OTHER_BOOT, 0))
    source = KernelLog(Settings(state=str(state)), 5.0)
    try:
        source.read()
    except Trouble as trouble:
        assert trouble.reason in {Reason.MISSING, Reason.PERMISSION, Reason.UNSUPPORTED}, trouble.told()
        assert trouble.remedy
        return
    finally:
        source.close()
    place = kernel_place.load(str(state))

    assert place is not None
    assert place.boot == kernel_place.boot_id()
