# SPDX-License-Identifier: Apache-2.0
"""GPUs and drivers that come and go, are not there, or cannot be opened."""

from pathlib import Path

import pytest

from fakenvml.driver import Driver, Open, read_until, wait_until
from fakenvml.fakenvml import Fault, Gpu, Instance, Node
from inferometer.model import Reason, Trouble, Unsupported
from readouts import SHARED, WHOLE, values


def test_gpus_come_and_go(driver: Driver, opened: Open) -> None:
    """A GPU is there from the first read that shows it and gone at the first that does not; none is a normal state."""
    driver.is_now(Node())
    source = opened()
    assert source.read().devices == ()

    driver.is_now(Node((WHOLE, SHARED)))
    assert {d.uuid for d in source.read().devices} == {"GPU-aaaa", "GPU-bbbb", "MIG-1111", "MIG-2222"}

    driver.is_now(Node((SHARED,)))
    report = source.read()
    assert [d.uuid for d in report.devices] == ["GPU-bbbb", "MIG-1111", "MIG-2222"]
    assert dict(report.unresponsive) == {}


def test_more_gpus_than_a_board_has(driver: Driver, opened: Open) -> None:
    """Sixteen GPUs of seven instances are read in one sample."""
    gpus = tuple(
        Gpu(f"GPU-{i}", minor=i, mig=1, instances=tuple(Instance(f"MIG-{i}-{j}", gi=7 + j) for j in range(7)))
        for i in range(16)
    )
    driver.is_now(Node(gpus))

    report = opened().read()

    assert len(report.devices) == 16 * 8
    assert [d.index for d in report.devices if not d.is_instance] == list(range(16))


def test_a_gpu_that_refuses_a_handle_is_named(driver: Driver, opened: Open) -> None:
    """A GPU that never told its UUID is named by its index; the others are read."""
    driver.is_now(Node((WHOLE, SHARED), faults=(Fault("error", "gpu0", "nvmlDeviceGetHandleByIndex_v2", 4),)))

    report = opened().read()

    assert [d.uuid for d in report.devices] == ["GPU-bbbb", "MIG-1111", "MIG-2222"]
    assert report.failed == (Unsupported("index 0", "gpu.info", "nvmlDeviceGetHandleByIndex_v2", "no_permission"),)
    assert report.nameless == 1


def test_a_gpu_that_hangs_from_the_first_call_on_is_named(driver: Driver, opened: Open) -> None:
    """An agent that starts when a GPU hangs already knows that there is one; when it answers, it is a GPU as all others."""
    hang = Fault("hang", "gpu0", "nvmlDeviceGetUUID")
    driver.is_now(Node((WHOLE, SHARED), faults=(hang,)))
    source = opened(deadline=0.5)

    report = read_until(source, lambda report: bool(report.nameless))
    assert [d.uuid for d in report.devices] == ["GPU-bbbb", "MIG-1111", "MIG-2222"]
    assert Unsupported("index 0", "gpu.info", "nvmlDeviceGetUUID of GPU 0", "timeout") in report.failed

    driver.is_now(Node((WHOLE, SHARED)))
    assert read_until(source, lambda report: len(report.devices) == 4).nameless == 0


def test_without_a_library_nothing_is_started(driver: Driver, opened: Open, tmp_path: Path) -> None:
    """A library that is not there is told with a remedy, and no process is started for it; when it comes it is used."""
    absent = tmp_path / "absent" / "libnvidia-ml.so.1"
    driver.is_now(Node((WHOLE,)))
    source = opened(library=absent)

    with pytest.raises(Trouble) as caught:
        source.read()
    assert caught.value.reason is Reason.MISSING
    assert str(absent) in caught.value.message
    assert "devices.nvidia.library" in caught.value.remedy
    assert driver.calls() == []

    absent.parent.mkdir()
    absent.symlink_to(driver.library)
    assert len(source.read().devices) == 1


def test_a_file_that_is_no_library_is_told(driver: Driver, opened: Open, tmp_path: Path) -> None:
    """A library that cannot be loaded is told with the loader's own words, and not tried again at once."""
    broken = tmp_path / "libnvidia-ml.so.1"
    broken.write_text("no library\n")
    source = opened(library=broken)

    for _ in range(2):
        with pytest.raises(Trouble, match="libnvidia-ml") as caught:
            source.read()
        assert caught.value.reason is Reason.MISSING


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, Reason.MISSING),
        (18, Reason.REJECTED),
        (4, Reason.PERMISSION),
        (17, Reason.PERMISSION),
        (999, Reason.REJECTED),
    ],
)
def test_a_driver_that_cannot_be_opened_is_told(driver: Driver, opened: Open, code: int, reason: Reason) -> None:
    """Each way in which NVML refuses to open has its reason and a remedy."""
    driver.is_now(Node((WHOLE,), faults=(Fault("error", "*", "nvmlInitWithFlags", code),)))

    with pytest.raises(Trouble) as caught:
        opened().read()

    assert caught.value.reason is reason
    assert caught.value.remedy


def test_a_driver_that_goes_and_comes_back(driver: Driver, opened: Open) -> None:
    """A driver that is unloaded is a trouble with its reason; the child lets go of it, and a new one reads when it is back."""
    driver.is_now(Node((WHOLE,)))
    source = opened()
    source.read()

    driver.is_now(Node((WHOLE,), faults=(Fault("error", "*", "*", 9),)))
    with pytest.raises(Trouble, match="not loaded") as caught:
        source.read()
    assert caught.value.reason is Reason.MISSING

    driver.is_now(Node((WHOLE,)))
    assert values(read_until(source, lambda report: bool(report.devices)), "GPU-aaaa")["hw.power"] == 345.6
    assert len({pid for pid, call, _ in driver.calls() if call == "nvmlInitWithFlags"}) >= 2


def test_closing_shuts_nvml_down(driver: Driver, opened: Open) -> None:
    """Closing the source ends the child by the end of its standard input, and the child closes NVML."""
    driver.is_now(Node((WHOLE,)))
    source = opened()
    source.read()

    source.close()

    wait_until(lambda: [call for _, call, _ in driver.calls()] == ["nvmlInitWithFlags", "nvmlShutdown"])
    with pytest.raises(Trouble, match="closed"):
        source.read()
