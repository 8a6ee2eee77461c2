# SPDX-License-Identifier: Apache-2.0
"""The option `--replay`: a capture in place of the driver."""

import argparse
from pathlib import Path

from inferometer import app
from inferometer.app.agent import Adapt
from inferometer.config import Config


def replayed(
    arguments: argparse.Namespace, config: Config, *, once: bool = False
) -> tuple[Config, app.Stand, Adapt | None]:
    """Give the configuration as it is used, what stands in for NVML, and what a configuration of later goes through.

    `once`: somebody looks only once, and is to see how the capture begins, however long it took to come to that.

    Raises Trouble for what is no capture.
    """
    if arguments.replay is None:
        return config, app.Stand(), None
    from inferometer.app import captured  # noqa: PLC0415  # half a MiB that is only paid where a capture is played

    adapt, stand = captured.replay(Path(arguments.replay), once=once)
    return adapt(config), stand, adapt
