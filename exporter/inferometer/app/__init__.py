# SPDX-License-Identifier: Apache-2.0
"""The wiring: the only place that knows every part."""

from inferometer.app.agent import Agent, run
from inferometer.app.bindings import bindings
from inferometer.app.checking import Finding, check
from inferometer.app.pipeline import Pipeline, Stand, collect
from inferometer.app.simulated import simulate

__all__ = [
    "Agent",
    "Finding",
    "Pipeline",
    "Stand",
    "bindings",
    "check",
    "collect",
    "run",
    "simulate",
]
