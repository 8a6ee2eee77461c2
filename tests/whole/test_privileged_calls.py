# SPDX-License-Identifier: Apache-2.0
"""What NVML keeps for privileged users, in the whole agent: `check` names it, and the access that would bring it."""

from pathlib import Path

import pytest

from fakenvml.build import build
from fakenvml.driver import Driver
from fakenvml.fakenvml import Fault, Node
from inferometer import app
from inferometer.config import Config, Devices, Engines, KernelLog, Nvidia
from readouts import SHARED
from whole.agents import eventually

NO_PERMISSION = 4  # nvml.h


def test_a_gpu_in_mig_mode_says_what_its_monitoring_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory as a whole is refused, its instances' is read; nothing is wrong with that, and the chart's value is named."""
    driver = Driver(tmp_path, build(tmp_path))
    monkeypatch.setenv("FAKENVML", str(driver.text))
    refused = tuple(
        Fault("error", "gpu0", call, NO_PERMISSION)
        for call in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2")
    )
    driver.is_now(Node((SHARED,), faults=refused))
    settings = Config(
        devices=Devices(nvidia=Nvidia(library=str(driver.library)), kernel_log=KernelLog(enabled=False)),
        engines=Engines(enabled=False),
    )

    def is_told() -> None:
        findings = [finding for finding in app.check(settings, {}) if "MemoryInfo" in finding.reason]
        assert findings
        assert all(finding.state == "absent" for finding in findings)
        assert all("gpuAccess.migMonitor" in finding.remedy for finding in findings)
        assert any(finding.reason.startswith("hw.gpu.memory.usage is absent on GPU-bbbb: ") for finding in findings)

    eventually(is_told)
