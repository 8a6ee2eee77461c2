# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's and AMD's GPUs side by side, from the compiled libraries to the page: the same names, and neither harms the other."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from fakeamdsmi import build as amd_library
from fakeamdsmi import fakeamdsmi as amd
from fakenvml import fakenvml as nvidia
from fakenvml.build import build
from fakenvml.driver import Driver, wait_until
from inferometer.app import Pipeline
from inferometer.config import load
from inferometer.views.prometheus import Exposition
from whole.agents import eventually

pytestmark = pytest.mark.skipif(find_spec("amdsmi") is None, reason="the Python package amdsmi is not installed")

INSTINCT = amd.Gpu("2cff74a1-0000-1000-8019-0a5a9bfb1b45")
HOPPER = nvidia.Gpu("GPU-0", power_instant=402_500)
OURS, THEIRS = 'hw_id="GPU-0",gpu_index="0"', f'hw_id="{INSTINCT.uuid}",gpu_index="0"'
MODELS = 'hw_model="AMD Instinct MI300X"', 'hw_model="NVIDIA H100 80GB HBM3"'


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where AMD's library is told what to answer."""
    text = tmp_path / "amd.txt"
    monkeypatch.setenv("FAKEAMDSMI", str(text))
    return text


@pytest.fixture
def page(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Read both vendors' GPUs and nothing else; give what gives the lines of the next page."""
    driver = Driver(tmp_path, build(tmp_path))
    monkeypatch.setenv("FAKENVML", str(driver.text))
    driver.is_now(nvidia.Node((HOPPER,)))
    amd.write(text, INSTINCT)
    settings = {
        "INFEROMETER_DEVICES__NVIDIA__LIBRARY": str(driver.library),
        "INFEROMETER_DEVICES__AMD__ENABLED": "true",
        "INFEROMETER_DEVICES__AMD__ROCM": str(amd_library.build(tmp_path / "rocm").parents[1]),
        "INFEROMETER_DEVICES__AMD__DEADLINE": "500ms",
        "INFEROMETER_DEVICES__AMD__KILL_AFTER": "1s",
        "INFEROMETER_DEVICES__KERNEL_LOG__ENABLED": "false",
        "INFEROMETER_IDENTITY__PODRESOURCES__ENABLED": "false",
        "INFEROMETER_ENGINES__ENABLED": "false",
        "INFEROMETER_PERIOD": "1s",
    }
    pipeline = Pipeline(load(None, settings), {})
    yield lambda: Exposition().render(pipeline.step(patience=10), openmetrics=True).decode().splitlines()
    pipeline.close()


def test_both_vendors_stand_under_the_same_names(page: Callable[[], list[str]]) -> None:
    """One page has each GPU once, with its own vendor, driver and values, and counts both."""
    eventually(lambda: both_are_told(page()), 60)


def both_are_told(lines: list[str]) -> None:
    for line in (
        f'hw_gpu_utilization_ratio{{{OURS},hw_gpu_task="general"}} 0.87',
        f'hw_gpu_utilization_ratio{{{THEIRS},hw_gpu_task="general"}} 0.83',
        f'hw_power_watts{{{THEIRS},hw_type="gpu"}} 612.0',
        f'hw_energy_joules_total{{{THEIRS},hw_type="gpu"}} 31000.0',
        f'gpu_devices{{{MODELS[0]},gpu_state="unknown"}} 1.0',
        f'gpu_devices{{{MODELS[1]},gpu_state="unknown"}} 1.0',
        'inferometer_source_up{inferometer_source_name="amd"} 1.0',
        'inferometer_source_up{inferometer_source_name="nvidia"} 1.0',
    ):
        assert line in lines, line
    (described,) = [line for line in lines if line.startswith("gpu_info{") and INSTINCT.uuid in line]
    assert 'hw_vendor="AMD"' in described
    assert 'hw_driver_version="6.12.12"' in described
    assert "gpu_cuda_version" not in described
    assert not [line for line in lines if "xid" in line and INSTINCT.uuid in line]  # they are NVIDIA's


def test_one_vendor_that_hangs_leaves_the_others_values(page: Callable[[], list[str]], text: Path) -> None:
    """While AMD's driver hangs as a whole, NVIDIA's GPU is told as before, and AMD's is back when it answers."""
    page()
    amd.write(text, INSTINCT, faults=(amd.Fault("hang", "amdsmi_get_socket_handles"),))

    wait_until(lambda: not any(line.startswith("hw_power_watts{") and INSTINCT.uuid in line for line in page()))

    ours = f'hw_gpu_utilization_ratio{{{OURS},hw_gpu_task="general"}} 0.87'
    wait_until(
        lambda: ours in (lines := page()) and not any(INSTINCT.uuid in line for line in lines if "watts" in line)
    )
    amd.write(text, INSTINCT)
    wait_until(lambda: any(line.startswith("hw_power_watts{") and INSTINCT.uuid in line for line in page()))
