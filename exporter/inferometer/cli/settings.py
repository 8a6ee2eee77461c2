# SPDX-License-Identifier: Apache-2.0
"""The configuration of a command: the file, the environment and the options, the later before the earlier."""

import argparse
import os
from collections.abc import Mapping

from inferometer.cli import logs
from inferometer.cli.output import Failure
from inferometer.config import Config, ConfigError, load

# An option is a variable of this one command, so that a configuration that is read again keeps it.
_OPTIONS = {
    "listen": ("--listen", "INFEROMETER_SERVER__LISTEN"),
    "log_level": ("--log-level", "INFEROMETER_LOG__LEVEL"),
    "log_format": ("--log-format", "INFEROMETER_LOG__FORMAT"),
}


def environment(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Give the process's environment with the command's options laid over it."""
    given = {name: getattr(arguments, name, None) for name in _OPTIONS}
    return {**os.environ, **{_OPTIONS[name][1]: str(value) for name, value in given.items() if value is not None}}


def settle(arguments: argparse.Namespace, *, level: str = "") -> tuple[Config, Mapping[str, str]]:
    """Load the configuration and start logging. A command that is no service has a `level` of its own, unless told otherwise.

    Raises Failure with exit code 2 and all that is wrong.
    """
    environ = environment(arguments)
    try:
        config = load(getattr(arguments, "config", None), environ)
    except ConfigError as error:
        renamed = {variable: option for name, (option, variable) in _OPTIONS.items() if getattr(arguments, name, None)}
        problems = [p._replace(place=renamed.get(p.place, p.place)) for p in error.problems]
        raise Failure(2, *map(str, problems)) from None
    asked = "INFEROMETER_LOG__LEVEL" in environ or config.log.level != Config().log.level
    logs.configure(config.log.level if asked or not level else level, config.log.format)
    return config, environ
