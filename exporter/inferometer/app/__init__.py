# SPDX-License-Identifier: Apache-2.0
"""The wiring: the only place that knows every part."""

from inferometer.app.agent import Agent
from inferometer.app.bindings import bindings
from inferometer.app.checking import check, check_engines
from inferometer.app.finding import Finding
from inferometer.app.foreground import run
from inferometer.app.pipeline import Pipeline, Stand, collect
from inferometer.app.simulated import simulate

__all__ = [
    "Agent",
    "Finding",
    "Pipeline",
    "Stand",
    "bindings",
    "check",
    "check_engines",
    "collect",
    "run",
    "simulate",
]
