# SPDX-License-Identifier: Apache-2.0
"""The configuration: one YAML file plus `INFEROMETER_` variables become nested frozen dataclasses.

The keys are declared once, in `schema`, `engines`, `server` and `series`; the loader (`loader`), the JSON Schema (`json_schema`), the
commented defaults (`example`) and the reference page derive from them.
"""

from inferometer.config.declare import Seconds, Size
from inferometer.config.document import Problem
from inferometer.config.engines import Credentials, Discovery, Engines, Objective, Passthrough, Slo, TargetConfig
from inferometer.config.loader import ConfigError, load
from inferometer.config.metrics import drops_of, limits_of
from inferometer.config.otlp import Otlp, Spool
from inferometer.config.schema import (
    Accounting,
    Amd,
    Claims,
    Config,
    Devices,
    Identity,
    KernelLog,
    Log,
    Node,
    Nvidia,
    PodResources,
    Pods,
    Processes,
    Release,
    Slices,
)
from inferometer.config.series import Attributes, DropRule, Limits, MetricLimit
from inferometer.config.server import Server, ServerAuth, ServerTls

__all__ = [
    "Accounting",
    "Amd",
    "Attributes",
    "Claims",
    "Config",
    "ConfigError",
    "Credentials",
    "Devices",
    "Discovery",
    "DropRule",
    "Engines",
    "Identity",
    "KernelLog",
    "Limits",
    "Log",
    "MetricLimit",
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
    "drops_of",
    "limits_of",
    "load",
]
