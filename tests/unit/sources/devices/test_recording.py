# SPDX-License-Identifier: Apache-2.0
"""The recorder and the player by themselves, on the binding's own types: what is written, what is hidden, what comes back."""

import ctypes
import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml  # noqa: TID251  # its types are what is recorded; no driver is asked here
import pytest

from inferometer.sources.devices.captures import files
from inferometer.sources.devices.recording import Recorder
from inferometer.sources.devices.replaying import Player

_HIGHEST_PID = 1 << 22


class Tape:
    """One recording, and its replay."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        files.prepare(directory)
        self._recorder = self.recorder()

    def recorder(self, limit: int = 1 << 20) -> Recorder:
        return Recorder(pynvml, str(self.directory / files.PART), time.monotonic(), b"k" * 16, limit)

    def call(self, name: str, answer: Callable[..., Any], *arguments: Any) -> Any:
        """Have a call answered by a function, and recorded."""
        return self._recorder.wrap(name, answer)(*arguments)

    def round(self) -> None:
        self.call("nvmlDeviceGetCount", lambda: 1)

    def lines(self) -> list[dict[str, Any]]:
        """End the recording; give its lines without what calls took."""
        files.finish(self.directory, {"period": 1.0})
        lines = [{k: v for k, v in line.items() if k not in ("us", "t")} for line in files.read(self.directory)]
        return [line for line in lines if line.get("call") != "nvmlDeviceGetCount"]

    def player(self) -> Player:
        return Player(pynvml, self.directory, time.monotonic(), each=True)


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path / "capture")


def friendly(**members: object) -> Any:
    return pynvml.nvmlFriendlyObject(members)


def test_processes_are_masked_where_they_are_answered_and_where_they_are_asked(tape: Tape) -> None:
    """One process has one number everywhere; hardly a process of the machine that replays has it."""
    tape.round()
    tape.call("nvmlDeviceGetComputeRunningProcesses", lambda: [friendly(pid=4711, usedGpuMemory=1 << 30)])
    tape.call("nvmlSystemGetProcessName", lambda pid: "/" + "home/somebody/train.py", 4711)
    tape.call("nvmlDeviceGetAccountingPids", lambda: [815, 4711])

    _, processes, name, pids = tape.lines()

    assert processes["answer"] == [{"nvmlFriendlyObject": {"pid": _HIGHEST_PID, "usedGpuMemory": 1 << 30}}]
    assert (name["answer"], pids["answer"]) == ("process-1", [_HIGHEST_PID - 1, _HIGHEST_PID])
    play = tape.player().play("nvmlDeviceGetComputeRunningProcesses", pynvml.nvmlDeviceGetComputeRunningProcesses)
    assert play()[0].pid == _HIGHEST_PID


def test_what_nobody_knows_is_hidden(tape: Tape) -> None:
    """A text, bytes or an identifier of a call of tomorrow do not pass, and what says nothing does."""
    platform = pynvml.c_nvmlPlatformInfo_v2_t()
    platform.ibGuid, platform.chassisSerialNumber, platform.slotNumber = b"\xfe\x80" * 8, b"1820325190220", b"\x03"
    tape.round()
    tape.call("nvmlDeviceGetTomorrow", lambda: "node-7.example.com")
    tape.call("nvmlDeviceGetName", lambda: "NVIDIA H200")
    tape.call("nvmlDeviceGetSerial", lambda: "0")
    tape.call("nvmlVgpuInstanceGetUUID", lambda: "f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
    tape.call("nvmlDeviceGetPlatformInfo", lambda: platform)

    _, tomorrow, name, serial, uuid, info = tape.lines()

    assert [line["answer"] for line in (tomorrow, name, serial)] == ["text-1", "NVIDIA H200", "0"]
    assert uuid["answer"] == "00000000-0000-0000-0000-000000000001"
    held = info["answer"]["c_nvmlPlatformInfo_v2_t"]
    assert (held["slotNumber"], held["chassisSerialNumber"]) == (3, "0000000000001")
    assert int(held["ibGuid"]["hex"], 16) <= 2


def test_numbers_that_json_does_not_have_come_back(tape: Tape) -> None:
    """NaN, tuples, unions and times: what the binding gave is what the replay gives."""
    value = pynvml.c_nvmlFieldValue_t(fieldId=82, valueType=3, timestamp=int(time.time() * 1e6))
    value.value.ullVal = 2**63 + 1
    tape.round()
    tape.call("nvmlDeviceGetA", lambda: (9, 0))
    tape.call("nvmlDeviceGetB", lambda: math.nan)
    tape.call("nvmlDeviceGetC", lambda: value)
    tape.lines()
    player = tape.player()

    assert player.play("nvmlDeviceGetA", None)() == (9, 0)
    assert math.isnan(player.play("nvmlDeviceGetB", None)())
    back = player.play("nvmlDeviceGetC", None)()
    assert back.value.ullVal == 2**63 + 1
    assert abs(back.timestamp - time.time() * 1e6) < 60e6


def test_answers_of_one_round_keep_their_order(tape: Tape) -> None:
    """The same question asked again and again in a round; what comes again in the next one is written once."""
    answers = iter(["7", "7", "8", "7", "7", "7", "8", "7"])
    wanted = []
    for _ in range(2):
        tape.round()
        wanted += [tape.call("nvmlDeviceGetName", lambda: next(answers)) for _ in range(4)]
    tape.lines()
    player = tape.player()
    count, name = player.play("nvmlDeviceGetCount", None), player.play("nvmlDeviceGetName", None)

    replayed = []
    for _ in range(2):
        count()
        replayed += [name() for _ in range(4)]

    assert replayed == wanted


def test_events_of_a_round_that_was_passed_over_are_told(tape: Tape) -> None:
    """Each is told once, whenever it is asked for; then there is none."""

    def fail(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)

    for code in (31, 43, 79):
        tape.round()
        tape.call("nvmlEventSetWait_v2", lambda code=code: pynvml.c_nvmlEventData_t(eventData=code))
        with pytest.raises(pynvml.NVMLError):
            tape.call("nvmlEventSetWait_v2", fail)
    tape.lines()
    player = tape.player()
    count, wait = player.play("nvmlDeviceGetCount", None), player.play("nvmlEventSetWait_v2", None)
    for _ in range(3):
        count()

    assert [wait().eventData for _ in range(3)] == [31, 43, 79]
    with pytest.raises(pynvml.NVMLError_Timeout):
        wait()


def test_arguments_that_are_filled_are_filled_again(tape: Tape) -> None:
    """Structures that are handed in: their answers come back, and what was left there before does not."""

    def fill(handed: Any) -> int:
        handed.cliqueId, handed.state = 17, 3
        return 0

    tape.round()
    tape.call("nvmlDeviceGetGpuFabricInfoV", fill, pynvml.c_nvmlGpuFabricInfo_v2_t())
    tape.lines()
    handed = pynvml.c_nvmlGpuFabricInfo_v2_t()
    handed.cliqueId, handed.status = 4, 9

    assert tape.player().play("nvmlDeviceGetGpuFabricInfoV", None)(handed) == 0
    assert (handed.cliqueId, handed.state, handed.status) == (17, 3, 0)


def test_a_call_that_hung_waits_for_the_round_in_which_it_answered(tape: Tape) -> None:
    """In the recording it has no answer before; in the replay neither."""
    release, begun = threading.Event(), threading.Event()

    def hang() -> str:
        begun.set()
        assert release.wait(20)
        return "8"

    tape.round()
    tape.call("nvmlDeviceGetName", lambda: "7")
    thread = threading.Thread(target=tape.call, args=("nvmlDeviceGetName", hang))
    tape.round()
    thread.start()
    assert begun.wait(20)
    tape.round()
    release.set()
    thread.join()
    assert [next(iter(line.keys() - {"call", "ask"}), "") for line in tape.lines() if "call" in line] == [
        "answer",
        "hangs",
        "answer",
    ]
    player = tape.player()
    count, name = player.play("nvmlDeviceGetCount", None), player.play("nvmlDeviceGetName", None)
    count()
    assert name() == "7"
    count()
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.append(name()))
    waiting.start()
    waiting.join(0.3)
    assert got == []
    count()
    waiting.join(20)
    assert got == ["8"]


def test_a_full_recording_says_so_and_costs_nothing_more(tape: Tape) -> None:
    """The limit is the file's; the calls go on."""
    recorder = tape.recorder(limit=2000)
    wrapped = recorder.wrap("nvmlDeviceGetMinorNumber", lambda number: number)
    recorder.wrap("nvmlDeviceGetCount", lambda: 1)()

    assert [wrapped(number) for number in range(100)] == list(range(100))

    written = files.finish(tape.directory, {"period": 1.0})
    assert written.full
    assert written.bytes <= 2000
    assert json.loads((tape.directory / files.HEADER).read_text())["full"]


def test_threads_write_whole_lines(tape: Tape) -> None:
    """The sampler's workers call at the same time."""
    tape.round()
    calls = [tape._recorder.wrap(f"nvmlDeviceGet{name}", lambda number: number) for name in "ABCDEFGH"]
    threads = [threading.Thread(target=lambda call=call: [call(n) for n in range(200)]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = tape.lines()

    assert len(lines) == 1 + 8 * 200
    assert all(line["ask"] == [line["answer"]] for line in lines if "call" in line)


def has_address(kind: Any) -> bool:
    """Whether there is a pointer somewhere in a type."""
    if issubclass(kind, ctypes.Array):
        return has_address(kind._type_)
    if issubclass(kind, ctypes.Structure):
        return any(has_address(type_) for _, type_, *_ in kind._fields_)
    return kind in (ctypes.c_char_p, ctypes.c_void_p) or isinstance(kind, type(ctypes.POINTER(ctypes.c_int)))


_STRUCTURES = [
    kind
    for kind in vars(pynvml).values()
    if isinstance(kind, type) and issubclass(kind, pynvml.Structure) and getattr(kind, "_fields_", None)
]


@pytest.mark.parametrize("kind", _STRUCTURES, ids=lambda kind: kind.__name__)
def test_every_structure_of_the_binding_can_be_recorded_and_replayed(kind: Any, tape: Tape) -> None:
    """Whatever is in it: what comes back is written alike."""
    # Addresses in it are null: nothing lies at any other.
    held = kind.from_buffer(bytearray((0 if has_address(kind) else 1,)) * ctypes.sizeof(kind))
    tape.round()
    tape.call("nvmlDeviceGetIt", lambda: held)
    *_, first = tape.lines()

    back = tape.player().play("nvmlDeviceGetIt", None)()

    assert type(back) is kind
    again = Tape(tape.directory.with_name("again"))
    again.round()
    again.call("nvmlDeviceGetIt", lambda: back)
    *_, second = again.lines()
    assert second == first
