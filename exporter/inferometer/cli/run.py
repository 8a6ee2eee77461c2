# SPDX-License-Identifier: Apache-2.0
"""`inferometer run`: the agent in the foreground."""

import argparse

from inferometer import app
from inferometer.cli import logs
from inferometer.cli.replay import replayed
from inferometer.cli.settings import settle
from inferometer.config import Config


def execute(arguments: argparse.Namespace) -> int:
    """Run until a signal ends it. Without a driver it serves identity and engines; it never simulates unasked."""
    config, environ = settle(arguments)
    config, stand, adapt = replayed(arguments, config)
    return app.run(
        config, environ=environ, config_path=arguments.config, stand=stand, adapt=adapt, on_config=_log_as_told
    )


def _log_as_told(config: Config) -> None:
    logs.configure(config.log.level, config.log.format)
