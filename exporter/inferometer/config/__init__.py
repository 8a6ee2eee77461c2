# SPDX-License-Identifier: Apache-2.0
"""The configuration: one YAML file plus `INFEROMETER_` variables become nested frozen dataclasses.

The keys are declared once, in `schema`; the loader (`loader`), the JSON Schema (`json_schema`), the commented defaults
(`example`) and the reference page derive from them.
"""

from inferometer.config.document import Problem
from inferometer.config.loader import ConfigError, load
from inferometer.config.schema import (
    Accounting,
    Amd,
    Claims,
    Config,
    Credentials,
    Devices,
    Discovery,
    Engines,
    Identity,
    KernelLog,
    Limits,
    Log,
    Node,
    Nvidia,
    Objective,
    Otlp,
    PodResources,
    Pods,
    Processes,
    Release,
    Seconds,
    Server,
    Size,
    Slices,
    Slo,
    TargetConfig,
)

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
    "PodResources",
    "Pods",
    "Problem",
    "Processes",
    "Release",
    "Seconds",
    "Server",
    "Size",
    "Slices",
    "Slo",
    "TargetConfig",
    "load",
]
