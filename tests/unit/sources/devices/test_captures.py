# SPDX-License-Identifier: Apache-2.0
"""Captures through the real parts: the sampler child records nvidia-ml-py on the compiled library, and replays it."""

import gzip
import json
import re
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import captures
from fakenvml.driver import Driver, read_until
from fakenvml.fakenvml import Fault, Gpu, Node, Vgpu
from inferometer.model import DeviceReport
from inferometer.sources.devices.captures import files
from inferometer.sources.devices.nvidia import Nvidia

_KNOWN = (captures.WHOLE, captures.SPLIT, captures.FIRST, captures.SECOND, *captures.SERIALS)


def told(report: DeviceReport) -> list[str]:
    """Everything that a report says but times, numbers of its own, and how long calls took."""
    events = [(xid.device, xid.code, xid.gpu_instance, xid.compute_instance, xid.times) for xid in report.events]
    lists = (report.devices, report.readings, report.unsupported, report.failed, report.processes, events)
    return [re.sub(r", at=[^,)]+", "", repr(item)) for items in lists for item in items]


def energies(report: DeviceReport) -> list[object]:
    """The counters that rise in each round of the story."""
    return [reading.value for reading in report.readings if reading.metric.name == "hw.energy"]


def rounds(source: Nvidia, count: int) -> list[DeviceReport]:
    """Read so often, as far apart as the story was recorded."""
    reports = []
    for _ in range(count):
        reports.append(source.read())
        time.sleep(captures.APART)
    return reports


@pytest.fixture
def recorded(driver: Driver, tmp_path: Path) -> tuple[Path, list[DeviceReport]]:
    """A capture of the story, and what was reported while it was made."""
    directory = tmp_path / "capture"
    return directory, captures.record(directory, driver.library, driver.text)


def masks(directory: Path, live: DeviceReport) -> Callable[[str], str]:
    """Give what puts the masked identities for the real ones, which a replay's devices and the live ones' tell."""
    with closing(captures.replaying(directory)) as source:
        replayed = source.read()
    pairs: dict[str, str] = {}
    for one, other in zip(live.devices, replayed.devices, strict=True):
        hidden = {key for key, text in one.details.items() if text != other.details[key]}
        assert hidden <= {"hw.serial_number", "gpu.fabric.cluster.uuid"}
        pairs |= {one.uuid: other.uuid} | {one.details[key]: other.details[key] for key in hidden}
    for process, masked in zip(live.processes, replayed.processes, strict=True):
        pairs[f"pid={process.pid}"] = f"pid={masked.pid}"
    assert set(pairs) >= {*_KNOWN, *(f"pid={pid}" for pid in captures.PIDS)}
    assert len(set(pairs.values())) == len(pairs)
    return lambda text: re.sub("|".join(map(re.escape, pairs)), lambda found: pairs[found[0]], text)


def test_a_replay_reports_what_was_reported_when_it_was_recorded(
    recorded: tuple[Path, list[DeviceReport]],
) -> None:
    """Round by round every device, value, failure and XID is the same; only the identities are masked ones."""
    directory, live = recorded
    masked = masks(directory, live[0])

    with closing(captures.replaying(directory)) as source:
        replayed = rounds(source, len(live))

    for was, is_now in zip(live, replayed, strict=True):
        assert told(is_now) == [masked(line) for line in told(was)]
    assert live[2].failed
    assert live[2].events
    assert len(live[3].devices) < len(live[2].devices)


def test_after_its_end_a_replay_stays_at_the_last_answers(recorded: tuple[Path, list[DeviceReport]]) -> None:
    """Counters never jump back, and no XID is told again."""
    directory, live = recorded

    with closing(captures.replaying(directory)) as source:
        replayed = rounds(source, len(live) + 3)

    assert [energies(report) for report in replayed[len(live) :]] == [energies(live[-1])] * 3
    assert {report.events for report in replayed[len(live) :]} == {replayed[len(live) - 1].events}
    assert sum(xid.times for xid in replayed[-1].events) == 3


def test_a_replay_goes_at_the_recorded_pace(recorded: tuple[Path, list[DeviceReport]]) -> None:
    """However often it is asked, no round begins before its time: energy rises as fast as it did."""
    directory, live = recorded
    path = directory / files.LINES
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    slow = [{**line, "t": 3600.0 * line["round"]} if "round" in line else line for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in slow))

    with closing(captures.replaying(directory, each=False)) as source:
        replayed = [source.read() for _ in range(4)]

    assert [energies(report) for report in replayed] == [energies(live[0])] * 4


def test_nothing_that_identifies_somebody_is_ever_written(
    driver: Driver, tmp_path: Path, recorded: tuple[Path, list[DeviceReport]]
) -> None:
    """Neither in the capture nor, while it is recorded, in the file that grows."""
    directory, _ = recorded
    whole = "".join(path.read_text() for path in directory.iterdir())
    growing = tmp_path / "growing"
    with closing(captures.recording(growing, driver.library)) as source:
        next(captures.story()).write(driver.text)
        source.read()
        part = (growing / files.PART).read_text()

    for pid in captures.PIDS:
        assert f'"pid": {pid}' not in whole + part
    for known in _KNOWN:
        assert known.partition("-")[2] not in whole or "-" not in known
        assert known not in whole
        assert known not in part
        assert known.partition("-")[2] not in part or "-" not in known
    assert "<uuid " in part
    assert "<" not in whole


def test_two_recordings_of_the_same_are_masked_alike(
    driver: Driver, tmp_path: Path, recorded: tuple[Path, list[DeviceReport]]
) -> None:
    """The key of the digests leaves no trace: what differs is what calls took, and the times of rounds."""
    first, _ = recorded
    captures.record(tmp_path / "again", driver.library, driver.text)

    def answers(directory: Path) -> list[str]:
        lines = [line for line in files.read(directory) if line.get("call") != "nvmlDeviceGetSamples"]
        return sorted(re.sub(r'"(us|t|time|latencyUsec)": -?[0-9.]+', "", json.dumps(line)) for line in lines)

    assert answers(first) == answers(tmp_path / "again")


def test_a_lost_gpu_is_recorded_and_lost_again(driver: Driver, tmp_path: Path) -> None:
    """The source ends the sampler of a lost GPU and starts another one: both write to one capture, masked alike."""
    good = Node((Gpu(captures.WHOLE), Gpu(captures.SPLIT, pci="00000000:5B:00.0")))
    lost = Node(good.gpus, (Fault("error", "gpu1", "*", 15),))
    directory = tmp_path / "capture"
    with closing(captures.recording(directory, driver.library)) as source:
        good.write(driver.text)
        source.read()
        lost.write(driver.text)
        read_until(source, lambda report: captures.SPLIT in report.unresponsive)
        source.read()
    files.finish(directory, {"period": 1.0})

    uuids = set(re.findall(r"GPU-[0-9a-f-]+", (directory / files.LINES).read_text()))
    assert len(uuids) == 2
    with closing(captures.replaying(directory)) as source:
        assert not source.read().unresponsive
        report = read_until(source, lambda report: bool(report.unresponsive))
        assert set(report.unresponsive) == {report.devices[1].uuid}


def test_a_call_that_hangs_is_recorded(driver: Driver, tmp_path: Path) -> None:
    """It has no answer, and the next round says so; the other GPU answers on."""
    good = Node((Gpu(captures.WHOLE), Gpu(captures.SPLIT, pci="00000000:5B:00.0")))
    directory = tmp_path / "capture"
    with closing(captures.recording(directory, driver.library, deadline=2.0)) as source:
        good.write(driver.text)
        source.read()
        Node(good.gpus, (Fault("hang", "gpu1", "nvmlDeviceGetUUID"),)).write(driver.text)
        for _ in range(2):
            read_until(source, lambda report: set(report.unresponsive) == {captures.SPLIT})
    files.finish(directory, {"period": 1.0})

    hanging = [line for line in files.read(directory) if "hangs" in line]
    assert ("nvmlDeviceGetUUID", ["@gpu1"]) in [(line["call"], line["ask"]) for line in hanging]


def test_a_call_that_the_capture_does_not_have_is_not_found(recorded: tuple[Path, list[DeviceReport]]) -> None:
    """Newer versions ask more: what they miss is absent with a reason, and everything else is there."""
    directory, live = recorded
    path = directory / files.LINES
    kept = [line for line in path.read_text().splitlines() if "nvmlDeviceGetEnforcedPowerLimit" not in line]
    path.write_text("\n".join(kept) + "\n")

    with closing(captures.replaying(directory)) as source:
        report = source.read()

    missing = {item.reason for item in report.unsupported if item.call == "nvmlDeviceGetEnforcedPowerLimit"}
    assert missing == {"function_not_found"}
    assert len(report.readings) == len(live[0].readings) - 2


def test_fields_are_answered_one_by_one(recorded: tuple[Path, list[DeviceReport]]) -> None:
    """A version that asks other fields together gets those that were recorded; the others are not supported."""
    directory, live = recorded
    memory_temperature = 82
    lines = list(files.read(directory))
    for line in lines:
        if line.get("call") == "nvmlDeviceGetFieldValues":
            for values in line["answer"].values():
                values[:] = [value for value in values if value["fieldId"] != memory_temperature]
    (directory / files.LINES).write_text("".join(json.dumps(line) + "\n" for line in lines))

    with closing(captures.replaying(directory)) as source:
        report = source.read()

    sensors = [
        dict(reading.attributes)["hw.sensor_location"]
        for reading in report.readings
        if reading.metric.name == "hw.temperature"
    ]
    assert sensors == ["core", "core"]
    assert len(report.readings) == len(live[0].readings) - 2


def test_vgpus_are_recorded_and_replayed(driver: Driver, tmp_path: Path) -> None:
    """What the sampler asks the library itself, past the binding, is in the capture too, and costs a replay nothing."""
    carried = Vgpu(101, "1aa1b2c3-0000-11e8-9ec6-00a0c91e6bf6", memory=5 << 30)
    directory = tmp_path / "capture"
    driver.is_now(Node((Gpu(captures.WHOLE, virtualization=3, vgpus=(carried,)),)))
    with closing(captures.recording(directory, driver.library)) as source:
        source.read()
    files.finish(directory, {"gpus": [""], "period": 1.0})

    with closing(captures.replaying(directory)) as source:
        report = read_until(source, lambda report: bool(report.vgpus))
    assert [vgpu.memory for vgpu in report.vgpus] == [5 << 30]


def test_a_packed_capture_is_read_as_well(recorded: tuple[Path, list[DeviceReport]]) -> None:
    """Large ones are written so; a packed file that is cut off says so."""
    directory, _ = recorded
    path = directory / files.LINES
    whole = gzip.compress(path.read_bytes())
    path.unlink()
    packed = directory / f"{files.LINES}.gz"

    packed.write_bytes(whole)
    assert files.check(directory)["format"] == files.FORMAT
    packed.write_bytes(whole[:-40])
    with pytest.raises(files.CaptureError, match=re.escape(str(packed))):
        files.check(directory)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[:-20], r"nvml\.jsonl, line \d+: cut off"),
        (lambda text: text.replace('{"round": 2', "{round: 2"), r"nvml\.jsonl, line \d+: no JSON"),
        (lambda text: text.replace('"answer"', '"reply"', 1), r"nvml\.jsonl, line 1: a call has one of"),
        (lambda text: "[]\n" + text, r"nvml\.jsonl, line 1: no object"),
        (lambda text: "", r"nvml\.jsonl: empty"),
        (lambda text: "".join(text.partition('{"round"')[:1]), r"nvml\.jsonl: there is no round in it"),
    ],
)
def test_damage_is_named_by_file_and_line(
    tmp_path: Path, derived: Path, damage: Callable[[str], str], says: str
) -> None:
    """Cut off, no JSON, not a capture's lines: what is wrong and where stands in the message."""
    shutil.copytree(derived, tmp_path / "damaged")
    path = tmp_path / "damaged" / files.LINES
    path.write_text(damage(path.read_text()))

    with pytest.raises(files.CaptureError, match=says):
        files.check(tmp_path / "damaged")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ('{"format": 99, "period": 1}', "format 99 is not known; this version reads format 1"),
        ('{"period": 1}', "format None is not known"),
        ('{"format": 1}', "the period must be a number of seconds"),
        ("[1]", "format None is not known"),
        ("{", "is no capture"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, derived: Path, header: str, says: str) -> None:
    """A capture of another version, or a header that is none, is not guessed at."""
    shutil.copytree(derived, tmp_path / "other")
    (tmp_path / "other" / files.HEADER).write_text(header)

    with pytest.raises(files.CaptureError, match=re.escape(says)):
        files.check(tmp_path / "other")


@pytest.fixture
def derived() -> Path:
    """The committed capture of the story."""
    return Path(__file__).parents[3] / "fixtures" / "captures" / "derived_h100_mig"


def test_a_directory_with_something_in_it_is_not_written_to(tmp_path: Path) -> None:
    """A capture never mixes with another one."""
    (tmp_path / "mine").touch()

    with pytest.raises(files.CaptureError, match="is not empty"):
        files.prepare(tmp_path)
