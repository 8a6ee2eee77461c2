# SPDX-License-Identifier: Apache-2.0
"""The configuration: one YAML file plus `INFEROMETER_` variables become nested frozen dataclasses.

The keys are declared once, in `schema`, `engines` and `server`; the loader (`loader`), the JSON Schema (`json_schema`), the commented defaults
(`example`) and the reference page derive from them.
"""

from inferometer.config.declare import Seconds, Size
from inferometer.config.document import Problem
from inferometer.config.engines import Credentials, Discovery, Engines, Objective, Passthrough, Slo, TargetConfig
from inferometer.config.loader import ConfigError, load
from inferometer.config.schema import (
    Accounting,
    Amd,
    Claims,
    Config,
    Devices,
    Identity,
    KernelLog,
    Limits,
    Log,
    Node,
    Nvidia,
    Otlp,
    PodResources,
    Pods,
    Processes,
    Release,
    Slices,
    Spool,
)
from inferometer.config.server import Server, ServerAuth, ServerTls

__all__ = [
    "Accounting",
    "Amd",
    "Claims",
    "Config",
    "ConfigError",
    "Credentials",
    "Devices",
    "Discovery",
    "Engines",
    "Identity",
    "KernelLog",
    "Limits",
    "Log",
    "Node",
    "Nvidia",
    "Objective",
    "Otlp",
    "Passthrough",
    "PodResources",
    "Pods",
    "Problem",
    "Processes",
    "Release",
    "Seconds",
    "Server",
    "ServerAuth",
    "ServerTls",
    "Size",
    "Slices",
    "Slo",
    "Spool",
    "TargetConfig",
    "load",
]
