# SPDX-License-Identifier: Apache-2.0
"""The systemd unit: what it starts is a command of ours, with settings that load."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from inferometer.cli.parser import build_parser
from inferometer.config import load

UNIT = Path(__file__).parents[2] / "contrib" / "systemd" / "inferometer.service"


def values(key: str) -> Iterator[str]:
    for line in UNIT.read_text().splitlines():
        name, _, value = line.partition("=")
        if name == key:
            yield value


def test_the_unit_starts_the_agent_without_kubernetes() -> None:
    """ExecStart is a command line that parses, and its variables are settings that switch the cluster's sources off."""
    (command,) = values("ExecStart")
    program, *arguments = shlex.split(command)
    told = build_parser().parse_args(arguments)
    config = load(None, dict(value.split("=", 1) for value in values("Environment")))

    assert program.endswith("/bin/inferometer")
    assert (told.module, told.config) == ("run", "/etc/inferometer/inferometer.yaml")
    assert not config.identity.podresources.enabled
    assert config.identity.pods.source == "off"
    assert not config.identity.processes.enabled


def test_the_kernels_log_may_be_read_and_its_place_noted() -> None:
    """The one privilege is CAP_SYSLOG, the log's device is let through, and the state file is in the state directory."""
    config = load(None, dict(value.split("=", 1) for value in values("Environment")))
    (directory,) = values("StateDirectory")

    assert list(values("CapabilityBoundingSet")) == list(values("AmbientCapabilities")) == ["CAP_SYSLOG"]
    assert f"{config.devices.kernel_log.path} r" in set(values("DeviceAllow"))
    assert not list(values("ProtectKernelLogs"))
    assert config.devices.kernel_log.state.startswith(f"/var/lib/{directory}/")


def test_a_bad_configuration_is_not_tried_for_ever() -> None:
    """RestartPreventExitStatus= counts for the main process only, so nothing before it may check the file."""
    assert list(values("RestartPreventExitStatus")) == ["2"]
    assert not list(values("ExecStartPre"))
