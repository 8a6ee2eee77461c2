# SPDX-License-Identifier: Apache-2.0
"""The stand-in for pynvml: same calls, same refusals, the ledger's values, and nothing but the standard library."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pynvml  # noqa: TID251  # the model that the stand-in is compared with
import pytest

import inferometer.sources.devices
from inferometer.simulation import nvml
from inferometer.simulation.node import SimulatedNode
from inferometer.simulation.registers import SIZE, Reader, Writer
from inferometer.sources.devices.calls import CALLS


def functions() -> list[str]:
    return [name for name, value in vars(nvml).items() if name.startswith("nvml") and callable(value)]


def test_signatures_are_pynvml_s() -> None:
    """Every function of the stand-in exists in pynvml with the same parameters."""
    for name in functions():
        assert list(inspect.signature(getattr(nvml, name)).parameters) == list(
            inspect.signature(getattr(pynvml, name)).parameters
        ), name


def test_constants_and_errors_are_pynvml_s() -> None:
    """Every constant has pynvml's value, every error class its name and code."""
    for name, value in vars(nvml).items():
        if name.startswith("NVML_") or (name.startswith("nvml") and isinstance(value, int)):
            assert value == getattr(pynvml, name), name
        if name.startswith("NVMLError_"):
            assert value().value == getattr(pynvml, name)().value
    assert type(nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)) is nvml.NVMLError_NotSupported
    assert str(nvml.NVMLError(15)) == str(pynvml.NVMLError(15)) == "GPU is lost"


def test_it_has_every_call_that_the_sampler_makes() -> None:
    """Whatever name of pynvml the devices source uses is here too, except what only recordings need."""
    folder = Path(str(inferometer.sources.devices.__file__)).parent
    used = set(CALLS) & set(dir(pynvml))
    for node in (
        n for path in (*folder.glob("*.py"), *folder.glob("calls/*.py")) for n in ast.walk(ast.parse(path.read_text()))
    ):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
        if isinstance(name, str) and re.fullmatch(r"(nvml|NVML)\w+", name) and hasattr(pynvml, name):
            used.add(name)
    assert len(used) > 20
    assert not {name for name in used if not hasattr(nvml, name)}


def test_a_gpu_says_what_the_ledger_says(node: SimulatedNode, library: ModuleType) -> None:
    """Every reading of every GPU is the ledger's, in NVML's unit."""
    gpus = [d for d in node.ledger().devices if d.parent is None]
    assert library.nvmlDeviceGetCount() == len(gpus) == 8
    for gpu in gpus:
        handle = library.nvmlDeviceGetHandleByIndex(gpu.index)
        memory = library.nvmlDeviceGetMemoryInfo(handle, library.nvmlMemory_v2)
        fields = library.nvmlDeviceGetFieldValues(handle, [186, (82, 0), 29])
        assert library.nvmlDeviceGetUUID(handle) == gpu.uuid
        assert library.nvmlDeviceGetMinorNumber(handle) == gpu.minor
        assert library.nvmlDeviceGetPowerUsage(handle) / 1000 == gpu.power
        assert fields[0].value.uiVal / 1000 == gpu.power_now
        assert library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000 == gpu.joules
        assert library.nvmlDeviceGetTemperatureV(handle, library.NVML_TEMPERATURE_GPU) == gpu.temperature
        assert fields[1].value.uiVal == gpu.memory_temperature
        assert [f.nvmlReturn for f in fields] == [0, 0, library.NVML_ERROR_NOT_SUPPORTED]
        assert library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM) * 1e6 == (gpu.clocks or {})["sm"]
        assert (memory.used, memory.total, memory.reserved) == (gpu.memory_used, gpu.memory_total, gpu.memory_reserved)
        assert library.nvmlDeviceGetMemoryInfo(handle).used == gpu.memory_used + gpu.memory_reserved
        assert "Simulated" in library.nvmlDeviceGetName(handle)
        if gpu.utilization is not None:
            assert library.nvmlDeviceGetUtilizationRates(handle).gpu / 100 == gpu.utilization


def test_instances_are_found_around_the_hole(node: SimulatedNode, library: ModuleType) -> None:
    """MIG index 2 is a hole; the others have the ids, profile ids and placements that DRA names them by."""
    gpu = library.nvmlDeviceGetHandleByIndex(2)
    assert library.nvmlDeviceGetMigMode(gpu) == [1, 1]
    found = {}
    for index in range(library.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            handle = library.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except library.NVMLError_NotFound:
            continue
        gi = library.nvmlDeviceGetGpuInstanceById(gpu, library.nvmlDeviceGetGpuInstanceId(handle))
        info = library.nvmlGpuInstanceGetInfo(gi)
        found[index] = (info.id, info.profileId, info.placement.start, info.placement.size)
        uuid = library.nvmlDeviceGetUUID(handle)
        entry = node.ledger().device(uuid)
        assert library.nvmlDeviceGetMemoryInfo(handle, library.nvmlMemory_v2).used == entry.memory_used
        assert library.nvmlDeviceGetName(handle).endswith(f"MIG {entry.profile}")
        assert library.nvmlDeviceGetUUID(library.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)) == entry.parent
        assert library.nvmlDeviceGetUUID(library.nvmlDeviceGetHandleByUUID(uuid)) == uuid
    assert found == {0: (2, 9, 0, 4), 1: (3, 14, 4, 2), 3: (9, 19, 6, 1)}


def test_mig_refuses_what_a_real_one_refuses(library: ModuleType) -> None:
    """No utilisation while MIG is on, and neither power nor energy nor temperature of an instance."""
    gpu = library.nvmlDeviceGetHandleByIndex(2)
    instance = library.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    for call in ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetEncoderUtilization"):
        for handle in (gpu, instance):
            with pytest.raises(library.NVMLError_NotSupported):
                getattr(library, call)(handle)
    for call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetSerial"):
        assert getattr(library, call)(gpu)
        with pytest.raises(library.NVMLError_NotSupported):
            getattr(library, call)(instance)


def test_lost_gpus_and_unloaded_drivers_raise_their_errors(node: SimulatedNode, library: ModuleType) -> None:
    """A lost GPU fails alone; without a driver everything fails; both can come back."""
    lost, other = (library.nvmlDeviceGetHandleByIndex(i) for i in (6, 7))
    node.gpu_lost(6)
    with pytest.raises(library.NVMLError_GpuIsLost):
        library.nvmlDeviceGetPowerUsage(lost)
    assert library.nvmlDeviceGetPowerUsage(other) > 0
    node.gpu_lost(6, lost=False)
    assert library.nvmlDeviceGetPowerUsage(lost) > 0
    node.unload_driver()
    with pytest.raises(library.NVMLError_DriverNotLoaded):
        library.nvmlDeviceGetCount()
    node.load_driver()
    assert library.nvmlDeviceGetCount() == 8


def test_without_its_file_or_init_it_is_a_missing_library(tmp_path: Path) -> None:
    """No file: no library. No nvmlInit: uninitialized."""
    nvml.configure(str(tmp_path / "nothing"))
    with pytest.raises(nvml.NVMLError_LibraryNotFound):
        nvml.nvmlInitWithFlags(0)
    with pytest.raises(nvml.NVMLError_Uninitialized):
        nvml.nvmlDeviceGetCount()


CHILD = """
import json, sys
from inferometer.simulation import nvml
nvml.configure(sys.argv[1])
nvml.nvmlInit()
for line in sys.stdin:
    handle = nvml.nvmlDeviceGetHandleByIndex(int(line))
    print(nvml.nvmlDeviceGetPowerUsage(handle), flush=True)
outside = {m.split(".")[0] for m in sys.modules} - set(sys.stdlib_module_names) - {"inferometer"}
print(json.dumps(sorted(m for m in outside if "editable" not in m)), flush=True)
"""


def test_a_child_process_reads_it_hangs_with_a_hung_gpu_and_imports_nothing_else(node: SimulatedNode) -> None:
    """In an isolated interpreter it needs only the standard library; a hung GPU's call returns when the GPU does."""
    node.hang_gpu(1)
    command = [sys.executable, "-I", "-c", CHILD, node.endpoints.nvml_argument]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write("0\n1\n")
            child.stdin.flush()
            assert int(child.stdout.readline()) / 1000 == node.ledger().devices[0].power
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.2)
            node.hang_gpu(1, hung=False)
            assert int(child.stdout.readline()) / 1000 == node.ledger().devices[1].power
            child.stdin.close()
            others = json.loads(child.stdout.readline())
        finally:
            child.kill()
    assert [m for m in others if not m.startswith("_")] == []


def test_a_half_written_document_is_never_read(tmp_path: Path) -> None:
    """The reader keeps to whole documents, and refuses registers that are never whole."""
    writer = Writer(tmp_path / "registers")
    reader = Reader(str(tmp_path / "registers"))
    with pytest.raises(RuntimeError, match="never whole"):
        reader.read()
    writer.write({"a": 1})
    assert reader.read() == {"a": 1}
    assert reader.read() is reader.read()
    writer.write({"a": 2, "b": "x" * 100})
    with (tmp_path / "registers").open("r+b") as file:
        file.seek(40)
        file.write(b"torn")
    with pytest.raises(RuntimeError, match="never whole"):
        reader.read()
    with pytest.raises(ValueError, match="do not fit"):
        writer.write({"a": "x" * SIZE})
    writer.close()
    reader.close()


def test_an_event_set_tells_what_happens_after_registration_once(node: SimulatedNode, library: ModuleType) -> None:
    """Two sets each get an event; none gets what was before it; the ledger counts them all; a GPU that is lost still tells."""
    node.xid(3, 13)
    sets = [library.nvmlEventSetCreate() for _ in range(2)]
    handle = library.nvmlDeviceGetHandleByIndex(3)
    assert library.nvmlDeviceGetSupportedEventTypes(handle) == library.nvmlEventTypeXidCriticalError
    for events in sets:
        library.nvmlDeviceRegisterEvents(handle, library.nvmlEventTypeXidCriticalError, events)
    node.xid(3, 79)
    node.gpu_lost(3)
    for events in sets:
        event = library.nvmlEventSetWait_v2(events, 0)
        assert (event.eventType, event.eventData, event.gpuInstanceId) == (8, 79, 0xFFFF_FFFF)
        with pytest.raises(library.NVMLError, match="Timeout"):
            library.nvmlEventSetWait_v2(events, 0)
    library.nvmlEventSetFree(sets[0])
    with pytest.raises(library.NVMLError_InvalidArgument):
        library.nvmlEventSetWait_v2(sets[0], 0)
    assert dict(next(d for d in node.ledger().devices if d.index == 3).xids) == {13: 1, 79: 1}
    node.gpu_lost(3, lost=False)


def test_an_instance_has_no_events_of_its_own(library: ModuleType) -> None:
    """Events are registered for the GPU that an instance is part of."""
    instance = library.nvmlDeviceGetMigDeviceHandleByIndex(library.nvmlDeviceGetHandleByIndex(2), 0)
    assert library.nvmlDeviceGetSupportedEventTypes(instance) == 0
    with pytest.raises(library.NVMLError_NotSupported):
        library.nvmlDeviceRegisterEvents(instance, library.nvmlEventTypeXidCriticalError, library.nvmlEventSetCreate())
