# SPDX-License-Identifier: Apache-2.0
"""Captures: record what NVML answers, and let a capture take the place of the driver."""

import json
import logging
import os
import time
from dataclasses import replace
from pathlib import Path

from inferometer import __version__
from inferometer.app.agent import Adapt
from inferometer.app.pipeline import Stand
from inferometer.config import Config, Release, Seconds
from inferometer.model import DeviceReport, Reason, Trouble
from inferometer.sources.devices.captures import files
from inferometer.sources.devices.nvidia import Nvidia

log = logging.getLogger(__name__)

_LIMIT = 128 << 20  # bytes of a recording, before it is packed
_RECORDING = "inferometer.sources.devices.recording"
_REPLAYING = "inferometer.sources.devices.replaying"


def record(config: Config, directory: Path, rounds: int, period: float, *, binding: str = "pynvml") -> files.Written:
    """Record so many samples into a new directory; Ctrl-C ends it earlier, with what there is.

    GPUs that fail meanwhile are part of it. Raises Trouble where NVML never answers (as `Nvidia.read`) and where the
    directory cannot be used.
    """
    try:
        files.prepare(directory)
    except files.CaptureError as error:
        raise Trouble(Reason.REFUSED, str(error), "Name a directory that is empty, or not there yet.") from error
    except OSError as error:
        raise Trouble(Reason.REFUSED, f"{directory} cannot be made: {error.strerror or error}") from error
    argument = {
        "path": str((directory / files.PART).resolve()),
        "began": time.monotonic(),
        "key": os.urandom(32).hex(),  # of the tokens for what is hidden; kept nowhere
        "limit": _LIMIT,
        "binding": binding,
    }
    source = Nvidia(config.devices.nvidia, period, nvml=_RECORDING, nvml_argument=json.dumps(argument))
    newest: DeviceReport | None = None
    try:
        newest = _sample(source, rounds, period)
    finally:
        source.close()
        if newest is None:
            files.discard(directory)
    try:
        return files.finish(directory, _facts(newest, period))
    except files.CaptureError as error:
        raise Trouble(Reason.MALFORMED, str(error)) from error


def _sample(source: Nvidia, rounds: int, period: float) -> DeviceReport:
    """Read on the grid; give the newest report. Raises the last Trouble where there is none."""
    newest: DeviceReport | None = None
    trouble: Trouble | None = None
    due = time.monotonic()
    try:
        for _ in range(rounds):
            time.sleep(max(0.0, due - time.monotonic()))
            due += period
            try:
                newest = source.read()
            except Trouble as now:
                trouble = now
                log.warning("%s", now.told())
                if newest is None and now.reason in (Reason.MISSING, Reason.PERMISSION):
                    break
    except KeyboardInterrupt:
        if newest is None:
            raise
    if newest is None:
        raise trouble or Trouble(Reason.REFUSED, "nothing was to be recorded")
    return newest


def _facts(report: DeviceReport, period: float) -> dict[str, object]:
    """Say what was recorded; the models in the order of the GPUs."""
    return {
        "tool": f"inferometer {__version__}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "gpus": [device.details.get("hw.model", "") for device in report.devices if not device.is_instance],
        "driver": report.details.get("hw.driver_version", ""),
        "cuda": report.details.get("gpu.cuda.version", ""),
        "period": period,
    }


def replay(directory: Path, *, once: bool = False) -> tuple[Adapt, Stand]:
    """Read a capture; give what turns a configuration into that of its replay, and its stand-in for NVML.

    Its rounds go by at their own pace; `once`: one at each look.

    Raises Trouble for what is no capture or a damaged one, by file and line.
    """
    try:
        header = files.check(directory)
    except files.CaptureError as error:
        raise Trouble(Reason.MALFORMED, str(error), "A capture is what `inferometer record` writes.") from error
    period = Seconds(header["period"])
    argument = {
        "directory": str(directory.resolve()),
        "began": time.monotonic(),
        "each": once,
        "binding": "pynvml",
    }
    return lambda config: adapt(config, period), Stand(_REPLAYING, json.dumps(argument), simulated=True)


def adapt(config: Config, period: Seconds) -> Config:
    """Give the configuration of a replay: its period is the recording's, and this machine is not looked at.

    The kubelet, the pods and the engines are asked only where somebody has configured them.
    """
    standard = Config()
    nvidia = replace(config.devices.nvidia, enabled=True, library="", release=Release(file="", annotation=""))
    podresources, pods = config.identity.podresources, config.identity.pods
    if podresources == standard.identity.podresources:
        podresources = replace(podresources, enabled=False)
    if pods == standard.identity.pods:
        pods = replace(pods, source="off")
    return replace(
        config,
        period=period,
        devices=replace(config.devices, nvidia=nvidia, kernel_log=replace(config.devices.kernel_log, enabled=False)),
        accounting=replace(config.accounting, state=""),
        identity=replace(
            config.identity,
            podresources=podresources,
            pods=pods,
            processes=replace(
                config.identity.processes, enabled=False
            ),  # their numbers are another machine's, or time's
        ),
    )
